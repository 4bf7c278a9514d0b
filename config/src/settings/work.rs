//! The router, the sinks and the agents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Duration};

/// The routing worker.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// An exclusive duty passes to another process this long after its owner falls silent. Default: 15s.
    pub lease_ttl: Duration,
    /// Deliveries in one transaction. Default: 100.
    pub batch_max: usize,
    /// How long a batch waits to fill up. Default: 5ms.
    pub batch_wait: Duration,
    /// Between two rounds of assigning waiting conversations. Default: 1s.
    pub assigner_tick: Duration,
    /// Waiting conversations looked at in one round. Default: 500.
    pub assigner_batch_max: usize,
    /// Between two looks at due timers. Default: 1s.
    pub timer_tick: Duration,
    /// Timers fired in one transaction. Default: 200.
    pub timer_batch_max: usize,
    /// Outbox rows relayed in one go. Default: 500.
    pub outbox_batch_max: usize,
    /// How long the pieces of one message may come in. Default: 10m.
    pub piece_wait: Duration,
    /// Pieces of one message. Default: 100.
    pub pieces_max: u16,
    /// Conversations kept in memory per partition. Default: 10000.
    pub cache_max: usize,
    /// A closed conversation takes a new message within this time; later a new one begins. Default: 24h.
    pub reopen_within: Duration,
    /// Messages of one conversation with nobody answering; past it they are refused as a flood. Default: 10000.
    pub unanswered_max: u32,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::secs(15),
            batch_max: 100,
            batch_wait: Duration::millis(5),
            assigner_tick: Duration::secs(1),
            assigner_batch_max: 500,
            timer_tick: Duration::secs(1),
            timer_batch_max: 200,
            outbox_batch_max: 500,
            piece_wait: Duration::secs(600),
            pieces_max: 100,
            cache_max: 10_000,
            reopen_within: Duration::days(1),
            unanswered_max: 10_000,
        }
    }
}

/// Sending. A channel's own file may set lower limits.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sinks {
    /// Sends at one time, per process. Default: 512.
    pub in_flight_max: usize,
    /// Sends at one time for one channel, unless its file says otherwise. Default: 32.
    pub channel_in_flight_max: usize,
    /// Lanes kept in memory, per process. Default: 10000.
    pub lanes_max: usize,
    /// To connect to a provider. Default: 5s.
    pub connect_timeout: Duration,
    /// From a request to the end of its answer. Default: 30s.
    pub attempt_timeout: Duration,
    /// A provider's answer. Default: 1MiB.
    pub answer_max: ByteSize,
    /// Requests for one message, uploads and retries within an attempt included. Default: 32.
    pub exchanges_max: u16,
    /// Between two looks at parked messages that are due. Default: 500ms.
    pub parked_tick: Duration,
    /// Parked messages taken up in one look. Default: 200.
    pub parked_batch_max: usize,
    /// Messages parked for one channel; past it the oldest expire. Default: 100000.
    pub parked_max: u64,
}

impl Default for Sinks {
    fn default() -> Self {
        Self {
            in_flight_max: 512,
            channel_in_flight_max: 32,
            lanes_max: 10_000,
            connect_timeout: Duration::secs(5),
            attempt_timeout: Duration::secs(30),
            answer_max: ByteSize::mib(1),
            exchanges_max: 32,
            parked_tick: Duration::millis(500),
            parked_batch_max: 200,
            parked_max: 100_000,
        }
    }
}

/// People who answer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// A console that vanishes makes its agent offline after this long. Default: 30s.
    pub presence_grace: Duration,
    /// Conversations assigned to one agent at a time, unless the agent's own says otherwise. Default: 5.
    pub capacity: u16,
    /// Consoles of one agent at one time. Default: 10.
    pub consoles_max: usize,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            presence_grace: Duration::secs(30),
            capacity: 5,
            consoles_max: 10,
        }
    }
}
