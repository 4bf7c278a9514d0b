//! What channels with sockets show live, and the bounds of their connections.

use std::time::Duration;

use patchbay_message::{Content, ConversationId, MessageId, Time};

/// Bounds and rules of a channel's client connections. The transport enforces them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPolicy {
    /// How often the server pings.
    pub heartbeat: Duration,
    /// Silence after which the connection is closed.
    pub idle: Duration,
    /// The largest frame taken, bytes.
    pub frame_bytes_max: usize,
    /// Messages one address may send in a minute; beyond it `rate_limited`.
    pub messages_per_minute: u32,
    /// Burst on top of the rate.
    pub messages_burst: u32,
    /// Origins that browsers may come from, `https://a.example` or `https://*.a.example`; empty
    /// refuses every browser, `*` alone allows any.
    pub origins: Vec<String>,
    /// Connections one address may hold.
    pub connections_per_address: u32,
}

impl Default for LinkPolicy {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            frame_bytes_max: 64 * 1024,
            messages_per_minute: 60,
            messages_burst: 20,
            origins: Vec::new(),
            connections_per_address: 8,
        }
    }
}

/// Who a thread's message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The contact.
    Contact,
    /// An agent.
    Agent,
    /// Patchbay itself: a greeting, a notice.
    System,
}

/// One numbered message of a thread, as the contact may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadMessage {
    /// Its gapless number.
    pub seq: u64,
    /// Its id.
    pub id: MessageId,
    /// Who said it.
    pub from: From,
    /// Their display name.
    pub name: Option<String>,
    /// The client's own id of it, if the contact sent it.
    pub external_id: Option<String>,
    /// What was said.
    pub content: Vec<Content>,
    /// When we took it.
    pub at: Time,
    /// Of which conversation.
    pub conversation_id: ConversationId,
}

/// Where a contact stands in the waiting queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueState {
    /// Waiting, with `n - 1` before them.
    Waiting(u32),
    /// This agent has taken the conversation.
    Assigned(Option<String>),
    /// There is no open conversation.
    Closed,
}

/// Something to show on a live connection.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveEvent<'a> {
    /// What was missed has been sent.
    Ready {
        /// Whose connection.
        address: &'a str,
        /// The thread's newest number.
        seq: u64,
        /// Watermarks as stored.
        delivered: u64,
        /// Watermarks as stored.
        read: u64,
        /// How far agents have read.
        agent_read: u64,
        /// Where they wait, if they do.
        queue: Option<QueueState>,
    },
    /// A message of the thread.
    Message(&'a ThreadMessage),
    /// Their message is durable.
    Accepted {
        /// The client's id of it.
        external_id: &'a str,
        /// Ours.
        id: MessageId,
    },
    /// Their frame was not taken.
    Refused {
        /// The client's id of it, if it had one that could be read.
        external_id: Option<&'a str>,
        /// `bad_frame`, `too_large`, `rate_limited`, `unavailable`, `forbidden`, `unsupported`.
        code: &'static str,
        /// A sentence.
        detail: &'a str,
        /// Try again after this; none = do not.
        retry_after: Option<Duration>,
    },
    /// The agent is typing, or has stopped.
    Typing {
        /// The agent's display name.
        name: Option<&'a str>,
        /// Typing or not.
        on: bool,
    },
    /// The agent has read up to here.
    Seen {
        /// Watermark.
        read: u64,
    },
    /// The place in the waiting queue changed.
    Queue(&'a QueueState),
    /// Are you there?
    Ping,
    /// Answer to a client's ping.
    Pong {
        /// What the client gave, as JSON.
        at: Option<&'a str>,
        /// The thread's newest number.
        seq: u64,
    },
    /// The server closes next.
    Bye {
        /// `shutdown`, `idle`, `replaced`, `slow`, `expired`.
        reason: &'static str,
        /// When to come back.
        reconnect: Option<Duration>,
    },
}
