//! Packets of both versions in one shape. Reasons are those of MQTT 5; the codec turns them into what
//! 3.1.1 has. Debug shows no payload, no password and no property: it may reach a log.

use std::fmt;

use bytes::Bytes;
use patchbay_sdk::MqttVersion;

/// Reason codes (MQTT 5.0, section 2.4).
pub mod reason {
    /// All well; of DISCONNECT: do not publish the will.
    pub const SUCCESS: u8 = 0x00;
    /// DISCONNECT, but publish the will.
    pub const WITH_WILL: u8 = 0x04;
    /// Unspecified error.
    pub const UNSPECIFIED: u8 = 0x80;
    /// Malformed packet.
    pub const MALFORMED: u8 = 0x81;
    /// Protocol error.
    pub const PROTOCOL: u8 = 0x82;
    /// Unsupported protocol version.
    pub const VERSION: u8 = 0x84;
    /// Client identifier not valid.
    pub const CLIENT_ID: u8 = 0x85;
    /// Bad user name or password.
    pub const BAD_LOGIN: u8 = 0x86;
    /// Not authorized.
    pub const NOT_AUTHORIZED: u8 = 0x87;
    /// Server unavailable.
    pub const UNAVAILABLE: u8 = 0x88;
    /// Server busy.
    pub const BUSY: u8 = 0x89;
    /// Server shutting down.
    pub const SHUTTING_DOWN: u8 = 0x8b;
    /// Bad authentication method.
    pub const AUTH_METHOD: u8 = 0x8c;
    /// Keep-alive timeout.
    pub const KEEP_ALIVE: u8 = 0x8d;
    /// Session taken over.
    pub const TAKEN_OVER: u8 = 0x8e;
    /// Topic filter invalid.
    pub const FILTER: u8 = 0x8f;
    /// Topic name invalid.
    pub const TOPIC: u8 = 0x90;
    /// Receive maximum exceeded.
    pub const RECEIVE_MAX: u8 = 0x93;
    /// Topic alias invalid.
    pub const TOPIC_ALIAS: u8 = 0x94;
    /// Packet too large.
    pub const TOO_LARGE: u8 = 0x95;
    /// Quota exceeded.
    pub const QUOTA: u8 = 0x97;
    /// Payload format invalid.
    pub const PAYLOAD_FORMAT: u8 = 0x99;
    /// QoS not supported.
    pub const QOS: u8 = 0x9b;
    /// Shared subscriptions not supported.
    pub const SHARED: u8 = 0x9e;
    /// Connection rate exceeded.
    pub const CONNECT_RATE: u8 = 0x9f;
}

/// From this code on a SUBACK says that the subscription was not granted; all that 3.1.1 can say.
pub const SUBSCRIPTION_REFUSED: u8 = 0x80;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A client wants to connect.
    Connect(Box<Connect>),
    /// The answer.
    ConnAck(Box<ConnAck>),
    /// A message.
    Publish(Publish),
    /// A message with QoS 1 was taken, or refused from 0x80 on.
    PubAck {
        /// Of which packet.
        id: u16,
        /// Why it was refused; 3.1.1 cannot refuse.
        reason: u8,
    },
    /// Filters with the QoS wanted.
    Subscribe {
        /// Packet id.
        id: u16,
        /// Filter, QoS.
        filters: Vec<(String, u8)>,
    },
    /// What was granted, in the order asked.
    SubAck {
        /// Of which packet.
        id: u16,
        /// QoS granted, or a reason from [`SUBSCRIPTION_REFUSED`] on.
        codes: Vec<u8>,
    },
    /// Filters not wanted any more.
    Unsubscribe {
        /// Packet id.
        id: u16,
        /// Filters.
        filters: Vec<String>,
    },
    /// The answer.
    UnsubAck {
        /// Of which packet.
        id: u16,
        /// How many filters it was about.
        n: usize,
    },
    /// Are you there?
    PingReq,
    /// Yes.
    PingResp,
    /// The last packet before the connection is closed.
    Disconnect {
        /// Why; 3.1.1 cannot say.
        reason: u8,
    },
    /// Part of a QoS 2 exchange, which is not spoken here.
    Qos2,
}

/// A client wants to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// Version.
    pub version: MqttVersion,
    /// Client id; empty asks the server for one.
    pub client_id: String,
    /// Forget the session there was.
    pub clean: bool,
    /// Keep-alive, seconds; 0 is none.
    pub keep_alive: u16,
    /// Login name.
    pub username: Option<String>,
    /// Login password.
    pub password: Option<String>,
    /// To be published when the connection breaks.
    pub will: Option<Will>,
    /// How long the session outlives the connection, seconds.
    pub session_expiry: Option<u32>,
    /// Publishes the client takes unacknowledged, and the largest packet.
    pub bounds: Bounds,
    /// It wants to log in by another method than name and password.
    pub auth_method: bool,
}

/// What one side tells the other it can take; none = as much as the protocol allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Publishes not yet acknowledged.
    pub receive_max: Option<u16>,
    /// Bytes of a packet.
    pub packet_bytes_max: Option<u32>,
}

/// To be published when the connection breaks.
#[derive(Clone, PartialEq, Eq)]
pub struct Will {
    /// What; its QoS may be 2, which the server has to refuse.
    pub publish: Publish,
    /// How long after the end, seconds.
    pub delay: u32,
}

/// The answer to CONNECT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnAck {
    /// The session goes on.
    pub session_present: bool,
    /// 0, or why not.
    pub reason: u8,
    /// What the server takes.
    pub bounds: Bounds,
    /// The greatest QoS the server takes, if it is not 2.
    pub qos_max: Option<u8>,
    /// The keep-alive to use instead of the one asked for, seconds.
    pub keep_alive: Option<u16>,
    /// The client id chosen by the server.
    pub client_id: Option<String>,
    /// How long the session is kept, if not as long as asked, seconds.
    pub session_expiry: Option<u32>,
    /// The server has neither shared subscriptions nor subscription identifiers.
    pub plain_subscriptions: bool,
}

/// A message.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Publish {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// QoS: 0, 1; 2 only as what somebody sent.
    pub qos: u8,
    /// Packet id with QoS 1.
    pub id: u16,
    /// It may have been sent before.
    pub dup: bool,
    /// Towards a server: keep it. From a server: it was kept.
    pub retain: bool,
    /// What only MQTT 5 has.
    pub properties: Option<Box<Properties>>,
}

/// What only MQTT 5 has with a message.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What the answer has to carry.
    pub correlation: Option<Bytes>,
    /// MIME type.
    pub content_type: Option<String>,
    /// Seconds it is worth something.
    pub expiry: Option<u32>,
    /// A number instead of the topic.
    pub topic_alias: Option<u16>,
    /// Name and value, as often as they like.
    pub user: Vec<(String, String)>,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean", &self.clean)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Will {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("publish", &self.publish)
            .field("delay", &self.delay)
            .finish()
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic_bytes", &self.topic.len())
            .field("payload_bytes", &self.payload.len())
            .field("qos", &self.qos)
            .field("id", &self.id)
            .field("dup", &self.dup)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Properties")
            .field("expiry", &self.expiry)
            .field("n_user", &self.user.len())
            .finish_non_exhaustive()
    }
}
