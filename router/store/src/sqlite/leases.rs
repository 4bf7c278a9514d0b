//! Leases are rows, heartbeats are in memory: a heartbeat has nothing to outlive this process for.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_message::InstanceId;
use rusqlite::params;

use super::{
    SqliteStore,
    sql::{ms, one, run},
};
use crate::{Fence, Leases, StoreError};

#[async_trait]
impl Leases for SqliteStore {
    async fn lease(
        &self,
        name: &str,
        owner: &InstanceId,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let (name, owner) = (name.to_owned(), owner.0.clone());
        let clock = self.clock();
        let fence = self
            .write(move |db| {
                // The time when it is written, not when it was asked for: the queue may be long.
                let now = clock.now();
                let epoch: Option<i64> = one(
                    db,
                    "INSERT INTO lease (name, owner, epoch, expires_at) VALUES (?1, ?2, 1, ?4)
                     ON CONFLICT (name) DO UPDATE SET
                         epoch = epoch + iif(owner IS excluded.owner, 0, 1),
                         owner = excluded.owner, expires_at = excluded.expires_at
                     WHERE owner IS NULL OR owner = excluded.owner OR expires_at <= ?3
                     RETURNING epoch",
                    params![name, owner, ms(now), ms(now.plus(ttl))],
                    |c| c.get(),
                )?;
                Ok(epoch.map(|epoch| Fence { name, epoch }))
            })
            .await?;
        Ok(fence)
    }

    async fn renew(&self, fences: &[Fence], ttl: Duration) -> Result<Vec<Fence>, StoreError> {
        let fences = fences.to_vec();
        let clock = self.clock();
        let held = self
            .write(move |db| {
                let until = ms(clock.now().plus(ttl));
                let mut held = Vec::with_capacity(fences.len());
                for fence in fences {
                    let changed = run(
                        db,
                        "UPDATE lease SET expires_at = ?3
                         WHERE name = ?1 AND epoch = ?2 AND owner IS NOT NULL",
                        params![fence.name, fence.epoch, until],
                    )?;
                    if changed > 0 {
                        held.push(fence);
                    }
                }
                Ok(held)
            })
            .await?;
        Ok(held)
    }

    async fn release(&self, fences: &[Fence]) -> Result<(), StoreError> {
        let fences = fences.to_vec();
        self.write(move |db| {
            for fence in fences {
                run(
                    db,
                    "UPDATE lease SET owner = NULL WHERE name = ?1 AND epoch = ?2",
                    params![fence.name, fence.epoch],
                )?;
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn beat(
        &self,
        instance: &InstanceId,
        role: &str,
        ttl: Duration,
    ) -> Result<u32, StoreError> {
        Ok(self.memory.beat(instance, role, ttl, self.now()))
    }

    async fn leave(&self, instance: &InstanceId) -> Result<(), StoreError> {
        self.memory.leave(instance);
        let instance = instance.0.clone();
        self.write(move |db| {
            run(db, "DELETE FROM live WHERE gateway = ?1", [&instance])?;
            run(
                db,
                "UPDATE lease SET owner = NULL WHERE owner = ?1",
                [&instance],
            )?;
            Ok(())
        })
        .await?;
        Ok(())
    }
}
