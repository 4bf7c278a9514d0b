//! The rows as they are read and written.

use bytes::Bytes;
use patchbay_message::{
    AgentId, Attributes, ChannelId, ContactId, Content, ConversationId, Direction, GroupId,
    MessageId, Party, ReceiptState, ThreadId, Time, TokenId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The word in the store and on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
            /// From the word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where a conversation stands.
    ConversationState {
        /// Just begun, not yet looked at by the assigner.
        New = "new",
        /// In the queue for an agent.
        Waiting = "waiting",
        /// An agent has it and it is our turn.
        Open = "open",
        /// An agent has it and it is the contact's turn.
        Pending = "pending",
        /// Resting until a time or the contact's next message.
        Snoozed = "snoozed",
        /// Done; the contact's next message opens it again.
        Resolved = "resolved",
        /// Over; the contact's next message begins another.
        Closed = "closed",
    }
}

words! {
    /// Whether an agent takes conversations.
    Presence {
        /// Takes new ones.
        Online = "online",
        /// Keeps what they have, takes no new ones.
        Away = "away",
        /// Not there.
        Offline = "offline",
    }
}

words! {
    /// What a token allows; each role may do what the one after it may, but for `agent`'s own work.
    Role {
        /// Everything.
        Admin = "admin",
        /// Everything but configuration, agents and tokens.
        Supervisor = "supervisor",
        /// Conversations.
        Agent = "agent",
        /// Reads only.
        Auditor = "auditor",
    }
}

words! {
    /// How a group picks among its free agents.
    Strategy {
        /// Who was assigned to longest ago.
        RoundRobin = "round_robin",
        /// Who has the smallest share of their capacity in use.
        LeastLoaded = "least_loaded",
    }
}

words! {
    /// What a row of the message table is.
    MessageKind {
        /// Something said between contact and us; has a thread number.
        Message = "message",
        /// Internal; the contact never sees it.
        Note = "note",
        /// Said by Patchbay in the console only: assigned, closed ...
        Notice = "notice",
    }
}

pub(crate) use words;

/// A person or device.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// Id.
    pub id: ContactId,
    /// Display name.
    pub name: Option<String>,
    /// BCP 47.
    pub locale: Option<String>,
    /// What else is known.
    pub attributes: Attributes,
    /// First seen.
    pub created_at: Time,
}

/// An address of a contact and the contact's numbered view on that channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread {
    /// Id; also the lane's key.
    pub id: ThreadId,
    /// Channel.
    pub channel: ChannelId,
    /// The adapter's id.
    pub channel_kind: String,
    /// Address on it.
    pub address: String,
    /// Whose.
    pub contact_id: ContactId,
    /// The inbound partition everything of this thread goes through.
    pub partition: u16,
    /// The address is proven.
    pub verified: bool,
    /// Newest `thread_seq`.
    pub last_seq: u64,
    /// Newest `out_seq`.
    pub last_out_seq: u64,
    /// Watermark.
    pub delivered_seq: u64,
    /// Watermark.
    pub read_seq: u64,
    /// Rises with every change by the router.
    pub version: i64,
}

/// The talk between a contact and us.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// Id.
    pub id: ConversationId,
    /// Whose.
    pub contact_id: ContactId,
    /// Its thread now.
    pub thread_id: ThreadId,
    /// Its channel now.
    pub channel: ChannelId,
    /// The inbound partition its commands go through.
    pub partition: u16,
    /// Where it stands.
    pub state: ConversationState,
    /// Which group is in charge.
    pub group_id: Option<GroupId>,
    /// Which agent has it.
    pub agent_id: Option<AgentId>,
    /// Who had it before; preferred at the next assignment.
    pub last_agent_id: Option<AgentId>,
    /// Since when it waits for an agent.
    pub waiting_since: Option<Time>,
    /// Until when it rests.
    pub snoozed_until: Option<Time>,
    /// Begun.
    pub created_at: Time,
    /// Last change.
    pub updated_at: Time,
    /// Newest `pos` of its messages and notes.
    pub last_pos: u64,
    /// Contact's messages the agent has not read.
    pub unread: u32,
    /// Newest message: first 120 characters, who, when.
    pub last_preview: Option<String>,
    /// `contact`, `agent` or `system`.
    pub last_from: Option<String>,
    /// When.
    pub last_message_at: Option<Time>,
    /// Rises with every change.
    pub version: i64,
}

/// A message, note or notice.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRow {
    /// Id.
    pub id: MessageId,
    /// Of which conversation.
    pub conversation_id: ConversationId,
    /// Of which thread.
    pub thread_id: ThreadId,
    /// Orders within the conversation, gapless from 1.
    pub pos: u64,
    /// The contact's number of it; none for notes and notices.
    pub thread_seq: Option<u64>,
    /// The lane's number of it; outbound only.
    pub out_seq: Option<u64>,
    /// What it is.
    pub kind: MessageKind,
    /// Which way.
    pub direction: Direction,
    /// Who said it; for agents the address is the agent id.
    pub sender: Party,
    /// Which agent said it.
    pub agent_id: Option<AgentId>,
    /// What was said.
    pub content: Vec<Content>,
    /// The provider's or client's id.
    pub external_id: Option<String>,
    /// When it was said, else when we took it.
    pub at: Time,
    /// Outbound: how far it got.
    pub state: Option<ReceiptState>,
    /// Outbound: why it failed, a sentence.
    pub reason: Option<String>,
    /// Outbound: how often it was tried.
    pub attempts: u32,
    /// Outbound: not to be sent after this.
    pub expires_at: Option<Time>,
}

/// A human operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Id.
    pub id: AgentId,
    /// Display name, unique.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Conversations at once.
    pub capacity: u32,
    /// Conversations now (open, pending).
    pub load: u32,
    /// Whether they take conversations.
    pub presence: Presence,
    /// Last assigned to.
    pub assigned_at: Option<Time>,
    /// Their groups.
    pub groups: Vec<GroupId>,
    /// May sign in and be assigned to.
    pub active: bool,
}

/// Creates an agent or changes what is `Some`.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentUpdate {
    /// Whose; a new id creates (then `name` and `role` must be there).
    pub id: AgentId,
    /// Display name.
    pub name: Option<String>,
    /// What they may do.
    pub role: Option<Role>,
    /// Conversations at once, 0 to [`crate::limits::CAPACITY_MAX`];
    /// [`crate::limits::CAPACITY_DEFAULT`] for a new agent.
    pub capacity: Option<u32>,
    /// Their groups, all of them.
    pub groups: Option<Vec<GroupId>>,
    /// May sign in and be assigned to.
    pub active: Option<bool>,
}

/// A team.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Id.
    pub id: GroupId,
    /// Display name, unique.
    pub name: String,
    /// How it picks.
    pub strategy: Strategy,
    /// Who is in it.
    pub members: Vec<AgentId>,
    /// Channels whose new conversations it gets.
    pub channels: Vec<ChannelId>,
}

/// A bearer token's row; the token itself is kept nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// For whom it speaks; none for a machine.
    pub agent_id: Option<AgentId>,
    /// Made.
    pub created_at: Time,
    /// Valid until.
    pub expires_at: Option<Time>,
    /// Ended.
    pub revoked_at: Option<Time>,
}

/// An event to be written: numbered last before the commit.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// `conversation`, `message`, `delivery`, `seen`, `agent`, `command`, `channel`, `ticket`.
    pub kind: &'static str,
    /// About which conversation.
    pub conversation_id: Option<ConversationId>,
    /// About which agent.
    pub agent_id: Option<AgentId>,
    /// Ids and small values; readers load the rest. At most 8 KiB.
    pub data: Value,
}

/// An event as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Rises; commit order.
    pub seq: u64,
    /// See [`NewEvent::kind`].
    pub kind: String,
    /// About which conversation.
    pub conversation_id: Option<ConversationId>,
    /// About which agent.
    pub agent_id: Option<AgentId>,
    /// See [`NewEvent::data`].
    pub data: Value,
    /// When.
    pub at: Time,
}

/// An envelope waiting to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The duty that wrote it and relays it: a lease's name.
    pub partition: String,
    /// Order within the partition.
    pub seq: u64,
    /// Shard of the outbound queue.
    pub shard: u16,
    /// The envelope's id.
    pub id: MessageId,
    /// The envelope as JSON.
    pub envelope: Bytes,
}

/// What could not be delivered or processed.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The envelope's id.
    pub id: MessageId,
    /// Inbound or outbound.
    pub direction: Direction,
    /// Channel.
    pub channel: ChannelId,
    /// Of which conversation.
    pub conversation_id: Option<ConversationId>,
    /// The lane it stood in.
    pub lane: Option<ThreadId>,
    /// A closed list: `expired`, `window_closed`, `blocked`, `gone`, `payload`, `unsupported`,
    /// `account`, `unknown`, `undecodable`, `refused`.
    pub reason: String,
    /// A sentence.
    pub detail: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The last exchange, secrets and bodies redacted.
    pub exchange: Option<Value>,
    /// The envelope as JSON (or the raw bytes that were none).
    pub envelope: Bytes,
    /// When it died.
    pub at: Time,
    /// `dead`, `replayed`, `dropped`.
    pub status: String,
}

/// How a channel is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelState {
    /// Which.
    pub channel: ChannelId,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// Since when.
    pub paused_at: Option<Time>,
    /// Rests by itself until then (throttled).
    pub until: Option<Time>,
    /// Outbounds parked.
    pub parked: u64,
    /// The last error, a sentence.
    pub last_error: Option<String>,
    /// When.
    pub last_error_at: Option<Time>,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Which agent; none for the command line or the system.
    pub agent_id: Option<AgentId>,
    /// By which token.
    pub token_id: Option<TokenId>,
    /// What: `conversation.close`, `token.create` ...
    pub action: String,
    /// To what: an id.
    pub target: String,
    /// What else; no secrets, no bodies.
    pub detail: Value,
}
