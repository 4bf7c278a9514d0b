//! What is loaded before deciding.

use std::collections::HashMap;

use bytes::Bytes;
use patchbay_message::{
    AgentId, ChannelId, CommandId, ContactId, ConversationId, GroupId, MessageId, Outcome,
    Severity, ThreadId, TicketId, Time,
};
use serde_json::Value;

use crate::{Agent, Contact, Conversation, Cursor, Device, Expect, Group, Thread, Ticket};

/// What a decision needs to know.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Want {
    /// Which of these `(source, id)` are processed.
    pub processed: Vec<(String, String)>,
    /// Which of these dedupe keys are taken, by which message.
    pub dedupe: Vec<String>,
    /// Threads by address, with contact and newest conversation that is not closed.
    pub addresses: Vec<(ChannelId, String)>,
    /// Conversations, with thread and contact.
    pub conversations: Vec<ConversationId>,
    /// How these commands ended, if they have.
    pub commands: Vec<CommandId>,
    /// Every agent and group (they are few), if true.
    pub desk: bool,
    /// Conversations that wait for an agent (new or waiting) by `waiting_since`, else `created_at`,
    /// oldest first, at most this many.
    pub waiting: u32,
    /// Only those that wait after this one: the next page of `waiting`. `at` is what they are ordered
    /// by (`waiting_since`, else `created_at`).
    pub waiting_after: Option<Cursor>,
    /// Conversations whose snooze has ended by then, at most 256.
    pub snoozed_until: Option<Time>,
    /// Newest outbox seq of this partition, relayed rows included.
    pub outbox: Option<String>,
    /// The device rows of these threads.
    pub devices: Vec<ThreadId>,
    /// Tickets by id.
    pub tickets: Vec<TicketId>,
    /// Of each channel, device and code: the open ticket, else the newest closed one.
    pub faults: Vec<(ChannelId, String, String)>,
    /// Tickets that wait for an agent (new or reopened), worst first, then by `waiting_since`, else
    /// `created_at`, at most this many.
    pub waiting_tickets: u32,
    /// Only those that wait after this one: the next page of `waiting_tickets`. Its severity, and
    /// what [`Want::waiting_after`] holds of a conversation.
    pub waiting_tickets_after: Option<(Severity, Cursor)>,
    /// Flapping tickets whose `settles_at` is past by then, at most 256.
    pub settled_until: Option<Time>,
    /// Devices whose `silent_at` is past by then, longest silent first, at most 256.
    pub silent_until: Option<Time>,
    /// Only those after this one: the next page of `silent_until`. `at` is its `silent_at`, `id` its
    /// thread.
    pub silent_after: Option<Cursor>,
    /// Answers that are overdue by then, at most 256.
    pub overdue_until: Option<Time>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// Those that are.
    pub processed: Vec<(String, String)>,
    /// Those that are taken.
    pub dedupe: HashMap<String, MessageId>,
    /// By address.
    pub threads: HashMap<(ChannelId, String), Thread>,
    /// By id.
    pub contacts: HashMap<ContactId, Contact>,
    /// Those wanted by id, and the newest not closed one of every thread found.
    pub conversations: HashMap<ConversationId, Conversation>,
    /// The newest conversation of each thread that is not closed.
    pub current: HashMap<ThreadId, ConversationId>,
    /// Commands that have ended.
    pub outcomes: HashMap<CommandId, Outcome>,
    /// Every agent.
    pub agents: HashMap<AgentId, Agent>,
    /// Every group.
    pub groups: HashMap<GroupId, Group>,
    /// Oldest first.
    pub waiting: Vec<Conversation>,
    /// Conversations whose snooze has ended.
    pub woken: Vec<Conversation>,
    /// Newest outbox seq; 0 if none.
    pub outbox_seq: u64,
    /// By thread.
    pub devices: HashMap<ThreadId, Device>,
    /// Those wanted by id or by fault.
    pub tickets: HashMap<TicketId, Ticket>,
    /// The ticket of each channel, device and code, if there is one.
    pub ticket_of: HashMap<(ChannelId, String, String), TicketId>,
    /// Tickets that wait, in order.
    pub waiting_tickets: Vec<Ticket>,
    /// Flapping tickets that have been quiet long enough.
    pub settled: Vec<Ticket>,
    /// Devices that have been silent for too long.
    pub silent: Vec<Device>,
    /// Answers that did not come.
    pub overdue: Vec<Expect>,
}

/// How a lane stands.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneFacts {
    /// Which.
    pub lane: ThreadId,
    /// The last number performed or given up.
    pub done: u64,
    /// How many are parked in it.
    pub parked: u32,
    /// The smallest parked number.
    pub first_parked: Option<u64>,
    /// When that one is due.
    pub due: Option<Time>,
    /// Attempts of numbers after `done`, by `out_seq` and part: begun and perhaps not finished.
    pub attempts: Vec<Attempt>,
    /// Gateways that hold the contact's connections.
    pub gateways: Vec<patchbay_message::InstanceId>,
}

/// A side-effecting call that was begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// For which message.
    pub message: MessageId,
    /// Which part.
    pub part: u16,
    /// What became of it; none = not known.
    pub exchange: Option<Value>,
}

/// An outbound that waits in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// The envelope's id.
    pub id: MessageId,
    /// Lane.
    pub lane: ThreadId,
    /// Its number.
    pub out_seq: u64,
    /// When it is due.
    pub due: Time,
    /// See [`crate::Park::reason`].
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The envelope as JSON.
    pub envelope: Bytes,
}
