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
/// Only of numbers that are done: an open attempt is what a redelivery must find.
const ATTEMPTS: &str = "DELETE FROM attempt WHERE (message, part) IN
    (SELECT a.message, a.part FROM attempt a JOIN lane l ON l.id = a.lane
     WHERE a.at < ?1 AND a.out_seq <= l.done ORDER BY a.at LIMIT ?2)";
const DEAD: &str = "DELETE FROM dead WHERE id IN
    (SELECT id FROM dead WHERE closed_at < ?1 ORDER BY closed_at LIMIT ?2)";

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
