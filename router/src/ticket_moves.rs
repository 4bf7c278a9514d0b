//! How a ticket's row moves, the lines of its history, and the event that tells of it: shared by the
//! partitions' batches and the assigner.

use patchbay_message::{AgentId, Time};
use patchbay_store::{NewEvent, Ticket, TicketEntry, TicketEvent, TicketState};
use serde_json::{Map, Value, json};

use crate::ticket_states;

/// Characters of one line for people: a title, a history's sentence.
const LINE_CHARS_MAX: usize = 200;

/// Moves a row; answers whose load falls and whose rises.
pub(crate) fn shift(
    row: &mut Ticket,
    to: TicketState,
    agent: Option<AgentId>,
    now: Time,
) -> (Option<AgentId>, Option<AgentId>) {
    let before = row.agent_id.filter(|_| ticket_states::counts(row.state));
    let after = agent.filter(|_| ticket_states::counts(to));
    if row.agent_id.is_some() && row.agent_id != agent {
        row.last_agent_id = row.agent_id;
    }
    if !to.is_queued() {
        row.waiting_since = None;
    } else if !row.state.is_queued() || row.waiting_since.is_none() {
        row.waiting_since = Some(now);
    }
    if to.is_open() {
        row.closed_at = None;
    } else {
        row.settles_at = None;
        row.closed_at = row.closed_at.or(Some(now));
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

/// A line of its history that nothing more is said of yet; takes the ticket's next `pos`.
pub(crate) fn entry(row: &mut Ticket, kind: TicketEvent, now: Time) -> TicketEntry {
    row.last_pos += 1;
    row.updated_at = now;
    TicketEntry {
        ticket_id: row.id,
        pos: row.last_pos,
        kind,
        agent_id: None,
        message_id: None,
        occurred_at: None,
        text: None,
        data: Value::Object(Map::new()),
        at: now,
    }
}

/// Notes in an entry from which state to which the ticket went, if it went anywhere.
pub(crate) fn moved(entry: &mut TicketEntry, from: TicketState, to: TicketState) {
    if from != to {
        note(entry, "from", json!(from));
        note(entry, "to", json!(to));
    }
}

/// Notes a small value in an entry.
pub(crate) fn note(entry: &mut TicketEntry, name: &str, value: Value) {
    if let Value::Object(data) = &mut entry.data {
        data.insert(name.to_owned(), value);
    }
}

/// The event that says a ticket has changed.
pub(crate) fn event(row: &Ticket) -> NewEvent {
    NewEvent {
        kind: "ticket",
        conversation_id: Some(row.conversation_id),
        agent_id: row.agent_id,
        data: json!({
            "ticket_id": row.id,
            "conversation_id": row.conversation_id,
            "state": row.state,
            "agent_id": row.agent_id,
            "group_id": row.group_id,
            "severity": row.severity,
        }),
    }
}

/// A text on one line, cut to what a line may hold; none if nothing is left.
pub(crate) fn line(text: &str) -> Option<String> {
    // As many words as characters are enough, however much space is between them.
    let words: Vec<&str> = text.split_whitespace().take(LINE_CHARS_MAX).collect();
    let line: String = (words.join(" ").chars())
        .filter(|char| !char.is_control())
        .take(LINE_CHARS_MAX)
        .collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_is_one_line_and_not_too_long() {
        assert_eq!(line(" a\n b\t c\0 ").as_deref(), Some("a b c"));
        assert_eq!(line(" \n "), None);
        assert_eq!(line(&"好".repeat(500)).unwrap().chars().count(), 200);
    }
}
