//! Retention: each kind is a statement, and a transaction, of its own.

use std::time::Duration;

use super::{
    PostgresStore,
    error::Fail,
    sql::{Step, now_ms, params},
};
use crate::Retention;

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
            now_ms!(),
            " - $1 AND ",
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
/// Only of numbers that are done: an open attempt is what a redelivery must find.
const ATTEMPTS: &str = oldest!(
    "attempt",
    "at",
    "EXISTS (SELECT 1 FROM lane WHERE lane.id = row.lane AND row.out_seq <= lane.done)"
);
const DEAD: &str = oldest!("dead", "closed_at");
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
