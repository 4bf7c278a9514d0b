//! Retention: each kind is a statement, and a transaction, of its own.

use std::time::Duration;

use super::{
    PostgresStore,
    error::Fail,
    sql::{Step, now_ms, params},
};
use crate::Retention;

/// What is older than `$1` milliseconds is before this. The clock is asked once: asked for each row,
/// an index would be read from end to end to find that nothing is old.
macro_rules! horizon {
    () => {
        concat!("(SELECT ", now_ms!(), " - $1)")
    };
}

/// Deletes the oldest rows of a table that are past their time (`$1` milliseconds), `$2` at most.
/// Rows that a commit holds at the moment are left to the next time.
macro_rules! oldest {
    ($table:literal, $at:literal) => {
        oldest!($table, $at, "true")
    };
    ($table:literal, $at:literal, $and:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ctid = ANY(ARRAY(SELECT ctid FROM ",
            $table,
            " row WHERE ",
            $at,
            " < ",
            horizon!(),
            " AND ",
            $and,
            " ORDER BY ",
            $at,
            " LIMIT $2 FOR UPDATE SKIP LOCKED))"
        )
    };
}

const PROCESSED: &str = oldest!("processed", "at");
const DEDUPE: &str = oldest!("dedupe", "at");
const OUTCOMES: &str = oldest!("outcome", "at");
const RECEIPTS: &str = oldest!("receipt", "at");
/// Only of numbers that are done: an open attempt is what a redelivery must find. What counts against
/// a reply window stays a week longer than asked: none is open for longer.
const ATTEMPTS: &str = oldest!(
    "attempt",
    "at",
    "EXISTS (SELECT 1 FROM lane WHERE lane.id = row.lane AND row.out_seq <= lane.done)
         AND (row.spends IS NULL OR row.at + 604800000
             < (extract(epoch FROM clock_timestamp()) * 1000)::int8 - $1)"
);
const DEAD: &str = oldest!("dead", "closed_at");
/// What is past its time (`$1` milliseconds) of a table that closes its rows, `$2` at most. Other
/// tables are asked row by row, by their index, whatever the server believes about their size.
macro_rules! closed {
    ($table:literal, $state:literal, $at:literal, $and:expr) => {
        concat!(
            "SELECT row.id, row.ctid FROM ",
            $table,
            " row WHERE row.state ",
            $state,
            " AND ",
            $at,
            " < ",
            horizon!(),
            " AND ",
            $and,
            " ORDER BY ",
            $at,
            " LIMIT $2"
        )
    };
}
macro_rules! closed_tickets {
    ($and:literal) => {
        closed!(
            "ticket",
            "IN ('done', 'cancelled')",
            "coalesce(row.closed_at, row.updated_at)",
            $and
        )
    };
}
/// What a ticket speaks of stays: its history names these messages, and its commands go through this
/// conversation.
macro_rules! closed_conversations {
    ($and:literal) => {
        closed!(
            "conversation",
            "= 'closed'",
            "row.updated_at",
            concat!(
                "(SELECT 1 FROM ticket t WHERE t.conversation = row.id LIMIT 1) IS NULL AND ",
                $and
            )
        )
    };
}
/// Histories go first, a ticket when its history has gone: however long it is, a step is bounded.
const ENTRIES: &str = concat!(
    "DELETE FROM ticket_entry WHERE ctid = ANY(ARRAY(SELECT e.ctid FROM (",
    closed_tickets!("true"),
    ") t CROSS JOIN LATERAL (
         SELECT ctid FROM ticket_entry WHERE ticket = t.id LIMIT $2
     ) e LIMIT $2))"
);
const TICKETS: &str = concat!(
    "DELETE FROM ticket WHERE ctid = ANY(ARRAY(SELECT ctid FROM (",
    closed_tickets!("(SELECT 1 FROM ticket_entry e WHERE e.ticket = row.id LIMIT 1) IS NULL"),
    " FOR UPDATE SKIP LOCKED) t))"
);
/// Likewise.
const MESSAGES: &str = concat!(
    "DELETE FROM message WHERE ctid = ANY(ARRAY(SELECT m.ctid FROM (",
    closed_conversations!("true"),
    ") c CROSS JOIN LATERAL (
         SELECT ctid FROM message WHERE conversation = c.id LIMIT $2
     ) m LIMIT $2))"
);
const CONVERSATIONS: &str = concat!(
    "DELETE FROM conversation WHERE ctid = ANY(ARRAY(SELECT ctid FROM (",
    closed_conversations!(
        "(SELECT 1 FROM message m WHERE m.conversation = row.id LIMIT 1) IS NULL"
    ),
    " FOR UPDATE SKIP LOCKED) c))"
);
/// Numbered rows go from the smallest number on, so that what is left has no gaps.
macro_rules! first {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE seq = ANY(ARRAY(SELECT seq FROM ",
            $table,
            " ORDER BY seq LIMIT $2)) AND at < ",
            now_ms!(),
            " - $1"
        )
    };
}
const EVENTS: &str = first!("event_log");
const AUDIT: &str = first!("audit");

pub(super) async fn sweep(
    store: &PostgresStore,
    retention: &Retention,
    limit: u32,
) -> Result<u64, Fail> {
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
        let params = params![milliseconds(keep), i64::from(limit)];
        gone += store.work(Step::new(sql, params)).await?.affected;
    }
    Ok(gone)
}

fn milliseconds(keep: Duration) -> i64 {
    i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)
}
