//! How a conversation's row moves, and the events that tell of it: shared by the partitions' batches
//! and the assigner.

use patchbay_message::{AgentId, Time};
use patchbay_store::{
    Agent, Conversation, ConversationState, MessageRow, NewEvent, Presence, Role,
};
use serde_json::json;

use crate::states;

/// An agent who can be given one more without anybody saying so.
pub(crate) fn may_take(agent: &Agent) -> bool {
    agent.active
        && agent.role != Role::Auditor
        && agent.presence == Presence::Online
        && agent.load < agent.capacity
}

/// Moves a row; answers whose load falls and whose rises.
pub(crate) fn shift(
    row: &mut Conversation,
    to: ConversationState,
    agent: Option<AgentId>,
    now: Time,
) -> (Option<AgentId>, Option<AgentId>) {
    let before = row.agent_id.filter(|_| states::counts(row.state));
    let after = agent.filter(|_| states::counts(to));
    if row.agent_id.is_some() && row.agent_id != agent {
        row.last_agent_id = row.agent_id;
    }
    if !states::queued(to) {
        row.waiting_since = None;
    } else if !states::queued(row.state) || row.waiting_since.is_none() {
        row.waiting_since = Some(now);
    }
    if to != ConversationState::Snoozed {
        row.snoozed_until = None;
    }
    row.state = to;
    row.agent_id = agent;
    row.updated_at = now;
    if before == after {
        (None, None)
    } else {
        (before, after)
    }
}

/// The event that says a conversation has changed.
pub(crate) fn conversation_event(row: &Conversation) -> NewEvent {
    NewEvent {
        kind: "conversation",
        conversation_id: Some(row.id),
        agent_id: row.agent_id,
        data: json!({
            "conversation_id": row.id,
            "state": row.state,
            "agent_id": row.agent_id,
            "group_id": row.group_id,
        }),
    }
}

/// The event that says an agent's load has changed.
pub(crate) fn agent_event(id: AgentId) -> NewEvent {
    NewEvent {
        kind: "agent",
        conversation_id: None,
        agent_id: Some(id),
        data: json!({ "agent_id": id }),
    }
}

/// The event that says a conversation has one more message, note or notice.
pub(crate) fn message_event(row: &MessageRow) -> NewEvent {
    NewEvent {
        kind: "message",
        conversation_id: Some(row.conversation_id),
        agent_id: row.agent_id,
        data: json!({
            "conversation_id": row.conversation_id,
            "message_id": row.id,
            "pos": row.pos,
            "kind": row.kind,
        }),
    }
}
