//! Retention: each kind is a piece of work of its own, so that commits get in between.

use patchbay_message::Time;
use rusqlite::params;

use super::{
    SqliteStore,
    sql::{ms, run},
};
use crate::{Retention, StoreError};

/// Kind by kind. `?1` is the time before which rows go, `?2` how many at most. Rows that come in
/// the order of time are taken from the smallest number on.
const PROCESSED: &str = "DELETE FROM processed WHERE seq IN
    (SELECT seq FROM processed ORDER BY seq LIMIT ?2) AND at < ?1";
const DEDUPE: &str = "DELETE FROM dedupe WHERE seq IN
    (SELECT seq FROM dedupe ORDER BY seq LIMIT ?2) AND at < ?1";
const OUTCOMES: &str = "DELETE FROM outcome WHERE seq IN
    (SELECT seq FROM outcome ORDER BY seq LIMIT ?2) AND at < ?1";
const EVENTS: &str = "DELETE FROM event_log WHERE seq IN
    (SELECT seq FROM event_log ORDER BY seq LIMIT ?2) AND at < ?1";
const AUDIT: &str = "DELETE FROM audit WHERE seq IN
    (SELECT seq FROM audit ORDER BY seq LIMIT ?2) AND at < ?1";
const RECEIPTS: &str = "DELETE FROM receipt WHERE (channel, external_id) IN
    (SELECT channel, external_id FROM receipt WHERE at < ?1 ORDER BY at LIMIT ?2)";
/// Only of numbers that are done: an open attempt is what a redelivery must find. What counts against
/// a reply window stays a week longer than asked: none is open for longer. The first bound is for the
/// index, which the second cannot use.
pub(super) const ATTEMPTS: &str = "DELETE FROM attempt WHERE (message, part) IN
    (SELECT a.message, a.part FROM attempt a JOIN lane l ON l.id = a.lane
     WHERE a.at < ?1 AND (a.spends IS NULL OR a.at < ?1 - 604800000) AND a.out_seq <= l.done
     ORDER BY a.at LIMIT ?2)";
const DEAD: &str = "DELETE FROM dead WHERE id IN
    (SELECT id FROM dead WHERE closed_at < ?1 ORDER BY closed_at LIMIT ?2)";
/// Histories go first, a ticket when its history has gone: however long it is, a step is bounded.
const ENTRIES: &str = "DELETE FROM ticket_entry WHERE (ticket, pos) IN
    (SELECT e.ticket, e.pos FROM
        (SELECT id FROM ticket
         WHERE state IN ('done', 'cancelled') AND coalesce(closed_at, updated_at) < ?1
         ORDER BY coalesce(closed_at, updated_at) LIMIT ?2) t
     JOIN ticket_entry e ON e.ticket = t.id LIMIT ?2)";
const TICKETS: &str = "DELETE FROM ticket WHERE id IN
    (SELECT id FROM ticket
     WHERE state IN ('done', 'cancelled') AND coalesce(closed_at, updated_at) < ?1
         AND NOT EXISTS (SELECT 1 FROM ticket_entry e WHERE e.ticket = ticket.id)
     ORDER BY coalesce(closed_at, updated_at) LIMIT ?2)";
/// Likewise. What a ticket speaks of stays: its history names these messages, and its commands go
/// through this conversation.
const MESSAGES: &str = "DELETE FROM message WHERE rowid IN
    (SELECT m.rowid FROM
        (SELECT id FROM conversation WHERE state = 'closed' AND updated_at < ?1
             AND NOT EXISTS (SELECT 1 FROM ticket t WHERE t.conversation = conversation.id)
         ORDER BY updated_at LIMIT ?2) c
     JOIN message m ON m.conversation = c.id LIMIT ?2)";
const CONVERSATIONS: &str = "DELETE FROM conversation WHERE id IN
    (SELECT id FROM conversation WHERE state = 'closed' AND updated_at < ?1
         AND NOT EXISTS (SELECT 1 FROM ticket t WHERE t.conversation = conversation.id)
         AND NOT EXISTS (SELECT 1 FROM message m WHERE m.conversation = conversation.id)
     ORDER BY updated_at LIMIT ?2)";

pub(super) async fn sweep(
    store: &SqliteStore,
    retention: &Retention,
    limit: u32,
) -> Result<u64, StoreError> {
    let now = store.now();
    let steps = [
        (PROCESSED, retention.processed),
        (DEDUPE, retention.dedupe),
        (OUTCOMES, retention.processed),
        (EVENTS, retention.events),
        (AUDIT, retention.audit),
        (RECEIPTS, retention.receipts),
        (ATTEMPTS, retention.receipts),
        (DEAD, retention.dead),
        (ENTRIES, retention.tickets),
        (TICKETS, retention.tickets),
        (MESSAGES, retention.conversations),
        (CONVERSATIONS, retention.conversations),
    ];
    let mut gone = 0;
    for (sql, keep) in steps {
        let before: Time = now.minus(keep);
        let rows = store
            .write(move |db| run(db, sql, params![ms(before), limit]))
            .await?;
        gone += u64::try_from(rows).unwrap_or(u64::MAX);
    }
    Ok(gone)
}
