//! What the API asks for: filters, pages, views.

use patchbay_message::{AgentId, ChannelId, ConversationId, GroupId, Time};

use crate::{Contact, Conversation, ConversationState, Thread};

/// Where a page begins: time and id of the last row of the page before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Sort key, milliseconds.
    pub at: Time,
    /// Breaks ties.
    pub id: uuid::Uuid,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; none if this was the last.
    pub next: Option<Cursor>,
}

/// Which conversations.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConversationFilter {
    /// In any of these states; empty = all.
    pub states: Vec<ConversationState>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Of any of these groups; empty = all.
    pub groups: Vec<GroupId>,
    /// Of this channel.
    pub channel: Option<ChannelId>,
    /// The contact's name, or the address of the conversation's thread, contains this, without
    /// regard to case.
    pub text: Option<String>,
    /// After this one.
    pub cursor: Option<Cursor>,
    /// At most this many.
    pub limit: u32,
}

/// A conversation with what is shown beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationView {
    /// The row.
    pub conversation: Conversation,
    /// Whose.
    pub contact: Contact,
    /// Its thread.
    pub thread: Thread,
    /// Place among the new and waiting of its group (or of none), from 1; none in other states.
    pub position: Option<u32>,
}

/// Which of a conversation's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagePage {
    /// The newest before this `pos` (`u64::MAX` for the end), at most so many, in order of `pos`.
    Before(u64, u32),
    /// The first after this `pos`, at most so many, in order of `pos`.
    After(u64, u32),
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeadFilter {
    /// Of this channel.
    pub channel: Option<ChannelId>,
    /// With this status; none = `dead`.
    pub status: Option<String>,
    /// Of this conversation.
    pub conversation: Option<ConversationId>,
    /// After this one.
    pub cursor: Option<Cursor>,
    /// At most this many.
    pub limit: u32,
}
