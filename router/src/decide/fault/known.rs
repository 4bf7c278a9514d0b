//! Whether a report comes after what is known of its fault.
//!
//! Two know of a fault: the row of the device that reports it, and the fault's ticket. The ticket may
//! know more: several gateways can tell of the same device, each of them has a row of its own, and a
//! row forgets. Between tellers only the time says what came first, for each may have its own count.

use patchbay_message::Time;
use patchbay_store::{FaultNow, Ticket};

use super::{Board, FaultKey};

/// Whether what happened at `at` is later than the reporting device's row and the ticket know.
pub(super) fn is_later(
    board: &Board<'_>,
    key: &FaultKey,
    known: Option<&FaultNow>,
    (at, sequence): (Time, Option<u64>),
) -> bool {
    let than_row = known.is_none_or(|known| match (sequence, known.sequence) {
        (Some(sequence), Some(before)) => sequence >= before,
        _ => at >= known.at,
    });
    let elsewhere = (board.ticket_of(key)).filter(|ticket| was_told_since(ticket, known));
    than_row && elsewhere.is_none_or(|ticket| at >= ticket.newest_at())
}

/// Whether the ticket knows something that this row did not tell it.
fn was_told_since(ticket: &Ticket, known: Option<&FaultNow>) -> bool {
    let told = known.filter(|known| known.ticket == Some(ticket.id));
    told.and_then(|known| known.ticket_at) != Some(ticket.newest_at())
}
