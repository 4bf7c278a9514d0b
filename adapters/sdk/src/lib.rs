//! What an adapter fulfils. Pure: no IO, no runtime; time, random bytes, our public address and
//! tokens come in by [`Cx`] and are pinned in fixtures.
//!
//! An adapter translates both ways for one kind of channel: wire bytes to [`Inbound`] items
//! ([`Channel::decode`]) and outbound envelopes to requests ([`Channel::send`]).

mod contract;
pub mod device;
pub mod expr;
mod json;
mod live;
mod manifest;
pub mod mapping;
mod mqtt;
mod nudge;
pub mod options;
mod plain;
mod pull;
mod registry;
mod reject;
pub mod sealed;
mod send;
pub mod topic;
pub mod tree;
pub mod verify;
mod wire;

pub use contract::{
    Adapter, Ask, Channel, Cx, Decoded, Downlink, Handles, Inbound, InboundMessage, Random, Signal,
    Slot,
};
pub use json::{parse_json, parse_object};
pub use live::{From, LinkPolicy, LiveEvent, QueueState, ThreadMessage};
pub use manifest::{Link, Manifest, OutLimits, Problem};
pub use mqtt::{
    MqttBroker, MqttIn, MqttListener, MqttLogin, MqttOut, MqttProof, MqttTls, MqttVersion,
};
pub use nudge::{LiveNudge, Nudge, RIDE_BYTES_MAX, RideAnswer, SlotAsk, SlotSaid, SlotWord};
pub use patchbay_config::Secret;
pub use plain::plain_text;
pub use pull::{Poll, PullAt, Pulled};
pub use registry::{Kind, OpenError};
pub use reject::Reject;
pub use send::{
    Answer, Await, Effect, Exchange, Fetched, HttpOut, Insert, LiveOut, Request, Scope, SendError,
    Sent, Step, Token, TokenName, Upload,
};
pub use verify::Verified;
pub use wire::{HttpIn, Reply, Session, Wire};
