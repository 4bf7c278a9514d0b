//! The canonical message schema, version 1: what travels on every topic of the bus.
//!
//! Plain serde types with newtype ids. Unknown fields are kept, every enum keeps values it does not
//! know, and [`limits`] bounds every field. No IO, no clock but the [`Clock`] trait.

mod bytes;
mod check;
mod command;
mod content;
mod envelope;
mod fields;
mod ids;
pub mod limits;
mod live;
mod open;
mod receipt;
mod time;

pub use bytes::BadEnvelope;
pub use command::{Command, CommandName, Outcome, OutcomeStatus};
pub use content::{Choice, Content, Fault, FaultState, Location, Media, Part, Severity};
pub use envelope::{
    Authenticity, ChannelRef, Direction, Envelope, EnvelopeType, Party, ReplyHandle, SCHEMA_VERSION,
};
pub use ids::{
    AgentId, BadId, ChannelId, CommandId, ContactId, ConversationId, GroupId, InstanceId,
    MessageId, ThreadId, TicketId, TokenId,
};
pub use limits::{Rule, Violation};
pub use live::{ContactTyping, LiveSignal, LogNudge, SignalBody};
pub use receipt::{Receipt, ReceiptState};
pub use time::{BadTime, Clock, ManualClock, SystemClock, Time};

/// Free-form attributes that travel with an envelope or a party.
pub type Attributes = serde_json::Map<String, serde_json::Value>;
