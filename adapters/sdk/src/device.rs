//! What adapters of devices say in the same way: faults, silence, keys.

use std::time::Duration;

use patchbay_message::{
    Attributes, Severity, Time,
    limits::{ATTRIBUTES_BYTES_MAX, KEY_BYTES_MAX},
};
use serde_json::{Value, json};

/// In `attributes`: it is what the broker keeps of a topic, not something new.
pub const RETAINED: &str = "retained";
/// In `thread_hints`, true: the sender is a device, also where it says nothing that only devices say.
pub const DEVICE: &str = "device";
/// In `thread_hints`: how long the device may be silent, and what fault its silence is.
pub const SILENCE: &str = "silence";

/// 2000-01-01T00:00:00Z: what comes before was said by a clock that was never set.
const CLOCK_MIN_MS: i64 = 946_684_800_000;
/// How far a device's clock may be ahead of ours.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// The value of [`SILENCE`].
#[must_use]
pub fn silence(after: Duration, code: &str, severity: &Severity) -> Value {
    let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    json!({ "after_ms": after_ms, "code": code, "severity": severity.as_str() })
}

/// A device's time, if its clock can be right. A time far ahead would make everything that comes
/// later look old.
#[must_use]
pub fn plausible(at: Time, now: Time) -> Option<Time> {
    (at.as_ms() >= CLOCK_MIN_MS && at <= now.plus(CLOCK_AHEAD_MAX)).then_some(at)
}

/// A key of these parts: other parts make another key, whatever characters they have.
#[must_use]
pub fn key(parts: &[&str]) -> String {
    let key = json!(parts).to_string();
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    format!(
        "sha256:{}",
        hex::encode(crate::verify::digest(key.as_bytes()))
    )
}

/// Whether these fit into an envelope.
#[must_use]
pub fn fits(readings: &Attributes) -> bool {
    serde_json::to_vec(readings).is_ok_and(|json| json.len() <= ATTRIBUTES_BYTES_MAX)
}
