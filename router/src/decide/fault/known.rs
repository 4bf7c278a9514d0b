//! Whether a report comes after what is known of its fault.
//!
//! Two know of a fault: the row of the device that reports it, and the fault's ticket. The ticket may
//! know more: several gateways can tell of the same device, each of them has a row of its own, and a
//! row forgets. Between tellers only the time says what came first, for each may have its own count.

use std::time::Duration;

use patchbay_message::Time;
use patchbay_store::{FaultNow, Ticket};

use super::{Board, FaultKey};

/// How far ahead of our clock a device's time may be and still say what came first.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// Whether what happened at `at` is later than what is known from `known`; equal counts as later. A
/// known time that is ahead of our clock was told by a clock that was wrong: as long as it is, the order
/// of arrival decides, or that clock would silence the fault until the time it named has come.
pub(in crate::decide) fn comes_after(at: Time, known: Time, now: Time) -> bool {
    at >= known || known > now.plus(AHEAD_MAX)
}

/// Whether what happened at `at` is later than the reporting device's row and the ticket know.
pub(super) fn is_later(
    board: &Board<'_>,
    key: &FaultKey,
    known: Option<&FaultNow>,
    (at, sequence): (Time, Option<u64>),
) -> bool {
    let now = board.now();
    let than_row = known.is_none_or(|known| match (sequence, known.sequence) {
        (Some(sequence), Some(before)) => sequence >= before,
        _ => comes_after(at, known.at, now),
    });
    let elsewhere = (board.ticket_of(key)).filter(|ticket| was_told_since(ticket, known));
    than_row && elsewhere.is_none_or(|ticket| comes_after(at, ticket.newest_at(), now))
}

/// Whether the ticket knows something that this row did not tell it.
fn was_told_since(ticket: &Ticket, known: Option<&FaultNow>) -> bool {
    let told = known.filter(|known| known.ticket == Some(ticket.id));
    told.and_then(|known| known.ticket_at) != Some(ticket.newest_at())
}
