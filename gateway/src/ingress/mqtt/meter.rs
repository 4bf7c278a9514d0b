//! Numbers of MQTT links. `link` is `broker` or `listener`.

use patchbay_message::ChannelId;

/// Counts one open connection while it lives.
pub(super) struct Connection {
    channel: String,
    link: &'static str,
}

impl Connection {
    pub(super) fn begin(channel: &ChannelId, link: &'static str) -> Self {
        let channel = channel.to_string();
        metrics::gauge!("patchbay_mqtt_connections", "channel" => channel.clone(), "link" => link)
            .increment(1.0);
        Self { channel, link }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        metrics::gauge!("patchbay_mqtt_connections", "channel" => self.channel.clone(), "link" => self.link)
            .decrement(1.0);
    }
}

/// A connection to a broker ended and is made anew.
pub(super) fn reconnect(channel: &ChannelId) {
    metrics::counter!("patchbay_mqtt_reconnects_total", "channel" => channel.to_string(), "link" => "broker")
        .increment(1);
}

/// A PUBLISH came in.
pub(super) fn received(channel: &ChannelId, link: &'static str) {
    metrics::counter!("patchbay_mqtt_received_total", "channel" => channel.to_string(), "link" => link)
        .increment(1);
}

/// Nothing came of a PUBLISH: no rule of the channel is for it.
pub(super) fn unmapped(channel: &ChannelId) {
    metrics::counter!("patchbay_mqtt_unmapped_total", "channel" => channel.to_string())
        .increment(1);
}

/// A PUBLISH went to a device, or what became of it.
pub(super) fn sent(channel: &ChannelId, outcome: &'static str) {
    metrics::counter!("patchbay_mqtt_sent_total", "channel" => channel.to_string(), "link" => "listener", "outcome" => outcome)
        .increment(1);
}

/// Something was not let in, or was closed. `reason` is from a closed list.
pub(super) fn refused(channel: &ChannelId, reason: &'static str) {
    metrics::counter!("patchbay_mqtt_refused_total", "channel" => channel.to_string(), "reason" => reason)
        .increment(1);
}

/// Publishes between their arrival and their confirm, or on their way to devices.
pub(super) struct InFlight {
    gauge: metrics::Gauge,
    n: usize,
}

impl InFlight {
    pub(super) fn inbound(channel: &ChannelId, link: &'static str) -> Self {
        let gauge = metrics::gauge!("patchbay_mqtt_in_flight", "channel" => channel.to_string(), "link" => link);
        Self { gauge, n: 0 }
    }

    pub(super) fn outbound(channel: &ChannelId) -> Self {
        let gauge = metrics::gauge!("patchbay_mqtt_unacked", "channel" => channel.to_string());
        Self { gauge, n: 0 }
    }

    /// There are so many now.
    pub(super) fn set(&mut self, n: usize) {
        let count = |n| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        match n.cmp(&self.n) {
            std::cmp::Ordering::Greater => self.gauge.increment(count(n - self.n)),
            std::cmp::Ordering::Less => self.gauge.decrement(count(self.n - n)),
            std::cmp::Ordering::Equal => {}
        }
        self.n = n;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.set(0);
    }
}
