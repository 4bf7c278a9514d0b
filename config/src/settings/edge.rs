//! Bounds at the edge: connections, bodies, live links, uploads, the API.

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
            drain_timeout: Duration::secs(20),
        }
    }
}

/// Live connections.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sockets {
    /// Agents' live connections (`/api/v1/events`) per process; past it the console is told to come back.
    /// Default: 10000.
    pub sockets_max: usize,
    /// The longest a visitor's long poll may wait; it is not cut before. Default: 30s.
    pub poll_wait_max: Duration,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            sockets_max: 10_000,
            poll_wait_max: Duration::secs(30),
        }
    }
}

/// Uploads.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// One file, from a visitor or an agent. Default: 20MiB.
    pub bytes_max: ByteSize,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            bytes_max: ByteSize::mib(20),
        }
    }
}

/// The API for agents and programs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// How long a command's outcome is waited for before the answer is 202 and its id. Default: 3s.
    pub command_wait: Duration,
    /// How long a ticket for the live events is good for. Default: 30s.
    pub ticket_ttl: Duration,
    /// Requests a second for one token; past it: 429. Default: 50.
    pub requests_per_second: u32,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            command_wait: Duration::secs(3),
            ticket_ttl: Duration::secs(30),
            requests_per_second: 50,
        }
    }
}
