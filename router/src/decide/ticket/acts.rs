//! The commands one by one. Each checks everything before it changes anything.

use patchbay_message::{AgentId, Command, MessageId, Severity};
use patchbay_store::{Agent, Group, TicketEvent};
use serde_json::{Value, json};

use super::{Order, next, write};
use crate::{
    decide::{
        Board, actions,
        command::{Refusal, refuse},
        preview,
    },
    ticket_moves::{line, note as jot},
    ticket_states::Trigger,
};

/// Something is sent to the device.
pub(super) fn reply(board: &mut Board<'_>, order: Order<'_>) -> Result<MessageId, Refusal> {
    let Some(conversation) = board.conversation(order.command.conversation_id).cloned() else {
        return refuse(
            "not_found",
            "the ticket's conversation is not kept any more",
        );
    };
    let words = actions::Order {
        envelope: order.envelope,
        command: order.command,
        conversation: &conversation,
        voice: order.voice,
    };
    let id = actions::send_beside(board, words)?;
    write(board, order, TicketEvent::Sent, |entry| {
        entry.message_id = Some(id);
        entry.text = line(&preview(&order.command.content));
    });
    Ok(id)
}

/// What a human adds in words; other parts have no place in a history.
fn words(command: &Command) -> Result<Option<String>, Refusal> {
    let mut lines = Vec::with_capacity(command.content.len());
    for part in &command.content {
        match part.as_text() {
            Some(text) => lines.push(text.trim()),
            None => return refuse("content", "a ticket's history holds text only"),
        }
    }
    command.check()?;
    let text = lines.join("\n").trim().to_owned();
    Ok((!text.is_empty()).then_some(text))
}

pub(super) fn note(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let Some(text) = words(order.command)? else {
        return refuse("content", "there is nothing to note");
    };
    write(board, order, TicketEvent::Note, |entry| {
        entry.text = Some(text);
    });
    Ok(())
}

pub(super) fn assign(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let group = match order.command.group {
        None => None,
        Some(id) => match board.groups.get(&id) {
            Some(group) => Some(group.clone()),
            None => return refuse("not_found", "there is no such group"),
        },
    };
    match order.command.assignee {
        Some(assignee) => give(board, order, assignee, group.as_ref()),
        None => enqueue(board, order, group.as_ref()),
    }
}

fn give(
    board: &mut Board<'_>,
    order: Order<'_>,
    assignee: AgentId,
    group: Option<&Group>,
) -> Result<(), Refusal> {
    let Order { ticket, voice, .. } = order;
    let to = next(ticket, Trigger::Assign)?;
    let agent = actions::assignable(board, assignee)?;
    let has_it = ticket.agent_id == Some(assignee) && ticket.state == to;
    if has_it && group.is_none_or(|group| ticket.group_id == Some(group.id)) {
        return Ok(());
    }
    // What a human says goes beyond the limit and to agents who are not there; what a machine says
    // does not.
    let force = voice.id().is_some();
    if !force && !has_it {
        actions::has_room(&agent)?;
    }
    board.shift_ticket(ticket.id, to, Some(assignee), force);
    put_into(board, order, group);
    let text = taken_by(order, &agent);
    write(board, order, TicketEvent::Assigned, |entry| {
        entry.text = Some(text);
        jot(entry, "assignee", json!(assignee));
        if let Some(group) = group {
            jot(entry, "group", json!(group.id));
        }
    });
    Ok(())
}

fn taken_by(order: Order<'_>, agent: &Agent) -> String {
    if order.voice.id() == Some(agent.id) {
        format!("Taken by {}", agent.name)
    } else {
        format!("Assigned to {}{}", agent.name, order.voice.by())
    }
}

fn enqueue(board: &mut Board<'_>, order: Order<'_>, group: Option<&Group>) -> Result<(), Refusal> {
    let to = next(order.ticket, Trigger::Enqueue)?;
    board.shift_ticket(order.ticket.id, to, None, true);
    put_into(board, order, group);
    if let Some(row) = board.ticket_mut(order.ticket.id) {
        // Whoever put it back is not to be given it again at once.
        row.last_agent_id = None;
    }
    let text = match group {
        Some(group) => format!("Put into the queue of {}{}", group.name, order.voice.by()),
        None => format!("Put into the queue{}", order.voice.by()),
    };
    write(board, order, TicketEvent::Queued, |entry| {
        entry.text = Some(text);
        if let Some(group) = group {
            jot(entry, "group", json!(group.id));
        }
    });
    Ok(())
}

fn put_into(board: &mut Board<'_>, order: Order<'_>, group: Option<&Group>) {
    if let (Some(group), Some(row)) = (group, board.ticket_mut(order.ticket.id)) {
        row.group_id = Some(group.id);
    }
}

pub(super) fn confirm(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    leave(board, order, Trigger::Confirm, TicketEvent::Done)
}

pub(super) fn cancel(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    leave(board, order, Trigger::Cancel, TicketEvent::Cancelled)
}

/// The ticket leaves its agent.
fn leave(
    board: &mut Board<'_>,
    order: Order<'_>,
    trigger: Trigger,
    kind: TicketEvent,
) -> Result<(), Refusal> {
    let to = next(order.ticket, trigger)?;
    let text = words(order.command)?;
    board.shift_ticket(order.ticket.id, to, None, true);
    write(board, order, kind, |entry| entry.text = text);
    Ok(())
}

pub(super) fn reopen(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let ticket = order.ticket;
    let to = next(ticket, Trigger::Reopen)?;
    let text = words(order.command)?;
    let fault = (
        ticket.channel.clone(),
        ticket.device.clone(),
        ticket.code.clone(),
    );
    let other = board.ticket_of(&fault);
    if other.is_some_and(|other| other.id != ticket.id && other.state.is_open()) {
        return refuse("state", "another ticket of the same fault is open");
    }
    board.shift_ticket(ticket.id, to, ticket.agent_id, true);
    board.is_the_ticket(ticket.id);
    write(board, order, TicketEvent::Reopened, |entry| {
        entry.text = text;
    });
    Ok(())
}

pub(super) fn edit(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let Order {
        command, ticket, ..
    } = order;
    command.check()?;
    if let Some(Severity::Other(word)) = &command.severity {
        return refuse("content", format!("`{word}` is not a known severity"));
    }
    let mut new = ticket.clone();
    if let Some(title) = &command.title {
        match line(title) {
            Some(title) => new.title = title,
            None => return refuse("content", "a ticket has a title"),
        }
    }
    if let Some(category) = &command.category {
        new.category = line(category);
    }
    if let Some(severity) = &command.severity {
        new.severity = severity.clone();
    }
    let said = command.title.is_some() || command.category.is_some() || command.severity.is_some();
    if !said {
        return refuse("content", "there is nothing to change");
    }
    let changes = [
        ("title", json!(ticket.title), json!(new.title)),
        ("category", json!(ticket.category), json!(new.category)),
        ("severity", json!(ticket.severity), json!(new.severity)),
    ];
    let changed: Vec<(&str, Value)> = (changes.into_iter())
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| (name, json!({ "from": before, "to": after })))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    if let Some(row) = board.ticket_mut(ticket.id) {
        row.title = new.title;
        row.category = new.category;
        row.severity = new.severity;
    }
    write(board, order, TicketEvent::Edited, |entry| {
        for (name, change) in changed {
            jot(entry, name, change);
        }
    });
    Ok(())
}
