//! MQTT on the wire, 3.1.1 and 5, as this house speaks it: packets, framing with bounds, topics, TLS,
//! and a connection to a broker. It knows no channel; who subscribes, publishes or listens is decided
//! by the gateway's ingress and by the sinks.
//!
//! The codec beneath is rumqttc's; nothing of it shows outside of [`codec`]. QoS 2 is not spoken.

mod client;
mod codec;
mod conn;
mod packet;
mod tls;
pub mod topic;

pub use client::{Client, LinkError, filter_hash};
pub use codec::{Malformed, version_of};
pub use conn::{Conn, ConnError, Socket};
pub use packet::{
    Bounds, ConnAck, Connect, Packet, Properties, Publish, SUBSCRIPTION_REFUSED, Will, reason,
};
pub use tls::{TlsError, client_config, common_name, server_config};
