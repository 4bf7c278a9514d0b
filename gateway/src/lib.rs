//! The gateway: transports, the pipeline, and live connections.

pub mod edge;
mod gates;
pub mod ingress;
pub mod live;
pub mod pipeline;
mod rates;
