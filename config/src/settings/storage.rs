//! The bus, the store and the blobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::url::{BlobsUrl, BusUrl, StoreUrl};
use crate::{ByteSize, Duration, Secret};

/// The bus. Partitions and shards are fixed at install and stored: a process that differs refuses to start.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bus {
    /// `embedded` (one process, a journal in `data_dir`) or an address `amqp://` / `amqps://`. Default: `embedded`.
    pub url: BusUrl,
    /// Inbound queues. Default: 16.
    pub partitions: u16,
    /// Outbound queues. Default: 16.
    pub shards: u16,
    /// Deliveries without an ack per queue. Default: 1000.
    pub prefetch: u16,
    /// Messages in one queue; past it publishers are refused, never messages dropped. Default: 1000000.
    pub queue_length_max: u64,
    /// Bytes in one queue. Default: 4GiB.
    pub queue_bytes_max: ByteSize,
    /// Hand-overs of one delivery before it is a dead letter; high, because an outage hands over again and again.
    /// Default: 1000000.
    pub delivery_limit: u32,
    /// From a publish to its confirm; then the outcome is unknown and the publish is repeated. Default: 10s.
    pub confirm_timeout: Duration,
    /// Publishes without a confirm per process, RabbitMQ only; past it publishers wait. Default: 2048.
    pub publish_in_flight_max: u32,
    /// After the connection is lost.
    pub reconnect: Reconnect,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            url: BusUrl::Embedded,
            partitions: 16,
            shards: 16,
            prefetch: 1000,
            queue_length_max: 1_000_000,
            queue_bytes_max: ByteSize::mib(4096),
            delivery_limit: 1_000_000,
            confirm_timeout: Duration::secs(10),
            publish_in_flight_max: 2048,
            reconnect: Reconnect::default(),
        }
    }
}

/// How fast a lost connection is tried again: from `delay_min`, doubling with jitter, up to `delay_max`, for ever.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reconnect {
    /// Default: 100ms.
    pub delay_min: Duration,
    /// Default: 5s.
    pub delay_max: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            delay_min: Duration::millis(100),
            delay_max: Duration::secs(5),
        }
    }
}

/// The store.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite` (one machine, a file in `data_dir`) or an address `postgres://`. Default: `sqlite`.
    pub url: StoreUrl,
    /// Connections per process for the work, PostgreSQL only; what people read takes up to 8 more. Default: 8.
    pub connections_max: usize,
    /// Waiting for a connection, and for one statement. Default: 10s.
    pub timeout: Duration,
    /// A repeated delivery is recognised for this long. Default: 30d.
    pub dedupe_horizon: Duration,
    /// When what is remembered is forgotten.
    pub retention: Retention,
    /// Rows deleted in one transaction of the clean-up. Default: 1000.
    pub cleanup_batch_max: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: StoreUrl::Sqlite,
            connections_max: 8,
            timeout: Duration::secs(10),
            dedupe_horizon: Duration::days(30),
            retention: Retention::default(),
            cleanup_batch_max: 1000,
        }
    }
}

/// When what is remembered is forgotten, counted from its last change.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Who changed what: agents, groups, tokens, channels. Default: 365d.
    pub audit: Duration,
    /// The event log that consoles and webhooks resume from. Default: 30d.
    pub events: Duration,
    /// Dead letters that were replayed or dropped. Default: 90d.
    pub dead_letters: Duration,
    /// Send attempts and receipts of finished messages. Default: 30d.
    pub attempts: Duration,
    /// Outcomes of commands, for repeated `Idempotency-Key`s. Default: 7d.
    pub commands: Duration,
    /// Tickets that are done or cancelled, with their histories. Default: 730d.
    pub tickets: Duration,
    /// Conversations that are closed, with their messages; one that a ticket is about goes after the ticket.
    /// Contacts and devices stay. Default: 730d.
    pub conversations: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            audit: Duration::days(365),
            events: Duration::days(30),
            dead_letters: Duration::days(90),
            attempts: Duration::days(30),
            commands: Duration::days(7),
            tickets: Duration::days(730),
            conversations: Duration::days(730),
        }
    }
}

/// Media storage.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Blobs {
    /// `file` (a folder in `data_dir`) or `s3://bucket/prefix?endpoint=https://..&region=..`. Default: `file`.
    pub url: BlobsUrl,
    /// S3 only: the access key's id.
    pub access_key: Option<Secret>,
    /// S3 only: the secret key.
    pub secret_key: Option<Secret>,
}
