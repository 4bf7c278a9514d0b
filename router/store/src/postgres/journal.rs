//! Loading facts and committing changes.

use async_trait::async_trait;
use patchbay_message::{CommandId, Outcome};

use super::{
    PostgresStore,
    sql::{Step, int, params},
    sweep,
};
use crate::{
    Changes, CommitError, Committed, Facts, Journal, OutboxRow, Retention, StoreError, Want, check,
    limits::ROWS_MAX, meter,
};

#[async_trait]
impl Journal for PostgresStore {
    async fn facts(&self, want: &Want) -> Result<Facts, StoreError> {
        meter::facts(self.loader.load(want)).await
    }

    async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        meter::commit(async {
            check::check(&changes)?;
            self.committer.commit(changes).await
        })
        .await
    }

    async fn outbox(
        &self,
        partition: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let step = Step::new(
            "SELECT partition, seq, shard, id, envelope FROM outbox
             WHERE partition = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            params![partition, int(after), i64::from(limit.min(ROWS_MAX))],
        );
        let rows = self.work(step).await?.all(|c| {
            Ok(OutboxRow {
                partition: c.get()?,
                seq: c.number()?,
                shard: c.small()?,
                id: c.id()?,
                envelope: c.bytes()?,
            })
        })?;
        Ok(rows)
    }

    async fn outcome(&self, command: CommandId) -> Result<Option<Outcome>, StoreError> {
        let step = Step::new(
            "SELECT body FROM outcome WHERE command = $1",
            params![command.0],
        );
        Ok(self.read(step).await?.one(|c| c.json())?)
    }

    async fn sweep(&self, retention: &Retention, limit: u32) -> Result<u64, StoreError> {
        Ok(sweep::sweep(self, retention, limit).await?)
    }
}
