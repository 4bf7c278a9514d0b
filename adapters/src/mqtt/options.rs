//! What can be set for an MQTT channel.

use std::collections::BTreeMap;

use patchbay_sdk::{
    Secret,
    expr::Source,
    options::{ByteSize, Duration, Secrets},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// A rule for what devices say.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Up {
    /// `factory/{site}/{device}/fault`: a named level is `topic.device` in expressions; `+` is any
    /// level, a trailing `#` all that follow (`topic.rest`).
    pub topic: String,
    /// The rule is for what this holds for; an expression.
    #[serde(default)]
    pub when: Option<Source>,
    /// A list in the message, each `item` of which is said by itself; an expression.
    #[serde(default)]
    pub each: Option<Source>,
    /// The device's address, if this topic writes it in another way; an expression. Not with `listen`.
    #[serde(default)]
    pub address: Option<Source>,
    /// The device's name for people; may be an expression.
    #[serde(default)]
    pub name: Option<Source>,
    /// When the device said so, by its own clock.
    #[serde(default)]
    pub sent_at: Option<SentAt>,
    /// Names the message among all of this device and rule, so that it counts once; an expression.
    /// By default the device's own time or count and what was said.
    #[serde(default)]
    pub dedupe: Option<Source>,
    /// The device's own id of the message; an expression.
    #[serde(default)]
    pub external_id: Option<Source>,
    /// It raises or clears a fault.
    #[serde(default)]
    pub fault: Option<FaultMap>,
    /// It tells readings.
    #[serde(default)]
    pub telemetry: Option<TelemetryMap>,
    /// It says something to people.
    #[serde(default)]
    pub message: Option<MessageMap>,
    /// Something happened that is no fault.
    #[serde(default)]
    pub event: Option<EventMap>,
    /// It answers what we sent.
    #[serde(default)]
    pub receipt: Option<ReceiptMap>,
}

/// A device's time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SentAt {
    /// The time; an expression. Null is no time.
    pub value: Source,
    /// `s`, `ms`, `us` or `ns` since 1970, or `rfc3339`.
    pub unit: Unit,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds since 1970.
    S,
    /// Milliseconds since 1970.
    Ms,
    /// Microseconds since 1970.
    Us,
    /// Nanoseconds since 1970.
    Ns,
    /// RFC 3339.
    Rfc3339,
}

/// A fault. Every value may be an expression.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultMap {
    /// The device's own code.
    pub code: Source,
    /// `raised` or `cleared`; `raised` by default.
    #[serde(default = "raised")]
    pub state: Source,
    /// `critical`, `major`, `minor` or `warning`; `major` by default.
    #[serde(default = "major")]
    pub severity: Source,
    /// Which device has it, if it is not the one that speaks.
    #[serde(default)]
    pub device: Option<Source>,
    /// The device's own count of its faults, a whole number: tells what came later where clocks do
    /// not.
    #[serde(default)]
    pub sequence: Option<Source>,
    /// Words for people.
    #[serde(default)]
    pub text: Option<Source>,
    /// Latitude of the device, degrees.
    #[serde(default)]
    pub lat: Option<Source>,
    /// Longitude of the device, degrees.
    #[serde(default)]
    pub lon: Option<Source>,
    /// Readings at that moment: a map, or a table of expressions.
    #[serde(default)]
    pub readings: Option<Source>,
}

/// Readings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TelemetryMap {
    /// Values by name: a map, or a table of expressions.
    #[serde(default = "whole_body")]
    pub readings: Source,
}

/// Something said to people.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageMap {
    /// The words; may be an expression.
    #[serde(default = "whole_text")]
    pub text: Source,
}

/// Something that happened.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventMap {
    /// Its name; may be an expression.
    pub name: Source,
    /// What came with it; may be an expression.
    #[serde(default)]
    pub value: Option<Source>,
}

/// An answer to what we sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptMap {
    /// Which message it answers, as `external_id` of `down` said; an expression.
    pub external_id: Source,
    /// `delivered`, `read` or `failed`; `delivered` by default; may be an expression.
    #[serde(default = "delivered")]
    pub state: Source,
    /// The device's own code; may be an expression.
    #[serde(default)]
    pub code: Option<Source>,
    /// The device's own words; may be an expression.
    #[serde(default)]
    pub text: Option<Source>,
}

/// A rule for what is said to devices.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Down {
    /// `factory/{site}/{device}/cmd`: names of the device's address, and `{address}`, `{id}`,
    /// `{seq}`, `{command}`.
    pub topic: String,
    /// The payload as JSON: a tree in which every text may be an expression. Either this or `text`.
    #[serde(default)]
    pub json: Option<Source>,
    /// The payload as text; may be an expression.
    #[serde(default)]
    pub text: Option<Source>,
    /// QoS, 0 or 1.
    #[serde(default = "qos")]
    #[schemars(range(min = 0, max = 1))]
    pub qos: u8,
    /// The broker keeps it for a device that comes later.
    #[serde(default)]
    pub retain: bool,
    /// MQTT 5: where the device is to answer; names as in `topic`.
    #[serde(default)]
    pub response_topic: Option<String>,
    /// MQTT 5: what the answer is to carry; may be an expression, `external_id` by default if there is
    /// a `response_topic`.
    #[serde(default)]
    pub correlation: Option<Source>,
    /// What the device's answer calls it; may be an expression, our id of the message by default.
    #[serde(default)]
    pub external_id: Option<Source>,
    /// Worth nothing after this long.
    #[serde(default)]
    pub expire_after: Option<Duration>,
    /// The device answers by a rule with `receipt`. Without it the broker's (or the device's)
    /// acknowledgement counts.
    #[serde(default)]
    pub answer: Option<AnswerWait>,
}

/// How long a device's answer is waited for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerWait {
    /// This long.
    pub within: Duration,
    /// What the message is without one.
    #[serde(default)]
    pub or_else: OrElse,
}

/// What a message is whose answer does not come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrElse {
    /// It may have arrived.
    #[default]
    Unknown,
    /// Its time is over.
    Expired,
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
fn raised() -> Source {
    Source::text("raised")
}
fn major() -> Source {
    Source::text("major")
}
fn delivered() -> Source {
    Source::text("delivered")
}
fn whole_body() -> Source {
    Source::text("=body")
}
fn whole_text() -> Source {
    Source::text("=text")
}
