//! Lanes: what was performed, what is parked, what was begun, who is live.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use patchbay_message::{ChannelId, InstanceId, ThreadId, Time};
use rusqlite::{Connection, params};

use super::{
    SqliteStore,
    error::Fail,
    media,
    people::guarded,
    pulls,
    rows::{self, select_parked},
    sql::{all, blob, json, ms, one, opt, opt_ms, run},
    windows,
};
use crate::{
    Attempt, Changes, LaneDone, LaneFacts, Lanes, MediaFetch, Park, Parked, StoreError, WindowNow,
    limits::ROWS_MAX,
};

#[async_trait]
impl Lanes for SqliteStore {
    async fn lanes(&self, keys: &[ThreadId]) -> Result<Vec<LaneFacts>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |db| keys.iter().map(|key| lane(db, *key)).collect())
            .await
    }

    async fn due(&self, shard: u16, now: Time, limit: u32) -> Result<Vec<Parked>, StoreError> {
        let mut due = self
            .read(move |db| {
                all(
                    db,
                    select_parked!(
                        "WHERE shard = ?1 AND due <= ?2 AND ready = 1 ORDER BY due, id LIMIT ?3"
                    ),
                    params![shard, ms(now), limit.min(ROWS_MAX)],
                    rows::parked,
                )
            })
            .await?;
        due.sort_by_key(|parked| (parked.lane, parked.out_seq));
        Ok(due)
    }

    async fn parked(&self, lane: ThreadId, limit: u32) -> Result<Vec<Parked>, StoreError> {
        self.read(move |db| {
            all(
                db,
                select_parked!("WHERE lane = ?1 ORDER BY out_seq LIMIT ?2"),
                params![blob(&lane), limit.min(ROWS_MAX)],
                rows::parked,
            )
        })
        .await
    }

    async fn windows(&self, thread: ThreadId) -> Result<Vec<WindowNow>, StoreError> {
        self.read(move |db| windows::load(db, thread)).await
    }

    async fn claim_media(&self, ttl: Duration, limit: u32) -> Result<Vec<MediaFetch>, StoreError> {
        let clock = self.clock();
        let claimed = self
            .write(move |db| media::claim(db, clock.now(), ttl, limit))
            .await?;
        Ok(claimed)
    }

    async fn take(
        &self,
        channel: &ChannelId,
        rate: f64,
        burst: u32,
        n: u32,
    ) -> Result<(u32, Duration), StoreError> {
        Ok(self.memory.take(channel, rate, burst, n, self.now()))
    }

    async fn live(&self, threads: &[ThreadId]) -> Result<Vec<(ThreadId, InstanceId)>, StoreError> {
        let threads = threads.to_vec();
        self.read(move |db| {
            let mut found = Vec::new();
            for thread in threads {
                found.extend(
                    gateways(db, thread)?
                        .into_iter()
                        .map(|gateway| (thread, gateway)),
                );
            }
            Ok(found)
        })
        .await
    }
}

fn lane(db: &Connection, key: ThreadId) -> Result<LaneFacts, Fail> {
    let id = blob(&key);
    let done = done(db, key)?;
    let parked = one(
        db,
        "SELECT count(*) FROM parked WHERE lane = ?1",
        [id],
        |c| c.get(),
    )?;
    let first = one(
        db,
        "SELECT out_seq, due FROM parked WHERE lane = ?1 ORDER BY out_seq LIMIT 1",
        [id],
        |c| Ok((c.get()?, c.time()?)),
    )?;
    let attempts = all(
        db,
        "SELECT message, part, exchange FROM attempt
         WHERE lane = ?1 AND out_seq > ?2 ORDER BY out_seq, part",
        params![id, done],
        |c| {
            Ok(Attempt {
                message: c.id()?,
                part: c.get()?,
                exchange: c.opt_json()?,
            })
        },
    )?;
    Ok(LaneFacts {
        lane: key,
        done,
        parked: parked.unwrap_or(0),
        first_parked: first.map(|(out_seq, _)| out_seq),
        due: first.map(|(_, due)| due),
        attempts,
        gateways: gateways(db, key)?,
    })
}

fn done(db: &Connection, lane: ThreadId) -> Result<u64, Fail> {
    let found = one(
        db,
        "SELECT done FROM lane WHERE id = ?1",
        [blob(&lane)],
        |c| c.get(),
    )?;
    Ok(found.unwrap_or(0))
}

fn gateways(db: &Connection, thread: ThreadId) -> Result<Vec<InstanceId>, Fail> {
    all(
        db,
        "SELECT gateway FROM live WHERE thread = ?1 ORDER BY gateway",
        [blob(&thread)],
        |c| Ok(InstanceId(c.get()?)),
    )
}

pub(super) fn write(db: &Connection, changes: &Changes, now: Time) -> Result<(), Fail> {
    let mut touched = BTreeSet::new();
    for id in &changes.unpark {
        run(db, "DELETE FROM parked WHERE id = ?1", [blob(id)])?;
    }
    for lane in &changes.lanes_done {
        move_on(db, lane)?;
        touched.insert(lane.lane);
    }
    for row in &changes.park {
        park(db, row, now)?;
        touched.insert(row.lane);
    }
    for lane in touched {
        run(
            db,
            "UPDATE parked SET ready = 1 WHERE lane = ?1 AND out_seq = ?2 + 1",
            params![blob(&lane), done(db, lane)?],
        )?;
    }
    attempts(db, changes, now)?;
    windows::write(db, changes)?;
    media::write(db, changes)?;
    pulls::write(db, changes)?;
    for change in &changes.live {
        let sql = if change.on {
            "INSERT INTO live (thread, gateway) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM live WHERE thread = ?1 AND gateway = ?2"
        };
        run(db, sql, params![blob(&change.thread), change.gateway.0])?;
    }
    for (channel, error, until) in &changes.channel_errors {
        run(
            db,
            "INSERT INTO channel_state (channel, until, last_error, last_error_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (channel) DO UPDATE SET until = coalesce(excluded.until, until),
                 last_error = excluded.last_error, last_error_at = excluded.last_error_at",
            params![channel.as_str(), opt_ms(*until), error, ms(now)],
        )?;
    }
    Ok(())
}

/// The next number only: what is performed twice or out of order is somebody's mistake. What is
/// parked at or below it has nothing left to wait for.
fn move_on(db: &Connection, lane: &LaneDone) -> Result<(), Fail> {
    let changed = run(
        db,
        "INSERT INTO lane (id, done) SELECT ?1, ?2
             WHERE ?2 = 1 OR EXISTS (SELECT 1 FROM lane WHERE id = ?1)
         ON CONFLICT (id) DO UPDATE SET done = excluded.done WHERE done = excluded.done - 1",
        params![blob(&lane.lane), lane.out_seq],
    )?;
    guarded(changed, || {
        format!("lane {} is not at {} yet", lane.lane, lane.out_seq)
    })?;
    run(
        db,
        "DELETE FROM parked WHERE lane = ?1 AND out_seq <= ?2",
        params![blob(&lane.lane), lane.out_seq],
    )?;
    Ok(())
}

fn park(db: &Connection, row: &Park, now: Time) -> Result<(), Fail> {
    if row.out_seq <= done(db, row.lane)? {
        return Err(Fail::conflict(format!(
            "lane {} has performed {} already",
            row.lane, row.out_seq
        )));
    }
    run(
        db,
        "INSERT INTO parked (id, lane, out_seq, shard, channel, due, reason, detail, attempts,
             envelope, parked_at, ready)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0)
         ON CONFLICT (id) DO UPDATE SET lane = excluded.lane, out_seq = excluded.out_seq,
             shard = excluded.shard, channel = excluded.channel, due = excluded.due,
             reason = excluded.reason, detail = excluded.detail, attempts = excluded.attempts,
             envelope = excluded.envelope, ready = 0",
        params![
            blob(&row.id),
            blob(&row.lane),
            row.out_seq,
            row.shard,
            row.channel.as_str(),
            ms(row.due),
            row.reason,
            row.detail,
            row.attempts,
            &*row.envelope,
            ms(now),
        ],
    )?;
    Ok(())
}

fn attempts(db: &Connection, changes: &Changes, now: Time) -> Result<(), Fail> {
    for attempt in &changes.attempts {
        run(
            db,
            "INSERT OR REPLACE INTO attempt
                 (message, part, lane, out_seq, epoch, exchange, at, spends)
             VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7)",
            params![
                blob(&attempt.message),
                attempt.part,
                blob(&attempt.lane),
                attempt.out_seq,
                attempt.epoch,
                ms(now),
                opt(attempt.spends.as_ref()),
            ],
        )?;
    }
    for (message, part, exchange) in &changes.attempts_done {
        run(
            db,
            "UPDATE attempt SET exchange = ?3, at = ?4 WHERE message = ?1 AND part = ?2",
            params![blob(message), part, json(exchange)?, ms(now)],
        )?;
    }
    Ok(())
}
