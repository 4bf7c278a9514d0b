//! What can be set about the router, every bound by name.

use std::{sync::Arc, time::Duration};

use patchbay_store::Retention;

use crate::{decide::Rules, status::Status};

/// Settings of one router. `default()` is what a small installation runs with.
#[derive(Debug, Clone)]
pub struct RouterOptions {
    /// How many inbound partitions there are; fixed at install.
    pub partitions: u16,
    /// What decisions depend on.
    pub rules: Rules,
    /// Deliveries decided and committed at once, at most.
    pub batch_max: usize,
    /// Deliveries of one partition on their way to us, at most.
    pub prefetch: u16,
    /// A lease not renewed for this long is free. Renewed five times as often.
    pub lease_ttl: Duration,
    /// Pause before the first retry of store or bus, and the longest one.
    pub retry_min: Duration,
    /// See `retry_min`.
    pub retry_max: Duration,
    /// Outbounds published at once, at most.
    pub relay_batch_max: usize,
    /// Outbounds of one partition kept in memory until they are published; past it they are read
    /// back from the store.
    pub relay_memory_max: usize,
    /// Published outbounds are deleted with the next commit, or after this long.
    pub relay_flush_after: Duration,
    /// How long a stopping partition waits for its outbounds to be published. What is left is
    /// relayed by whoever takes over.
    pub drain_max: Duration,
    /// The assigner looks at the queue at least this often.
    pub rescan_every: Duration,
    /// Pause between two looks at the queue, at least.
    pub rescan_pause: Duration,
    /// Conversations and tickets given out or moved by one commit, at most.
    pub assign_batch_max: usize,
    /// Waiting conversations and tickets looked at, at most. It looks further than the front of the queue only if
    /// somebody is free whom those at the front do not want.
    pub waiting_max: usize,
    /// Contacts told their place in the queue after one look, at most.
    pub positions_max: usize,
    /// Conversations and tickets of an agent who has been offline this long go back into the queue.
    /// None: they stay with the agent until somebody moves them. Counted from when the assigner notices; a new
    /// assigner counts from the start.
    pub requeue_offline_after: Option<Duration>,
    /// A new assigner judges no device's silence for this long: what has gathered meanwhile, with the
    /// bus and with brokers, is taken in first.
    pub silence_grace: Duration,
    /// A silence that was made a fault is told again after this long, if it was not decided by then.
    pub silence_again: Duration,
    /// How long things are kept.
    pub retention: Retention,
    /// How often what is past its retention is deleted.
    pub sweep_every: Duration,
    /// Rows of each kind deleted at once, at most.
    pub sweep_rows_max: u32,
    /// Shown to whoever asks whether this router is ready. A clone of the options shares it.
    pub status: Arc<Status>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            partitions: 16,
            rules: Rules::default(),
            batch_max: 256,
            prefetch: 1000,
            lease_ttl: Duration::from_secs(10),
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(5),
            relay_batch_max: 512,
            relay_memory_max: 8192,
            relay_flush_after: Duration::from_secs(1),
            drain_max: Duration::from_secs(5),
            rescan_every: Duration::from_secs(1),
            rescan_pause: Duration::from_millis(5),
            assign_batch_max: 64,
            waiting_max: 16_384,
            positions_max: 256,
            requeue_offline_after: None,
            silence_grace: Duration::from_secs(15),
            silence_again: Duration::from_secs(600),
            retention: Retention {
                dedupe: DAY * 30,
                processed: DAY * 7,
                events: DAY * 30,
                receipts: DAY * 30,
                dead: DAY * 90,
                audit: DAY * 365,
                tickets: DAY * 730,
                conversations: DAY * 730,
            },
            sweep_every: Duration::from_secs(60),
            sweep_rows_max: 1000,
            status: Arc::new(Status::default()),
        }
    }
}
