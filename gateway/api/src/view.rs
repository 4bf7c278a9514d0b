//! What the API shows: the shapes of docs/api.md, made of rows.

mod tickets;

use patchbay_message::{
    AgentId, ChannelId, ContactId, Content, ConversationId, Direction, GroupId, MessageId, Outcome,
    OutcomeStatus, ReceiptState, Time, TokenId,
};
use patchbay_store::{
    Agent, ConversationState, ConversationView, Group, MessageKind, MessageRow, Presence,
    ReplyStanding, Role, Strategy, Token,
};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::tickets::{EntryShown, TicketDetail, TicketShown};
use crate::{Problem, directory::Names};

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// Give it back as `cursor` for the next page.
    pub(crate) next: Option<String>,
}

/// An id and a name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Named {
    #[schema(format = "uuid")]
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A channel, by id and kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelName {
    #[schema(value_type = String)]
    pub(crate) id: ChannelId,
    pub(crate) kind: String,
}

/// Whom the conversation is with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContactShown {
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: ContactId,
    pub(crate) name: Option<String>,
    pub(crate) address: String,
    pub(crate) verified: bool,
    pub(crate) locale: Option<String>,
}

/// The newest message, short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastMessage {
    pub(crate) preview: String,
    /// `contact`, `agent` or `system`.
    pub(crate) from: String,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Time,
}

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationShown {
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: ConversationId,
    pub(crate) version: i64,
    #[schema(value_type = String)]
    pub(crate) state: ConversationState,
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactShown,
    pub(crate) group: Option<Named>,
    pub(crate) agent: Option<Named>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) waiting_since: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) snoozed_until: Option<Time>,
    pub(crate) position: Option<u32>,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Time,
    pub(crate) last_message: Option<LastMessage>,
    pub(crate) unread: u32,
    /// How far the contact's device has it: everything up to this `seq`.
    pub(crate) delivered: u64,
    /// How far the contact has read.
    pub(crate) read: u64,
    /// Agents who write a reply now.
    pub(crate) replying: Vec<Named>,
    /// Where the channel limits how long and how often the contact may be answered. Only when one
    /// conversation is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_window: Option<ReplyWindowShown>,
}

/// How often the contact may still be answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplyWindowShown {
    /// Messages; null = as many as one likes. 0: the contact has to write first.
    pub(crate) remaining: Option<u32>,
    /// Until when, or when the last window ended; null = no end.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) until: Option<Time>,
}

impl From<ReplyStanding> for ReplyWindowShown {
    fn from(standing: ReplyStanding) -> Self {
        Self {
            remaining: standing.remaining,
            until: standing.until,
        }
    }
}

impl ConversationShown {
    pub(crate) fn new(view: ConversationView, names: &Names, replying: Vec<Named>) -> Self {
        let ConversationView {
            conversation: row,
            contact,
            thread,
            position,
        } = view;
        let last_message = row.last_message_at.map(|at| LastMessage {
            preview: row.last_preview.unwrap_or_default(),
            from: row.last_from.unwrap_or_default(),
            at,
        });
        Self {
            id: row.id,
            version: row.version,
            state: row.state,
            channel: ChannelName {
                id: row.channel,
                kind: thread.channel_kind,
            },
            contact: ContactShown {
                id: contact.id,
                name: contact.name,
                address: thread.address,
                verified: thread.verified,
                locale: contact.locale,
            },
            group: row.group_id.map(|id| names.group(id)),
            agent: row.agent_id.map(|id| names.agent(id)),
            waiting_since: row.waiting_since,
            snoozed_until: row.snoozed_until,
            position,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_message,
            unread: row.unread,
            delivered: thread.delivered_seq,
            read: thread.read_seq,
            replying,
            reply_window: None,
        }
    }
}

/// Who said a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sayer {
    /// `contact`, `agent` or `system`.
    pub(crate) kind: &'static str,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
}

/// How far an outbound message got.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    #[schema(value_type = String)]
    pub(crate) state: ReceiptState,
    pub(crate) reason: Option<String>,
    pub(crate) attempts: u32,
}

/// A message, note or notice.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageShown {
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: MessageId,
    pub(crate) pos: u64,
    pub(crate) seq: Option<u64>,
    #[schema(value_type = String)]
    pub(crate) kind: MessageKind,
    #[schema(value_type = String)]
    pub(crate) direction: Direction,
    pub(crate) from: Sayer,
    #[schema(value_type = Vec<Object>)]
    pub(crate) content: Vec<Content>,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Time,
    pub(crate) delivery: Option<Delivery>,
}

impl From<MessageRow> for MessageShown {
    fn from(row: MessageRow) -> Self {
        let from = match (row.kind, row.agent_id, &row.direction) {
            (MessageKind::Notice, ..) => Sayer {
                kind: "system",
                id: None,
                name: row.sender.name,
            },
            (_, Some(agent), _) => Sayer {
                kind: "agent",
                id: Some(agent.to_string()),
                name: row.sender.name,
            },
            (_, None, Direction::Inbound) => Sayer {
                kind: "contact",
                id: Some(row.sender.address),
                name: row.sender.name,
            },
            _ => Sayer {
                kind: "system",
                id: None,
                name: row.sender.name,
            },
        };
        let (reason, attempts) = (row.reason, row.attempts);
        Self {
            id: row.id,
            pos: row.pos,
            seq: row.thread_seq,
            kind: row.kind,
            direction: row.direction,
            from,
            content: row.content,
            at: row.at,
            delivery: row.state.map(|state| Delivery {
                state,
                reason,
                attempts,
            }),
        }
    }
}

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentShown {
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: AgentId,
    pub(crate) name: String,
    #[schema(value_type = String)]
    pub(crate) role: Role,
    pub(crate) capacity: u32,
    pub(crate) load: u32,
    #[schema(value_type = String)]
    pub(crate) presence: Presence,
    pub(crate) active: bool,
    pub(crate) groups: Vec<Named>,
}

impl AgentShown {
    pub(crate) fn new(agent: Agent, names: &Names) -> Self {
        Self {
            groups: agent.groups.iter().map(|id| names.group(*id)).collect(),
            id: agent.id,
            name: agent.name,
            role: agent.role,
            capacity: agent.capacity,
            load: agent.load,
            presence: agent.presence,
            active: agent.active,
        }
    }
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupShown {
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: GroupId,
    pub(crate) name: String,
    #[schema(value_type = String)]
    pub(crate) strategy: Strategy,
    #[schema(value_type = Vec<String>)]
    pub(crate) members: Vec<AgentId>,
    #[schema(value_type = Vec<String>)]
    pub(crate) channels: Vec<ChannelId>,
}

impl From<Group> for GroupShown {
    fn from(group: Group) -> Self {
        let Group {
            id,
            name,
            strategy,
            members,
            channels,
        } = group;
        Self {
            id,
            name,
            strategy,
            members,
            channels,
        }
    }
}

/// A token, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenShown {
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: TokenId,
    pub(crate) name: String,
    #[schema(value_type = String)]
    pub(crate) role: Role,
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) agent_id: Option<AgentId>,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Time,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) expires_at: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) revoked_at: Option<Time>,
    /// The token itself; only in the answer to its creation, and kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

impl TokenShown {
    pub(crate) fn new(row: Token, token: Option<String>) -> Self {
        let Token {
            id,
            name,
            role,
            agent_id,
            created_at,
            expires_at,
            revoked_at,
        } = row;
        Self {
            id,
            name,
            role,
            agent_id,
            created_at,
            expires_at,
            revoked_at,
            token,
        }
    }
}

/// How a command ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutcomeShown {
    #[schema(format = "uuid")]
    pub(crate) command_id: String,
    /// `done`, `failed` or `pending`.
    pub(crate) status: &'static str,
    pub(crate) problem: Option<Problem>,
    /// The conversation's version afterwards.
    pub(crate) version: Option<i64>,
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) message_id: Option<MessageId>,
    pub(crate) message: Option<MessageShown>,
}

impl OutcomeShown {
    pub(crate) fn new(outcome: Outcome) -> Self {
        let problem = (outcome.status != OutcomeStatus::Done)
            .then(|| crate::commands::problem_of(outcome.code.as_deref(), outcome.detail));
        Self {
            command_id: outcome.command_id.to_string(),
            status: if problem.is_some() { "failed" } else { "done" },
            problem,
            version: outcome.version,
            message_id: outcome.message_id,
            message: None,
        }
    }
}
