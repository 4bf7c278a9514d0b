//! What can be set about RabbitMQ, with the bounds named.

use std::time::Duration;

/// Settings of a [`super::RabbitBus`]. Those marked *fixed* are part of the queues' declaration: all
/// processes must agree on them, and changing them later means new queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RabbitOptions {
    /// Put before every name, `<namespace>.inbound.g1.0`, so that several installations share a
    /// virtual host. Empty: none. *Fixed.*
    pub namespace: String,
    /// Number of inbound queues. *Fixed*, see [`crate::partition_of`].
    pub partitions: u16,
    /// Number of outbound queues. *Fixed.*
    pub shards: u16,
    /// Messages one queue holds at most; past it the broker refuses. *Fixed.*
    pub queue_length_max: u32,
    /// Bytes of bodies one queue holds at most. *Fixed.*
    pub queue_bytes_max: u64,
    /// Deliveries of one message before it is a dead letter of the broker. High: it is us who give
    /// up on messages, and every crash of a consumer counts. *Fixed.*
    pub delivery_limit: u32,
    /// What the broker's operator sees this process as; also the CloudEvents `source`.
    pub connection_name: String,
    /// Seconds between heartbeats; a peer silent for two of them is gone.
    pub heartbeat_s: u16,
    /// Time for connecting and declaring.
    pub connect_timeout: Duration,
    /// First and longest pause between attempts to connect.
    pub backoff: (Duration, Duration),
    /// How long a publish waits for a connection that is just being made.
    pub connect_wait: Duration,
    /// Messages of one queue published and not yet confirmed; past it publishers wait.
    pub window: u32,
    /// Bytes of bodies of one queue published and not yet confirmed.
    pub window_bytes: u32,
    /// A publish not confirmed after this long is reported as unavailable.
    pub confirm_timeout: Duration,
    /// How long acks are gathered.
    pub ack_interval: Duration,
    /// Gathered acks are sent at once when there are this many.
    pub ack_batch_max: usize,
    /// How long one delivery without an ack may hold up the acks of later ones before these are
    /// sent singly.
    pub ack_straggler_wait: Duration,
    /// Bytes waiting for the connection past which nudges are dropped.
    pub nudge_backlog_bytes_max: usize,
    /// Messages a mailbox holds for a slow listener.
    pub mailbox_max: usize,
    /// Further certificate authorities for `amqps`, PEM; the system's are always trusted.
    pub ca_pem: Option<String>,
}

impl Default for RabbitOptions {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            partitions: 16,
            shards: 16,
            queue_length_max: 1_000_000,
            queue_bytes_max: 4 * 1024 * 1024 * 1024,
            delivery_limit: 1_000_000,
            connection_name: "patchbay".to_owned(),
            heartbeat_s: 10,
            connect_timeout: Duration::from_secs(10),
            backoff: (Duration::from_millis(100), Duration::from_secs(5)),
            connect_wait: Duration::from_secs(1),
            window: 2048,
            window_bytes: 8 * 1024 * 1024,
            confirm_timeout: Duration::from_secs(10),
            ack_interval: Duration::from_millis(5),
            ack_batch_max: 500,
            ack_straggler_wait: Duration::from_millis(50),
            nudge_backlog_bytes_max: 1024 * 1024,
            mailbox_max: 1024,
            ca_pem: None,
        }
    }
}
