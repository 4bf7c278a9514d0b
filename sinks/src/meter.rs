//! The worker's metrics. Labels are closed sets: channel ids, outcomes, reasons, shards.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use patchbay_message::ChannelId;

/// One message left: `sent`, `dead`.
pub(crate) fn sent(channel: &ChannelId, outcome: &'static str) {
    counter!("patchbay_sink_sent_total", "channel" => channel.to_string(), "outcome" => outcome)
        .increment(1);
}

/// How long the calls of one message took.
pub(crate) fn took(channel: &ChannelId, time: Duration) {
    histogram!("patchbay_sink_send_seconds", "channel" => channel.to_string()).record(time);
}

/// One message was parked.
pub(crate) fn parked(channel: &ChannelId, reason: &'static str) {
    counter!("patchbay_sink_parked_total", "channel" => channel.to_string(), "reason" => reason)
        .increment(1);
    if reason == "retry" {
        counter!("patchbay_sink_retries_total", "channel" => channel.to_string()).increment(1);
    }
}

/// One message died.
pub(crate) fn dead(channel: &ChannelId, reason: &'static str) {
    counter!("patchbay_sink_dead_total", "channel" => channel.to_string(), "reason" => reason)
        .increment(1);
}

/// A token was fetched, or was not: `ok`, `retry`, `account`, `refused`.
pub(crate) fn token(kind: &'static str, outcome: &'static str) {
    counter!("patchbay_token_fetches_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// A file that came in was fetched, or was not: `ok`, `retry`, `lost`.
pub(crate) fn media(kind: &'static str, outcome: &'static str) {
    counter!("patchbay_media_fetches_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// A message wanted to ride on an answer that a gateway holds: `sent`, `not_held`, `unfit`, `not_sent`,
/// `unknown`.
pub(crate) fn ride(channel: &ChannelId, outcome: &'static str) {
    counter!("patchbay_sink_rides_total", "channel" => channel.to_string(), "outcome" => outcome)
        .increment(1);
}

/// One delivery was a repeat.
pub(crate) fn repeated(shard: u16) {
    counter!("patchbay_sink_repeats_total", "shard" => shard.to_string()).increment(1);
}

/// Messages held in memory behind the one under way of their lane.
pub(crate) fn backlog(shard: u16, held: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
    gauge!("patchbay_sink_lane_backlog", "shard" => shard.to_string()).set(held as f64);
}

/// Counts a message as being on its way until it is dropped.
pub(crate) struct InFlight(metrics::Gauge);

impl InFlight {
    pub(crate) fn begin(channel: &ChannelId) -> Self {
        let gauge = gauge!("patchbay_sink_in_flight", "channel" => channel.to_string());
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// What became of a publish to a broker.
pub(crate) fn mqtt_sent(channel: &ChannelId, outcome: &'static str) {
    counter!("patchbay_mqtt_sent_total", "channel" => channel.to_string(), "link" => "publisher", "outcome" => outcome)
        .increment(1);
}

/// A connection to publish by ended and is made anew.
pub(crate) fn mqtt_reconnect(channel: &ChannelId) {
    counter!("patchbay_mqtt_reconnects_total", "channel" => channel.to_string(), "link" => "publisher")
        .increment(1);
}

/// Counts a connection to publish by while it lives.
pub(crate) struct MqttConnection(metrics::Gauge);

impl MqttConnection {
    pub(crate) fn begin(channel: &ChannelId) -> Self {
        let gauge = gauge!("patchbay_mqtt_connections", "channel" => channel.to_string(), "link" => "publisher");
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for MqttConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
