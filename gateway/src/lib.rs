//! The gateway: transports, the pipeline, live connections, the command line, and the roles that one
//! process plays. [`main`] is the whole program for a list of adapters.

mod assets;
mod backlog;
mod bench;
mod cli;
pub mod edge;
mod gates;
pub mod ingress;
pub mod live;
mod observe;
mod open;
pub mod pipeline;
mod random;
mod rates;
mod roles;

pub use cli::main;
