//! Applies a commit: fences first, then inserts and guarded updates, the event log last.

use async_trait::async_trait;
use patchbay_message::{CommandId, Outcome, Time};
use rusqlite::{Connection, params};

use super::{
    SqliteStore,
    error::Fail,
    events, lanes, people, receipts,
    sql::{all, blob, json, ms, one, opt, run},
    sweep, tickets,
};
use crate::{
    Audit, Changes, CommitError, Committed, DeadLetter, Facts, Fence, Journal, OutboxRow,
    Retention, StoreError, Want, check, limits::ROWS_MAX, meter,
};

#[async_trait]
impl Journal for SqliteStore {
    async fn facts(&self, want: &Want) -> Result<Facts, StoreError> {
        let want = want.clone();
        meter::facts(self.read(move |db| super::facts::load(db, &want))).await
    }

    async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        meter::commit(async {
            check::check(&changes)?;
            let clock = self.clock();
            let written = self.write(move |db| apply(db, &changes, clock.now()));
            Ok(written.await?)
        })
        .await
    }

    async fn outbox(
        &self,
        partition: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let partition = partition.to_owned();
        self.read(move |db| {
            all(
                db,
                "SELECT partition, seq, shard, id, envelope FROM outbox
                 WHERE partition = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                params![partition, after.min(check::NUMBER_MAX), limit.min(ROWS_MAX)],
                |c| {
                    Ok(OutboxRow {
                        partition: c.get()?,
                        seq: c.get()?,
                        shard: c.get()?,
                        id: c.id()?,
                        envelope: c.bytes()?,
                    })
                },
            )
        })
        .await
    }

    async fn outcome(&self, command: CommandId) -> Result<Option<Outcome>, StoreError> {
        self.read(move |db| find_outcome(db, command)).await
    }

    async fn sweep(&self, retention: &Retention, limit: u32) -> Result<u64, StoreError> {
        sweep::sweep(self, retention, limit).await
    }
}

pub(super) fn find_outcome(db: &Connection, command: CommandId) -> Result<Option<Outcome>, Fail> {
    one(
        db,
        "SELECT body FROM outcome WHERE command = ?1",
        [blob(&command)],
        |c| c.json(),
    )
}

fn apply(db: &Connection, changes: &Changes, now: Time) -> Result<Committed, Fail> {
    for fence in &changes.fences {
        hold(db, fence)?;
    }
    marks(db, changes, now)?;
    for row in &changes.contacts {
        people::save_contact(db, row)?;
    }
    for row in &changes.threads {
        people::insert_thread(db, row)?;
    }
    for update in &changes.thread_updates {
        people::update_thread(db, update)?;
    }
    for row in &changes.conversations {
        people::insert_conversation(db, row)?;
    }
    for update in &changes.conversation_updates {
        people::update_conversation(db, update)?;
    }
    for row in &changes.messages {
        people::insert_message(db, row)?;
    }
    for load in &changes.loads {
        people::change_load(db, load)?;
    }
    for id in &changes.read {
        people::read_conversation(db, *id)?;
    }
    outbox(db, changes)?;
    lanes::write(db, changes, now)?;
    tickets::write(db, changes, now)?;
    let rose = receipts::write(db, changes, now)?;
    for row in &changes.dead {
        save_dead(db, row, now)?;
    }
    for (id, status) in &changes.dead_status {
        let changed = run(
            db,
            "UPDATE dead SET status = ?2, closed_at = ?3 WHERE id = ?1 AND status = 'dead'",
            params![blob(id), status, ms(now)],
        )?;
        people::guarded(changed, || format!("dead letter {id}"))?;
    }
    for row in &changes.audit {
        audit(db, row, now)?;
    }
    let mut committed = Committed {
        last_event: 0,
        delivered: rose.delivered,
    };
    for event in changes
        .events
        .iter()
        .chain(&rose.deliveries)
        .chain(&rose.seen)
    {
        committed.last_event = events::append(db, event, now)?;
    }
    Ok(committed)
}

/// A free lease has no owner: whoever gave it up acts for it no more, though its epoch stands.
fn hold(db: &Connection, fence: &Fence) -> Result<(), Fail> {
    one(
        db,
        "SELECT 1 FROM lease WHERE name = ?1 AND epoch = ?2 AND owner IS NOT NULL",
        params![fence.name, fence.epoch],
        |_| Ok(()),
    )?
    .ok_or_else(|| Fail::Commit(CommitError::Fenced(fence.name.clone())))
}

fn marks(db: &Connection, changes: &Changes, now: Time) -> Result<(), Fail> {
    for (source, id) in &changes.processed {
        run(
            db,
            "INSERT INTO processed (source, id, at) VALUES (?1, ?2, ?3)",
            params![source, id, ms(now)],
        )?;
    }
    for (key, message) in &changes.dedupe {
        run(
            db,
            "INSERT INTO dedupe (key, message, at) VALUES (?1, ?2, ?3)",
            params![key, blob(message), ms(now)],
        )?;
    }
    for outcome in &changes.outcomes {
        run(
            db,
            "INSERT INTO outcome (command, body, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (command) DO NOTHING",
            params![blob(&outcome.command_id), json(outcome)?, ms(now)],
        )?;
    }
    Ok(())
}

fn outbox(db: &Connection, changes: &Changes) -> Result<(), Fail> {
    for row in &changes.outbox {
        let changed = run(
            db,
            "INSERT INTO outbox_head (partition, seq) VALUES (?1, ?2)
             ON CONFLICT (partition) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq",
            params![row.partition, row.seq],
        )?;
        people::guarded(changed, || format!("outbox {} {}", row.partition, row.seq))?;
        run(
            db,
            "INSERT INTO outbox (partition, seq, shard, id, envelope) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                row.partition,
                row.seq,
                row.shard,
                blob(&row.id),
                &*row.envelope
            ],
        )?;
    }
    for (partition, through) in &changes.outbox_done {
        run(
            db,
            "DELETE FROM outbox WHERE partition = ?1 AND seq <= ?2",
            params![partition, through],
        )?;
    }
    Ok(())
}

fn save_dead(db: &Connection, row: &DeadLetter, now: Time) -> Result<(), Fail> {
    run(
        db,
        "INSERT OR REPLACE INTO dead (id, direction, channel, conversation, lane, reason, detail,
             attempts, exchange, envelope, at, status, closed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
             iif(?12 = 'dead', NULL, ?13))",
        params![
            blob(&row.id),
            row.direction.as_str(),
            row.channel.as_str(),
            opt(row.conversation_id.as_ref()),
            opt(row.lane.as_ref()),
            row.reason,
            row.detail,
            row.attempts,
            row.exchange.as_ref().map(json).transpose()?,
            &*row.envelope,
            ms(row.at),
            row.status,
            ms(now),
        ],
    )?;
    Ok(())
}

fn audit(db: &Connection, row: &Audit, now: Time) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO audit (agent, token, action, target, detail, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            opt(row.agent_id.as_ref()),
            opt(row.token_id.as_ref()),
            row.action,
            row.target,
            json(&row.detail)?,
            ms(now),
        ],
    )?;
    Ok(())
}
