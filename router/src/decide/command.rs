//! What agents, the API and the system want of a conversation (reply, note, assign, resolve, close,
//! reopen, snooze) or of one of its tickets.
//!
//! A command changes everything it should or nothing; how it ended is written in the same commit.

use patchbay_message::{
    Command, CommandId, CommandName, ConversationId, Envelope, MessageId, Outcome, OutcomeStatus,
    Violation,
};
use patchbay_store::{Agent, Audit, NewEvent};
use serde_json::json;

use super::{
    Board, Ending, Voice,
    actions::{self, Order},
    ticket,
};

/// Why a command was refused.
pub(super) struct Refusal {
    /// One of the closed list in [`Outcome::code`].
    pub(super) code: &'static str,
    /// A sentence for people.
    pub(super) detail: String,
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self {
            code: "content",
            detail: violation.to_string(),
        }
    }
}

pub(super) fn refuse<T>(code: &'static str, detail: impl Into<String>) -> Result<T, Refusal> {
    let detail = detail.into();
    Err(Refusal { code, detail })
}

/// The key under which a command is done once.
pub(super) fn key(command: &Command) -> String {
    match command.agent_id {
        Some(agent) => format!("cmd:{agent}:{}", command.idempotency_key),
        None => format!("cmd:system:{}", command.idempotency_key),
    }
}

pub(super) fn take(
    board: &mut Board<'_>,
    id: MessageId,
    envelope: &Envelope,
    command: &Command,
) -> (Ending, Option<ConversationId>) {
    board.processed(id);
    let key = key(command);
    let conversation = Some(command.conversation_id);
    if let Some(first) = board.holder(&key) {
        let outcome = repeated(board, command, CommandId(first.0));
        record(board, command, outcome);
        return (Ending::Repeat, conversation);
    }
    board.claim(&key, MessageId(command.id.0));
    let (ending, status, refusal, message_id) = match carry_out(board, envelope, command) {
        Ok(message_id) => (Ending::Routed, OutcomeStatus::Done, None, message_id),
        Err(refusal) => (Ending::Refused, OutcomeStatus::Refused, Some(refusal), None),
    };
    let (code, detail) = refusal
        .map(|refusal| (refusal.code.to_owned(), refusal.detail))
        .unzip();
    let outcome = Outcome {
        command_id: command.id,
        status,
        code,
        detail,
        message_id,
        version: match command.ticket_id {
            Some(ticket) => board.ticket_version(ticket),
            None => board.version(command.conversation_id),
        },
    };
    if ending == Ending::Routed {
        board.out.audit.push(audit(command, &outcome));
    }
    record(board, command, outcome);
    (ending, conversation)
}

/// How the first command under the same key ended, said again for this one.
fn repeated(board: &Board<'_>, command: &Command, first: CommandId) -> Outcome {
    match board.outcomes.get(&first) {
        Some(outcome) => Outcome {
            command_id: command.id,
            ..outcome.clone()
        },
        // Keys are kept longer than outcomes.
        None => Outcome {
            command_id: command.id,
            status: OutcomeStatus::Done,
            code: None,
            detail: Some("handled earlier under the same key; how it ended is not kept".into()),
            message_id: None,
            version: None,
        },
    }
}

fn record(board: &mut Board<'_>, command: &Command, outcome: Outcome) {
    board.out.events.push(event(command, &outcome));
    board.outcomes.insert(outcome.command_id, outcome.clone());
    board.out.outcomes.push(outcome);
}

/// The event that tells who waits how a command ended.
pub(super) fn event(command: &Command, outcome: &Outcome) -> NewEvent {
    NewEvent {
        kind: "command",
        conversation_id: Some(command.conversation_id),
        agent_id: command.agent_id,
        data: json!({
            "command_id": outcome.command_id,
            "status": outcome.status,
            "code": outcome.code,
            "version": outcome.version,
            "message_id": outcome.message_id,
        }),
    }
}

fn audit(command: &Command, outcome: &Outcome) -> Audit {
    if let Some(ticket) = command.ticket_id {
        return Audit {
            agent_id: command.agent_id,
            token_id: None,
            action: format!("ticket.{}", command.name),
            target: ticket.to_string(),
            detail: json!({
                "command_id": command.id,
                "message_id": outcome.message_id,
                "assignee": command.assignee,
                "group": command.group,
            }),
        };
    }
    Audit {
        agent_id: command.agent_id,
        token_id: None,
        action: format!("conversation.{}", command.name),
        target: command.conversation_id.to_string(),
        detail: json!({
            "command_id": command.id,
            "message_id": outcome.message_id,
            "assignee": command.assignee,
            "group": command.group,
            "until": command.until,
        }),
    }
}

/// Who asks, checked.
fn asker(board: &Board<'_>, command: &Command) -> Result<Option<Agent>, Refusal> {
    let Some(id) = command.agent_id else {
        return Ok(None);
    };
    match board.agents.get(&id).filter(|agent| agent.active) {
        Some(agent) => Ok(Some(agent.clone())),
        None => refuse("not_found", "there is no such agent"),
    }
}

fn carry_out(
    board: &mut Board<'_>,
    envelope: &Envelope,
    command: &Command,
) -> Result<Option<MessageId>, Refusal> {
    let asker = asker(board, command)?;
    let voice = asker.as_ref().map_or(Voice::System, Voice::Agent);
    if let Some(ticket) = command.ticket_id {
        return ticket::carry_out(board, envelope, command, ticket, voice);
    }
    let Some(conversation) = board.conversation(command.conversation_id).cloned() else {
        return refuse("not_found", "there is no such conversation");
    };
    let now_version = board.version(conversation.id);
    if command.expected_version.is_some() && command.expected_version != now_version {
        return refuse("version", "the conversation has changed meanwhile");
    }
    let order = Order {
        envelope,
        command,
        conversation: &conversation,
        voice,
    };
    match &command.name {
        CommandName::Reply => actions::reply(board, order).map(Some),
        CommandName::Note => actions::note(board, order).map(Some),
        CommandName::Assign => actions::assign(board, order).map(|()| None),
        CommandName::Resolve => actions::resolve(board, order).map(|()| None),
        CommandName::Close => actions::close(board, order).map(|()| None),
        CommandName::Reopen => actions::reopen(board, order).map(|()| None),
        CommandName::Snooze => actions::snooze(board, order).map(|()| None),
        name @ (CommandName::Confirm | CommandName::Cancel | CommandName::Edit) => {
            refuse("content", format!("`{name}` is for tickets"))
        }
        CommandName::Other(name) => refuse("content", format!("`{name}` is not a known command")),
    }
}
