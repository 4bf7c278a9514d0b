//! Numbers of lines that are pulled.

use std::time::Duration;

use patchbay_message::ChannelId;
use patchbay_sdk::SendError;

/// A doorbell rang.
pub(super) fn rung(channel: &ChannelId) {
    metrics::counter!("patchbay_pull_rings_total", "channel" => channel.to_string()).increment(1);
}

/// A page was pulled and published, or was not.
pub(super) fn page(channel: &ChannelId, outcome: &'static str) {
    metrics::counter!("patchbay_pull_pages_total", "channel" => channel.to_string(), "outcome" => outcome)
        .increment(1);
}

/// How long a page took, from the request until its cursor was saved.
pub(super) fn took(channel: &ChannelId, took: Duration) {
    metrics::histogram!("patchbay_pull_seconds", "channel" => channel.to_string()).record(took);
}

/// Something of a page was past a bound.
pub(super) fn refused(channel: &ChannelId) {
    metrics::counter!("patchbay_pull_refused_total", "channel" => channel.to_string()).increment(1);
}

/// The word for an error.
pub(super) fn outcome(error: &SendError) -> &'static str {
    match error {
        SendError::Retry(_) | SendError::Unknown => "retry",
        SendError::Throttled(..) => "throttled",
        SendError::TokenExpired(_) | SendError::Account(_) => "account",
        _ => "refused",
    }
}
