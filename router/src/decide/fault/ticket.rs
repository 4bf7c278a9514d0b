//! What a fault does to its ticket: opens it, adds a line to it, moves it.

use patchbay_message::{FaultState, Severity, TicketId};
use patchbay_store::{Ticket, TicketEvent, TicketState};
use serde_json::json;

use super::{Board, Word};
use crate::{
    ticket_moves::{self, line, moved, note},
    ticket_states::{self, Next, Trigger},
};

/// Opens the fault's ticket. One that was raised before it was cleared, as we hear only now, has
/// nothing left to be done but a look.
pub(super) fn open(board: &mut Board<'_>, word: &Word<'_>) -> TicketId {
    let now = board.now();
    let id = TicketId((board.ids)());
    let (channel, device, code) = word.key.clone();
    let cleared_at = (word.known.as_ref())
        .filter(|known| !word.is_later && known.state == FaultState::Cleared)
        .map(|known| known.at);
    let state = match cleared_at {
        Some(_) => TicketState::PendingConfirmation,
        None => TicketState::New,
    };
    let thread = board
        .thread(word.said.thread)
        .expect("the thread was found or made before what is said in it is decided");
    let title = word.text.and_then(line);
    let row = Ticket {
        id,
        number: 0,
        contact_id: thread.contact_id,
        conversation_id: word
            .said
            .conversation
            .expect("a message with a fault is written down before the fault is decided"),
        partition: board.context.partition,
        state,
        category: None,
        severity: word.severity.clone(),
        title: title.unwrap_or_else(|| format!("{code} on {device}")),
        group_id: board.group_of(&channel),
        channel,
        device,
        code,
        agent_id: None,
        last_agent_id: None,
        waiting_since: state.is_queued().then_some(now),
        n_raised: 1,
        n_flaps: 0,
        settles_at: None,
        first_raised_at: word.at,
        raised_at: word.at,
        cleared_at,
        created_at: now,
        updated_at: now,
        closed_at: None,
        last_pos: 0,
        version: 1,
    };
    board.add_ticket(row);
    let extra = match (word.said.is_retained(), word.is_later) {
        (true, _) => Some("retained"),
        (false, false) => Some("late"),
        (false, true) => None,
    };
    write(board, word, id, TicketEvent::Opened, (state, state), extra);
    id
}

/// A raised fault of a ticket that is open.
pub(super) fn again(board: &mut Board<'_>, word: &Word<'_>, id: TicketId) {
    let rules = board.context.rules;
    let now = board.now();
    let Some(row) = board.ticket_mut(id) else {
        return;
    };
    let turns = row.cleared_at.take().is_some();
    if turns && word.at.since(row.raised_at) <= rules.flap_window {
        row.n_flaps = row.n_flaps.saturating_add(1);
    } else if turns {
        row.n_flaps = 0;
    }
    if turns {
        row.settles_at = (row.n_flaps >= rules.flap_count).then(|| now.plus(rules.hold_down));
    }
    let begins_to_flap = turns && row.n_flaps == rules.flap_count;
    row.n_raised = row.n_raised.saturating_add(1);
    row.raised_at = word.at;
    row.first_raised_at = row.first_raised_at.min(word.at);
    rises(row, &word.severity);
    board.tally().added += 1;
    taken_back(board, word, id, None);
    if begins_to_flap {
        board.tally().flapping += 1;
        let Some(row) = board.ticket_mut(id) else {
            return;
        };
        let mut entry = ticket_moves::entry(row, TicketEvent::Flapping, now);
        note(&mut entry, "n_flaps", json!(row.n_flaps));
        board.add_entry(entry);
    }
}

/// A broker keeps that the fault of an open ticket is there.
pub(super) fn kept(board: &mut Board<'_>, word: &Word<'_>, id: TicketId) {
    let is_news = board
        .ticket(id)
        .is_some_and(|row| row.cleared_at.is_some() || word.severity.rank() > row.severity.rank());
    if !is_news {
        return;
    }
    let Some(row) = board.ticket_mut(id) else {
        return;
    };
    if row.cleared_at.take().is_some() {
        row.raised_at = word.at;
        row.settles_at = None;
    }
    rises(row, &word.severity);
    taken_back(board, word, id, Some("retained"));
}

/// A raised fault that is older than what is known: it is written down, and nothing else.
pub(super) fn late(board: &mut Board<'_>, word: &Word<'_>, id: TicketId) {
    let Some(row) = board.ticket_mut(id) else {
        return;
    };
    let state = row.state;
    row.n_raised = row.n_raised.saturating_add(1);
    row.first_raised_at = row.first_raised_at.min(word.at);
    if row.cleared_at.is_some() {
        // Where it is raised, the newest raise is known, whatever the device's clock says of this one.
        row.raised_at = row.raised_at.max(word.at);
    }
    rises(row, &word.severity);
    board.tally().late += 1;
    write(
        board,
        word,
        id,
        TicketEvent::Raised,
        (state, state),
        Some("late"),
    );
}

/// The fault of an open ticket is gone: it is to be confirmed, at once or when it has settled.
pub(super) fn gone(board: &mut Board<'_>, word: &Word<'_>, id: TicketId) {
    let rules = board.context.rules;
    let now = board.now();
    let Some(row) = board.ticket_mut(id) else {
        return;
    };
    row.cleared_at = Some(word.at);
    let (from, agent) = (row.state, row.agent_id);
    let flaps =
        row.n_flaps >= rules.flap_count && word.at.since(row.raised_at) <= rules.flap_window;
    let (to, extra) = if flaps {
        row.settles_at = Some(now.plus(rules.hold_down));
        (from, Some("held"))
    } else {
        row.settles_at = None;
        match ticket_states::next(from, Trigger::Cleared) {
            Next::To(to) => (to, None),
            _ => (from, None),
        }
    };
    board.shift_ticket(id, to, agent, true);
    write(board, word, id, TicketEvent::Cleared, (from, to), extra);
}

/// The fault of a ticket that has ended is gone: written down, so that no raise before it opens
/// another ticket, whoever tells of it.
pub(super) fn gone_after_the_end(board: &mut Board<'_>, word: &Word<'_>, id: TicketId) {
    let Some(row) = board.ticket_mut(id) else {
        return;
    };
    row.cleared_at = Some(word.at);
    let state = row.state;
    write(board, word, id, TicketEvent::Cleared, (state, state), None);
}

/// That the fault was gone for a while, told late: it is written down, and nothing else.
pub(super) fn cleared_late(board: &mut Board<'_>, word: &Word<'_>, id: TicketId) {
    if let Some(state) = board.ticket(id).map(|row| row.state) {
        write(
            board,
            word,
            id,
            TicketEvent::Cleared,
            (state, state),
            Some("late"),
        );
    }
}

/// Moves an open ticket whose fault is raised, and writes the line that says so.
fn taken_back(board: &mut Board<'_>, word: &Word<'_>, id: TicketId, extra: Option<&str>) {
    let Some((from, agent)) = board.ticket(id).map(|row| (row.state, row.agent_id)) else {
        return;
    };
    let to = match ticket_states::next(from, Trigger::Raised) {
        Next::ProcessingOrReopened if agent.is_some() => TicketState::Processing,
        Next::ProcessingOrReopened => TicketState::Reopened,
        Next::To(to) => to,
        Next::Another | Next::Refused => from,
    };
    board.shift_ticket(id, to, agent, true);
    write(board, word, id, TicketEvent::Raised, (from, to), extra);
}

/// A report may only raise a ticket's severity.
fn rises(row: &mut Ticket, severity: &Severity) {
    if severity.rank() > row.severity.rank() {
        row.severity = severity.clone();
    }
}

/// A line of the ticket's history. `extra` is noted as true.
fn write(
    board: &mut Board<'_>,
    word: &Word<'_>,
    id: TicketId,
    kind: TicketEvent,
    (from, to): (TicketState, TicketState),
    extra: Option<&str>,
) {
    let now = board.now();
    let Some(row) = board.ticket_mut(id) else {
        return;
    };
    let mut entry = ticket_moves::entry(row, kind, now);
    entry.message_id = word.message();
    entry.occurred_at = Some(word.at);
    entry.text = word.text.and_then(line);
    if kind != TicketEvent::Cleared {
        note(&mut entry, "severity", json!(word.severity));
    }
    moved(&mut entry, from, to);
    if let Some(extra) = extra {
        note(&mut entry, extra, json!(true));
    }
    board.add_entry(entry);
}
