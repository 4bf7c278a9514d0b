//! What agents, the API and the system want of a ticket: assign, note, reply, confirm, cancel, reopen,
//! edit. Guarded by the ticket's version; its conversation's state, agent and version do not count.

mod acts;

use patchbay_message::{Command, CommandName, Envelope, MessageId, TicketId};
use patchbay_store::{Ticket, TicketEntry, TicketEvent, TicketState};

use super::{
    Board, Voice,
    command::{Refusal, refuse},
};
use crate::{
    ticket_moves::{entry, moved},
    ticket_states::{self, Next, Trigger},
};

/// What all of them need.
#[derive(Clone, Copy)]
struct Order<'a> {
    /// What carried the command.
    envelope: &'a Envelope,
    /// The command.
    command: &'a Command,
    /// The ticket as it was.
    ticket: &'a Ticket,
    /// Who asks.
    voice: Voice<'a>,
}

pub(super) fn carry_out(
    board: &mut Board<'_>,
    envelope: &Envelope,
    command: &Command,
    id: TicketId,
    voice: Voice<'_>,
) -> Result<Option<MessageId>, Refusal> {
    let ticket = board.ticket(id).cloned();
    let ticket = ticket.filter(|row| row.conversation_id == command.conversation_id);
    let Some(ticket) = ticket else {
        return refuse("not_found", "the conversation has no such ticket");
    };
    let now_version = board.ticket_version(id);
    if command.expected_version.is_some() && command.expected_version != now_version {
        return refuse("version", "the ticket has changed meanwhile");
    }
    let order = Order {
        envelope,
        command,
        ticket: &ticket,
        voice,
    };
    match &command.name {
        CommandName::Reply => acts::reply(board, order).map(Some),
        CommandName::Note => acts::note(board, order).map(|()| None),
        CommandName::Assign => acts::assign(board, order).map(|()| None),
        CommandName::Confirm => acts::confirm(board, order).map(|()| None),
        CommandName::Cancel => acts::cancel(board, order).map(|()| None),
        CommandName::Reopen => acts::reopen(board, order).map(|()| None),
        CommandName::Edit => acts::edit(board, order).map(|()| None),
        name @ (CommandName::Resolve | CommandName::Close | CommandName::Snooze) => {
            refuse("content", format!("`{name}` is not for tickets"))
        }
        CommandName::Other(name) => refuse("content", format!("`{name}` is not a known command")),
    }
}

/// Where the trigger leads, if it is allowed.
fn next(ticket: &Ticket, trigger: Trigger) -> Result<TicketState, Refusal> {
    match ticket_states::next(ticket.state, trigger) {
        Next::To(to) => Ok(to),
        Next::ProcessingOrReopened if ticket.agent_id.is_some() => Ok(TicketState::Processing),
        Next::ProcessingOrReopened => Ok(TicketState::Reopened),
        Next::Another | Next::Refused => refuse(
            "state",
            format!("not possible while the ticket is {}", ticket.state),
        ),
    }
}

/// A line of its history: who did it, and from which state to which the ticket went.
fn write(
    board: &mut Board<'_>,
    order: Order<'_>,
    kind: TicketEvent,
    fill: impl FnOnce(&mut TicketEntry),
) {
    let now = board.now();
    let Some(row) = board.ticket_mut(order.ticket.id) else {
        return;
    };
    let to = row.state;
    let mut line = entry(row, kind, now);
    line.agent_id = order.voice.id();
    moved(&mut line, order.ticket.state, to);
    fill(&mut line);
    board.add_entry(line);
}
