//! A fault is raised or cleared: what the device's row keeps of it, and what becomes of its ticket.
//!
//! What came later is decided by the device's own count, else by its own clock, never by the order
//! of arrival unless that clock was ahead of ours; equal counts as later. Every raised fault becomes one line of one ticket.

mod known;
mod ticket;

pub(super) use known::comes_after;

use patchbay_message::{Fault, FaultState, MessageId, Severity, TicketId, Time};
use patchbay_store::FaultNow;

use super::{Board, board::FaultKey, device, report::Said};
use crate::ticket_states::{self, Next, Trigger};

/// What was said of one fault, and what was known of it before.
struct Word<'a> {
    said: Said<'a>,
    key: FaultKey,
    /// What the device's row calls it.
    name: String,
    /// When, by the device's clock; for silence by ours.
    at: Time,
    sequence: Option<u64>,
    severity: Severity,
    text: Option<&'a str>,
    known: Option<FaultNow>,
    /// Later than what is known.
    is_later: bool,
}

impl Word<'_> {
    fn message(&self) -> Option<MessageId> {
        self.said.message()
    }

    fn is_known(&self, state: &FaultState) -> bool {
        self.known
            .as_ref()
            .is_some_and(|known| known.state == *state)
    }
}

/// A part of a message. `back`: codes of silence that this message has ended already.
pub(super) fn take(board: &mut Board<'_>, said: Said<'_>, fault: &Fault, back: &[String]) {
    let key = (
        said.envelope.channel.id.clone(),
        fault.device.clone(),
        fault.code.clone(),
    );
    let by_our_clock = device::is_silence(board, said, &key);
    let mut word = word(board, said, key, fault.occurred_at, fault.sequence);
    word.severity = severity(&fault.severity);
    word.text = fault.text.as_deref();
    if by_our_clock {
        if !device::is_our_word(said.envelope) {
            word.at = said.envelope.received_at;
        }
        always_later(&mut word);
    }
    match fault.state {
        FaultState::Raised if said.is_retained() => kept_raised(board, &word),
        FaultState::Raised => raised(board, &word),
        FaultState::Cleared if by_our_clock && back.contains(&fault.code) => {}
        FaultState::Cleared => cleared(board, &word),
        FaultState::Other(_) => {}
    }
}

/// Whether it says anything that is to be written down. What a broker keeps comes again with every
/// subscription, and mostly says what is known.
pub(super) fn is_news(board: &Board<'_>, said: Said<'_>, fault: &Fault) -> bool {
    let name = name(said, &fault.device, &fault.code);
    let known = board
        .device(said.thread)
        .and_then(|device| device.faults.get(&name));
    !said.is_retained() || known.is_none_or(|known| known.state != fault.state)
}

/// What the device's row calls a fault: devices behind a device have codes of their own.
fn name(said: Said<'_>, device: &str, code: &str) -> String {
    if device == said.address {
        code.to_owned()
    } else {
        format!("{code}@{device}")
    }
}

/// The device is heard of again: its silence is over, whatever its clock says.
pub(super) fn back(board: &mut Board<'_>, said: Said<'_>, code: &str) {
    let key = (
        said.envelope.channel.id.clone(),
        said.address.to_owned(),
        code.to_owned(),
    );
    let mut word = word(board, said, key, said.envelope.received_at, None);
    word.text = Some("Heard of again");
    always_later(&mut word);
    cleared(board, &word);
}

fn word<'a>(
    board: &Board<'_>,
    said: Said<'a>,
    key: FaultKey,
    at: Time,
    sequence: Option<u64>,
) -> Word<'a> {
    let name = name(said, &key.1, &key.2);
    let known = board
        .device(said.thread)
        .and_then(|device| device.faults.get(&name))
        .cloned();
    let is_later = known::is_later(board, &key, known.as_ref(), (at, sequence));
    let severity = match &known {
        Some(known) => known.severity.clone(),
        None => Severity::Warning,
    };
    Word {
        said,
        key,
        name,
        at,
        sequence,
        severity,
        text: None,
        known,
        is_later,
    }
}

fn always_later(word: &mut Word<'_>) {
    if let Some(known) = &word.known {
        word.at = word.at.max(known.at);
    }
    word.sequence = None;
    word.is_later = true;
}

/// One of the closed list: a word that is not on it is as bad as the least of them.
fn severity(said: &Severity) -> Severity {
    match said {
        Severity::Other(_) => Severity::Warning,
        known => known.clone(),
    }
}

fn keep(board: &mut Board<'_>, word: &Word<'_>, state: FaultState, ticket: Option<TicketId>) {
    let before = word.known.as_ref().and_then(|known| known.ticket);
    let ticket = ticket.or(before);
    let now = FaultNow {
        state,
        severity: word.severity.clone(),
        at: word.at,
        sequence: word.sequence,
        ticket,
        ticket_at: newest_at(board, ticket),
    };
    device::keep(board, word.said.thread, word.name.clone(), now);
}

fn newest_at(board: &Board<'_>, ticket: Option<TicketId>) -> Option<Time> {
    Some(board.ticket(ticket?)?.newest_at())
}

/// The fault is there, and it is news.
fn raised(board: &mut Board<'_>, word: &Word<'_>) {
    let there_is = board.ticket_of(&word.key).map(|row| (row.id, row.state));
    let ticket = match there_is {
        Some((id, state))
            if word.is_later && ticket_states::next(state, Trigger::Raised) != Next::Another =>
        {
            ticket::again(board, word, id);
            id
        }
        Some((id, _)) if !word.is_later => {
            ticket::late(board, word, id);
            id
        }
        _ => ticket::open(board, word),
    };
    if word.is_later {
        keep(board, word, FaultState::Raised, Some(ticket));
    } else if let Some(known) = &word.known
        && known.ticket.is_none()
    {
        // Of a ticket that was there others may know more than this device has told.
        let is_ours = there_is.is_none();
        let ticket = Some(ticket);
        let known = FaultNow {
            ticket,
            ticket_at: newest_at(board, ticket).filter(|_| is_ours),
            ..known.clone()
        };
        device::keep(board, word.said.thread, word.name.clone(), known);
    }
}

/// A broker keeps that the fault is there: it sets how the device stands, and is no occurrence.
fn kept_raised(board: &mut Board<'_>, word: &Word<'_>) {
    if !word.is_later {
        return;
    }
    if word.is_known(&FaultState::Raised) {
        return keep(board, word, FaultState::Raised, None);
    }
    let there_is = board.ticket_of(&word.key).map(|row| (row.id, row.state));
    let ticket = match there_is {
        Some((id, state)) if state.is_open() => {
            ticket::kept(board, word, id);
            id
        }
        _ => ticket::open(board, word),
    };
    keep(board, word, FaultState::Raised, Some(ticket));
}

/// The fault is gone.
fn cleared(board: &mut Board<'_>, word: &Word<'_>) {
    let there_is = board
        .ticket_of(&word.key)
        .map(|row| (row.id, row.state.is_open(), row.cleared_at.is_some()));
    match there_is {
        Some((_, true, _)) if !word.is_later && word.said.is_retained() => {}
        Some((id, true, _)) if !word.is_later => ticket::cleared_late(board, word, id),
        // Late where nothing is open, or said again: nothing new.
        Some((_, false, _)) if !word.is_later => {}
        Some((_, _, true)) | None => {}
        Some((id, true, false)) => ticket::gone(board, word, id),
        Some((id, false, false)) => ticket::gone_after_the_end(board, word, id),
    }
    if word.is_later {
        let ticket = there_is.map(|(id, ..)| id);
        keep(board, word, FaultState::Cleared, ticket);
    }
}
