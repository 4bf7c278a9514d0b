//! What can be set for an MQTT channel.

mod rules;

use std::collections::BTreeMap;

use patchbay_sdk::{
    Secret,
    expr::Source,
    options::{ByteSize, Duration, Secrets},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use rules::{AnswerWait, Down, FaultMap, OrElse, Up};

/// `[options]` of an MQTT channel. Every value that says so may be an expression (CEL) with `=` in
/// front; anything else stands for itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The broker: `mqtts://broker.example:8883`, or `mqtt://` without TLS. Either this or `listen`.
    #[serde(default)]
    pub url: Option<String>,
    /// Where devices connect to Patchbay itself, without a broker: `0.0.0.0:8883`.
    #[serde(default)]
    pub listen: Option<String>,
    /// Version of the protocol spoken to the broker: `"5"` or `"3.1.1"`. The listener takes both.
    #[serde(default)]
    pub version: Option<Version>,
    /// Names our sessions at the broker; no other client may have it. Needed with `url`.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Our login at the broker.
    #[serde(default)]
    pub username: Option<String>,
    /// Our password at the broker.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Logins that are computed.
    #[serde(default)]
    pub login: Login,
    /// PEM file of certificate authorities: with `url` those of the broker (the system's by
    /// default), with `listen` those of devices that show a certificate.
    #[serde(default)]
    pub ca: Option<String>,
    /// PEM file of a certificate: with `url` ours as a client, with `listen` the server's.
    #[serde(default)]
    pub cert: Option<String>,
    /// PEM file of the key of `cert`.
    #[serde(default)]
    pub key: Option<String>,
    /// QoS of our subscriptions: with 0 what comes while we are away is lost.
    #[serde(default = "qos")]
    #[schemars(range(min = 0, max = 1))]
    pub qos: u8,
    /// `device`: what one device says keeps its order, one gateway subscribes. `none`: all gateways
    /// share the subscription.
    #[serde(default)]
    pub ordering: Ordering,
    /// The group of a shared subscription, with `ordering = "none"`.
    #[serde(default)]
    pub share: Option<String>,
    /// What retained messages are: `state` sets or clears a fault and is no new occurrence, `ignore`
    /// drops them.
    #[serde(default)]
    pub retained: Retained,
    /// The device's address; an expression over `topic`. Write it as levels joined by `'/'`, so that
    /// topics to the device can be made of it. With `listen` it only says how a device's address,
    /// known by its login, is read.
    #[serde(default)]
    pub address: Option<Source>,
    /// When a device counts as offline.
    #[serde(default)]
    pub offline: Offline,
    /// Words and what they mean, by name of the table: `level = { 1 = "critical", "*" = "warning" }`
    /// lets an expression say `level[body.lvl]`. The key `*` is for all others.
    #[serde(default)]
    pub tables: BTreeMap<String, BTreeMap<String, String>>,
    /// What devices say: the first rule whose topic fits and whose `when` holds is taken. What no
    /// rule takes is counted and dropped.
    #[serde(default)]
    pub up: Vec<Up>,
    /// What is said to devices, by kind of content (`text`, `command` ...) or by a command's name.
    #[serde(default)]
    pub down: BTreeMap<String, Down>,
    /// Ready-made rules, after your own: `thingsboard`, `alink` or `home-assistant`.
    #[serde(default)]
    pub profile: Option<Profile>,
    /// With `listen`: devices, each with its own login.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// With `listen`: devices whose passwords are derived from one secret.
    #[serde(default)]
    pub derived: Option<Derived>,
    /// Keep-alive towards the broker; with `listen` the longest a device may ask for.
    #[serde(default = "keep_alive")]
    pub keep_alive: Duration,
    /// How long the broker keeps what devices say while we are away (MQTT 5).
    #[serde(default = "session_expiry")]
    pub session_expiry: Duration,
    /// Messages not yet acknowledged, each way; with `listen` of one device.
    #[serde(default = "in_flight_max")]
    #[schemars(range(min = 1, max = 1000))]
    pub in_flight_max: u16,
    /// The largest packet.
    #[serde(default = "packet_bytes_max")]
    pub packet_bytes_max: ByteSize,
    /// With `listen`: connections in all.
    #[serde(default = "connections_max")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// With `listen`: connections from one network address.
    #[serde(default = "connections_per_address_max")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address_max: usize,
    /// With `listen`: how long a new connection may take to log in.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// With `listen`: messages one device may send in a minute.
    #[serde(default = "messages_per_minute")]
    #[schemars(range(min = 1, max = 60_000))]
    pub messages_per_minute: u32,
    /// With `listen`: messages one device may send at once before the rate counts.
    #[serde(default = "messages_burst")]
    #[schemars(range(min = 1, max = 60_000))]
    pub messages_burst: u32,
}

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Version {
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V4,
    /// MQTT 5.0.
    #[serde(rename = "5")]
    V5,
}

/// Whether what one device says keeps its order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ordering {
    /// It does.
    #[default]
    Device,
    /// It does not.
    None,
}

/// What retained messages are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Retained {
    /// How things stand.
    #[default]
    State,
    /// Nothing.
    Ignore,
}

/// A ready-made set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// `v1/devices/me/..`.
    Thingsboard,
    /// `/sys/{product}/{device}/thing/..`.
    Alink,
    /// Availability topics.
    HomeAssistant,
}

/// Logins at a broker that are computed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Login {
    /// As a device of Aliyun IoT: client id, login and password are made of these.
    pub alink: Option<AlinkLogin>,
}

/// A device of Aliyun IoT.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlinkLogin {
    /// Its product.
    pub product_key: String,
    /// Its name.
    pub device_name: String,
    /// Its secret.
    pub device_secret: Secrets,
}

/// When a device counts as offline.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Offline {
    /// Silence that is a fault; none by default.
    pub after: Option<Duration>,
    /// The fault's code.
    pub code: String,
    /// `critical`, `major`, `minor` or `warning`.
    pub severity: String,
}

impl Default for Offline {
    fn default() -> Self {
        Self {
            after: None,
            code: "offline".to_owned(),
            severity: "major".to_owned(),
        }
    }
}

/// A device and its login: `username` and `password`, `token`, `certificate` or `alink`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its address; its login name, certificate or Alink names by default.
    #[serde(default)]
    pub address: Option<String>,
    /// Its login name.
    #[serde(default)]
    pub username: Option<String>,
    /// Its password, at least 8 bytes; several while it is replaced.
    #[serde(default)]
    pub password: Option<Secrets>,
    /// Its token, sent as login name without a password, at least 16 bytes (ThingsBoard).
    #[serde(default)]
    pub token: Option<Secrets>,
    /// Common name of its certificate; needs `ca`.
    #[serde(default)]
    pub certificate: Option<String>,
    /// It signs its login (Aliyun Alink).
    #[serde(default)]
    pub alink: Option<AlinkLogin>,
    /// It must connect by this client id.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Topic filters it may publish to, with `{address}`, `{username}`, `{client_id}` and the names of
    /// its address; the topics of `up` with its own address by default.
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// Topic filters it may subscribe to; the topics of `down` with its own address by default.
    #[serde(default)]
    pub subscribe: Option<Vec<String>>,
}

/// Devices whose passwords are derived: lower hex HMAC-SHA256 of the login name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// Derives the passwords, at least 32 bytes; several while it is replaced.
    pub secret: Secrets,
    /// The device's address; may be an expression over `username` and `client_id`, the login name by
    /// default.
    #[serde(default)]
    pub address: Option<Source>,
    /// As of a device.
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// As of a device.
    #[serde(default)]
    pub subscribe: Option<Vec<String>>,
}

const fn qos() -> u8 {
    1
}
const fn keep_alive() -> Duration {
    Duration::secs(60)
}
const fn session_expiry() -> Duration {
    Duration::days(1)
}
const fn in_flight_max() -> u16 {
    64
}
const fn packet_bytes_max() -> ByteSize {
    ByteSize::kib(64)
}
const fn connections_max() -> usize {
    10_000
}
const fn connections_per_address_max() -> usize {
    1_000
}
const fn connect_timeout() -> Duration {
    Duration::secs(10)
}
const fn messages_per_minute() -> u32 {
    600
}
const fn messages_burst() -> u32 {
    100
}
