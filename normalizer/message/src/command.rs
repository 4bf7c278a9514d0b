//! What agents and the API ask for: commands travel through the conversation's own partition.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentId, CommandId, Content, ConversationId, GroupId, Severity, TicketId, Time, open::open_enum,
};

open_enum! {
    /// What is to be done to a conversation; to one of its tickets, if the command names one.
    CommandName {
        /// Send `content` to the contact.
        Reply = "reply",
        /// Keep `content` as an internal note.
        Note = "note",
        /// Give the conversation to `assignee`, or to the queue of `group`, or to the waiting queue.
        Assign = "assign",
        /// The work is done; the contact may still answer within the reopen window.
        Resolve = "resolve",
        /// The end; a later message opens a new conversation.
        Close = "close",
        /// Take it up again.
        Reopen = "reopen",
        /// Rest until `until`.
        Snooze = "snooze",
        /// Of a ticket: the work is done.
        Confirm = "confirm",
        /// Of a ticket: it is not to be worked on.
        Cancel = "cancel",
        /// Of a ticket: `category`, `severity`, `title`.
        Edit = "edit",
    }
}

/// A command: the envelope's `command` member, `type = "command"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// Names the command and its outcome. The same UUID as the id of the envelope that carries it.
    pub id: CommandId,
    /// What is to be done.
    pub name: CommandName,
    /// To which conversation.
    pub conversation_id: ConversationId,
    /// To which of the conversation's tickets: what is said or done belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_id: Option<TicketId>,
    /// Who asks; none for the system itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The version the asker saw; another one refuses the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    /// The same key of the same asker is done once.
    pub idempotency_key: String,
    /// What to say or note.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Content>,
    /// To whom to assign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<AgentId>,
    /// To which group to assign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Until when to snooze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// A reply that was not sent by then is not to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// A ticket's new category; empty takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// A ticket's new severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// A ticket's new title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

open_enum! {
    /// How a command ended.
    OutcomeStatus {
        /// Done (now, or earlier under the same idempotency key).
        Done = "done",
        /// Refused: `code` says why.
        Refused = "refused",
    }
}

/// How a command ended: kept for who asks later, and told to who waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Which command.
    pub command_id: CommandId,
    /// Done or refused.
    pub status: OutcomeStatus,
    /// Closed list of reasons: `not_found`, `version`, `state`, `capacity`, `offline`, `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The message a reply or note became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<crate::MessageId>,
    /// The conversation's version afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}
