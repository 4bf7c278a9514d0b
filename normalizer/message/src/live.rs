//! What travels on mailboxes between processes: lossy, small, never on the durable bus.

use serde::{Deserialize, Serialize};

use crate::ThreadId;

/// Anyone to every gateway: something short-lived for a contact. Mailbox: event `signal`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveSignal {
    /// Whose thread.
    pub thread_id: ThreadId,
    /// What it is.
    #[serde(flatten)]
    pub body: SignalBody,
}

impl LiveSignal {
    /// The event type of its mailbox.
    pub const MAILBOX: &'static str = "signal";
}

/// What a contact is shown beside messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "signal", rename_all = "snake_case")]
pub enum SignalBody {
    /// The agent types, or has stopped.
    Typing {
        /// The agent's display name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Typing or not.
        on: bool,
    },
    /// The agent has read up to this number.
    Seen {
        /// Watermark.
        read: u64,
    },
    /// The contact waits for an agent.
    Waiting {
        /// Place in the queue, from 1.
        position: u32,
    },
    /// An agent has taken the conversation.
    Assigned {
        /// The agent's display name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// The conversation is over.
    Closed,
}

/// Gateway to every API process: a contact types. Mailbox: event `typing`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContactTyping {
    /// Whose thread.
    pub thread_id: ThreadId,
    /// Typing or not.
    pub on: bool,
}

impl ContactTyping {
    /// The event type of its mailbox.
    pub const MAILBOX: &'static str = "typing";
}

/// Whoever wrote events to everyone who reads the event log: there is something new. Mailbox: event
/// `log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogNudge {
    /// The newest number written.
    pub seq: u64,
}

impl LogNudge {
    /// The event type of its mailbox.
    pub const MAILBOX: &'static str = "log";
}
