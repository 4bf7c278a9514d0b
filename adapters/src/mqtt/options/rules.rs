//! What a rule can say, each way.

use patchbay_sdk::{
    expr::Source,
    mapping::{ReceiptMap, SentAt},
    options::Duration,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::qos;

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

fn raised() -> Source {
    Source::text("raised")
}
fn major() -> Source {
    Source::text("major")
}
fn whole_body() -> Source {
    Source::text("=body")
}
fn whole_text() -> Source {
    Source::text("=text")
}
