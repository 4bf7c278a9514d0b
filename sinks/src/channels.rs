//! The channels that are open in this process: one map for whoever takes messages in and for whoever
//! sends them. Look-ups are cheap and never wait; a new configuration replaces the map as a whole.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use patchbay_message::{ChannelId, ChannelRef};
use patchbay_sdk::{Channel, Manifest};

/// One configured channel, ready for use.
pub struct OpenChannel {
    /// Its configured id.
    pub id: ChannelId,
    /// What its kind is and can do.
    pub kind: &'static Manifest,
    /// Its translations.
    pub channel: Box<dyn Channel>,
    /// `limits` of its file.
    pub limits: SendLimits,
    /// `retry` of its file.
    pub retry: RetryPolicy,
}

impl OpenChannel {
    /// How envelopes name it.
    #[must_use]
    pub fn channel_ref(&self) -> ChannelRef {
        ChannelRef {
            id: self.id.clone(),
            kind: self.kind.id.to_owned(),
        }
    }
}

impl fmt::Debug for OpenChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenChannel")
            .field("id", &self.id)
            .field("kind", &self.kind.id)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// How fast a channel may be sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct SendLimits {
    /// Messages per second, shared by all processes; none = as fast as the provider takes them.
    pub send_per_second: Option<f64>,
    /// Messages on their way at once, per process.
    pub in_flight_max: u32,
}

/// Messages of one channel on their way at once, unless its file says otherwise.
pub const IN_FLIGHT_MAX: u32 = 64;

impl Default for SendLimits {
    fn default() -> Self {
        Self {
            send_per_second: None,
            in_flight_max: IN_FLIGHT_MAX,
        }
    }
}

/// What happens to a message that cannot be sent at once, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Pause before the first retry.
    pub delay_min: Duration,
    /// The longest pause between retries.
    pub delay_max: Duration,
    /// How long a message is tried, from when it was taken; then it is a dead letter.
    pub expire_after: Duration,
    /// Tries at most; none = time decides.
    pub attempts_max: Option<u32>,
    /// What to do with a message that may or may not have arrived.
    pub on_unknown: OnUnknown,
    /// What becomes of the lane behind a dead message.
    pub on_dead: OnDead,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            delay_min: Duration::from_secs(1),
            delay_max: Duration::from_secs(300),
            expire_after: Duration::from_secs(24 * 3600),
            attempts_max: None,
            on_unknown: OnUnknown::Hold,
            on_dead: OnDead::Continue,
        }
    }
}

/// What to do with a message that may or may not have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// Send it again: the contact may see it twice.
    Resend,
    /// Do not send it again; agents see that its outcome is unknown.
    Hold,
}

/// What becomes of the lane behind a dead message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDead {
    /// It leaves a tombstone and the next one goes.
    Continue,
    /// The lane waits until a human has replayed or dropped it.
    Hold,
}

/// The map of open channels. Cheap to share; [`Channels::replace`] swaps it as a whole.
#[derive(Debug, Default)]
pub struct Channels {
    map: ArcSwap<HashMap<Box<str>, Arc<OpenChannel>>>,
}

impl Channels {
    /// A map of these channels; of two with the same id the later one counts.
    #[must_use]
    pub fn new(channels: impl IntoIterator<Item = OpenChannel>) -> Self {
        let map = Self::default();
        map.replace(channels);
        map
    }

    /// The channel with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<OpenChannel>> {
        self.map.load().get(id).cloned()
    }

    /// All of them, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<OpenChannel>> {
        self.map.load().values().cloned().collect()
    }

    /// Replaces all of them. Whoever holds one of the old ones may finish with it.
    pub fn replace(&self, channels: impl IntoIterator<Item = OpenChannel>) {
        let map = channels
            .into_iter()
            .map(|channel| (channel.id.as_str().into(), Arc::new(channel)))
            .collect();
        self.map.store(Arc::new(map));
    }
}
