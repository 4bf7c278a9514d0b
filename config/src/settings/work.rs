//! The router, the sinks and the agents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Duration};

/// The routing worker.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// An exclusive duty passes to another process this long after its owner falls silent. Default: 10s.
    pub lease_ttl: Duration,
    /// Deliveries in one transaction. Default: 256.
    pub batch_max: usize,
    /// Waiting conversations are looked at this often, and whenever something changes. Default: 1s.
    pub assigner_tick: Duration,
    /// Conversations given out or moved in one transaction. Default: 64.
    pub assigner_batch_max: usize,
    /// Outbounds published in one go. Default: 512.
    pub outbox_batch_max: usize,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::secs(10),
            batch_max: 256,
            assigner_tick: Duration::secs(1),
            assigner_batch_max: 64,
            outbox_batch_max: 512,
        }
    }
}

/// Sending. A channel's own file may set lower limits.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sinks {
    /// Sends at one time, per process. Default: 512.
    pub in_flight_max: u32,
    /// Sends at one time for one channel, unless its file says otherwise. Default: 64.
    pub channel_in_flight_max: u32,
    /// To connect to a provider. Default: 5s.
    pub connect_timeout: Duration,
    /// From a request to the end of its answer, whatever the adapter asks for. Default: 60s.
    pub attempt_timeout: Duration,
    /// Of a provider's answer this much is read. Default: 256KiB.
    pub answer_max: ByteSize,
}

impl Default for Sinks {
    fn default() -> Self {
        Self {
            in_flight_max: 512,
            channel_in_flight_max: 64,
            connect_timeout: Duration::secs(5),
            attempt_timeout: Duration::secs(60),
            answer_max: ByteSize::kib(256),
        }
    }
}

/// People who answer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// A console that vanishes makes its agent offline after this long. Default: 30s.
    pub presence_grace: Duration,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            presence_grace: Duration::secs(30),
        }
    }
}
