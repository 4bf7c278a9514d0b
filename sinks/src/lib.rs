//! The sink worker: takes outbound envelopes from the bus, keeps each lane in order, and drives the
//! adapters' `send` by HTTP requests and live pushes. What cannot go now waits in the store.
//!
//! It knows no channel by name and never decides to whom a message goes.

mod channels;

pub use channels::{
    Channels, IN_FLIGHT_MAX, OnDead, OnUnknown, OpenChannel, RetryPolicy, SendLimits,
};
