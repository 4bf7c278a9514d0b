//! MQTT as adapters see it: what to hold open, what came in, what goes out. Both versions, 3.1.1 and
//! 5; what only 5 has is empty with 3.1.1.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;

use crate::{Effect, Secret};

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttVersion {
    /// MQTT 3.1.1 (OASIS, 2014).
    V4,
    /// MQTT 5.0 (OASIS, 2019).
    V5,
}

/// A broker to subscribe at and publish to.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttBroker {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS, if the broker is to be reached by it.
    pub tls: Option<MqttTls>,
    /// Version.
    pub version: MqttVersion,
    /// Names our sessions; what differs between sessions is appended. With [`MqttLogin`]s that sign
    /// the id it is used as it is, for one session only.
    pub client_id: String,
    /// Login name.
    pub username: Option<String>,
    /// Login password.
    pub password: Option<Secret>,
    /// Topic filters to subscribe to, none covered by another; one session each.
    pub filters: Vec<String>,
    /// QoS of the subscriptions, 0 or 1.
    pub qos: u8,
    /// Shared subscription group (`$share/<group>/<filter>`): every gateway subscribes, order is not
    /// kept.
    pub share: Option<String>,
    /// Keep-alive.
    pub keep_alive: Duration,
    /// How long the broker keeps a session we are away from (MQTT 5; 3.1.1 has no bound).
    pub session_expiry: Duration,
    /// Publishes not yet acknowledged, each way.
    pub in_flight_max: u16,
    /// The largest packet, bytes.
    pub packet_bytes_max: usize,
}

/// TLS towards a broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MqttTls {
    /// PEM file of certificate authorities; none = the system's.
    pub ca: Option<PathBuf>,
    /// PEM files of our certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// An address at which devices connect to us, and the bounds of their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttListener {
    /// Where to listen.
    pub listen: SocketAddr,
    /// PEM files of certificate and key, if TLS is spoken.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// PEM file of authorities that client certificates are checked by, if they are asked for.
    pub client_ca: Option<PathBuf>,
    /// The largest packet, bytes.
    pub packet_bytes_max: usize,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one peer address.
    pub connections_per_address_max: usize,
    /// How long a connection may take until its CONNECT is read.
    pub connect_timeout: Duration,
    /// The longest keep-alive; a client that asks for more, or for none, is held to this.
    pub keep_alive_max: Duration,
    /// Publishes of one device not yet acknowledged, each way.
    pub in_flight_max: u16,
    /// Messages one device may send in a minute.
    pub messages_per_minute: u32,
    /// Burst on top of the rate.
    pub messages_burst: u32,
}

/// A client wants to connect: CONNECT, as read from the wire.
#[derive(Debug, Clone, Copy)]
pub struct MqttLogin<'a> {
    /// Version.
    pub version: MqttVersion,
    /// Client id.
    pub client_id: &'a str,
    /// Login name.
    pub username: Option<&'a str>,
    /// Password: raw bytes.
    pub password: Option<&'a [u8]>,
    /// Common name of the client's certificate, checked by the transport.
    pub certificate: Option<&'a str>,
}

/// A PUBLISH that came in, or a will that is due.
#[derive(Debug, Clone, Copy)]
pub struct MqttIn<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// QoS it came with, 0 or 1.
    pub qos: u8,
    /// It is what the broker keeps of the topic, not something new.
    pub retained: bool,
    /// MQTT 5: where an answer is expected.
    pub response_topic: Option<&'a str>,
    /// MQTT 5: what the answer has to carry.
    pub correlation: Option<&'a [u8]>,
    /// MQTT 5: MIME type.
    pub content_type: Option<&'a str>,
    /// MQTT 5: user properties.
    pub user_properties: &'a [(String, String)],
    /// How the link to a broker is authenticated; a listener's devices have a session instead.
    pub link: MqttProof,
}

/// What vouches for what comes in over a link to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttProof {
    /// The device's own connection: see [`crate::Session::party`].
    Session,
    /// TLS to the broker we know.
    Tls,
    /// Our login at the broker, in clear text.
    Login,
    /// Nothing.
    None,
}

/// A PUBLISH to go out.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttOut {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// QoS, 0 or 1.
    pub qos: u8,
    /// The broker is to keep it for later subscribers.
    pub retain: bool,
    /// MQTT 5: where we expect the answer.
    pub response_topic: Option<String>,
    /// MQTT 5: what the answer is to carry.
    pub correlation: Option<Bytes>,
    /// MQTT 5: MIME type.
    pub content_type: Option<String>,
    /// MQTT 5: worth nothing after this long.
    pub expires_after: Option<Duration>,
    /// What it does.
    pub effect: Effect,
    /// How long to wait for the PUBACK.
    pub timeout: Duration,
}
