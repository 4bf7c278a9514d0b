//! Packets and framing, over pipes instead of sockets.
#![expect(clippy::unwrap_used, reason = "helpers of a test binary")]

mod arbitrary;
mod framing;
mod packets;
mod tls;
