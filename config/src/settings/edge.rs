//! Bounds at the edge: connections, bodies, live links, the spool, uploads, the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Duration};

/// What a stranger's connection may cost. Past a bound the peer gets a clear error or is closed.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// Connections to the public listener at one time. Default: 20000.
    pub connections_max: usize,
    /// Of these, from one address (a /64 for IPv6). Default: 512.
    pub connections_per_address_max: usize,
    /// From accept to the end of a request's headers; also the TLS handshake. Default: 10s.
    pub header_timeout: Duration,
    /// Headers of one request. Default: 64KiB.
    pub header_bytes_max: ByteSize,
    /// A request's body, uploads aside. Default: 1MiB.
    pub body_max: ByteSize,
    /// From a request's headers to its answer, long polls aside. Default: 30s.
    pub request_timeout: Duration,
    /// An idle kept-alive connection is closed after this. Default: 75s.
    pub idle_timeout: Duration,
    /// Requests answered at one time; past it: 503 with `Retry-After`. Default: 4096.
    pub requests_in_flight_max: usize,
    /// Publishes without a confirm at one time, per process. Default: 1024.
    pub publish_in_flight_max: usize,
    /// At stop: how long requests and sockets may finish. Default: 20s.
    pub drain_timeout: Duration,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_address_max: 512,
            header_timeout: Duration::secs(10),
            header_bytes_max: ByteSize::kib(64),
            body_max: ByteSize::mib(1),
            request_timeout: Duration::secs(30),
            idle_timeout: Duration::secs(75),
            requests_in_flight_max: 4096,
            publish_in_flight_max: 1024,
            drain_timeout: Duration::secs(20),
        }
    }
}

/// Live connections.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sockets {
    /// WebSockets per process. Default: 10000.
    pub sockets_max: usize,
    /// One frame from a client. Default: 64KiB.
    pub frame_max: ByteSize,
    /// Frames a minute from one client. Default: 120.
    pub frames_per_minute: u32,
    /// Frames waiting for one slow client; past it the socket is closed and the client catches up. Default: 256.
    pub queue_max: usize,
    /// A ping every so often; silence for three of them closes the socket. Default: 25s.
    pub heartbeat: Duration,
    /// Long polls per process. Default: 5000.
    pub polls_max: usize,
    /// The longest a poll waits. Default: 30s.
    pub poll_wait_max: Duration,
    /// Missed messages sent to a client that comes back, in one go. Default: 500.
    pub history_max: usize,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            sockets_max: 10_000,
            frame_max: ByteSize::kib(64),
            frames_per_minute: 120,
            queue_max: 256,
            heartbeat: Duration::secs(25),
            polls_max: 5_000,
            poll_wait_max: Duration::secs(30),
            history_max: 500,
        }
    }
}

/// The local journal of channels whose provider does not wait for the bus.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// On disk, all channels together; past it the provider is refused. Default: 1GiB.
    pub bytes_max: ByteSize,
    /// Items on disk, all channels together. Default: 1000000.
    pub items_max: u64,
    /// Items drained in one batch. Default: 200.
    pub batch_max: usize,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            bytes_max: ByteSize::mib(1024),
            items_max: 1_000_000,
            batch_max: 200,
        }
    }
}

/// Uploads and media fetched from providers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// One file, whichever way it comes. Default: 20MiB.
    pub bytes_max: ByteSize,
    /// Uploads at one time, per process. Default: 64.
    pub uploads_max: usize,
    /// Fetches from providers at one time, per process. Default: 16.
    pub fetches_max: usize,
    /// From the start of an upload or a fetch to its end. Default: 2m.
    pub timeout: Duration,
    /// How long a link to a file works. Default: 7d.
    pub link_ttl: Duration,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            bytes_max: ByteSize::mib(20),
            uploads_max: 64,
            fetches_max: 16,
            timeout: Duration::secs(120),
            link_ttl: Duration::days(7),
        }
    }
}

/// The API for agents and programs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// How long a command's outcome is waited for before the answer is 202 and its id. Default: 3s.
    pub command_wait: Duration,
    /// Items on a page unless the caller says otherwise. Default: 50.
    pub page: usize,
    /// Items on a page at most. Default: 200.
    pub page_max: usize,
    /// How long a ticket for the live events is good for. Default: 30s.
    pub ticket_ttl: Duration,
    /// Requests a second for one token; past it: 429. Default: 50.
    pub requests_per_second: u32,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            command_wait: Duration::secs(3),
            page: 50,
            page_max: 200,
            ticket_ttl: Duration::secs(30),
            requests_per_second: 50,
        }
    }
}
