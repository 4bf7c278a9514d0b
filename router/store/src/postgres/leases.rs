//! Leases and heartbeats: judged by the database's clock alone.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_message::InstanceId;

use super::{
    PostgresStore,
    sql::{Step, column, now_ms, params},
};
use crate::{Fence, Leases, StoreError};

/// A heartbeat that stopped this long ago is forgotten, and the live connections of its instance
/// with it. Until then they are only not shown: a process may have been stopped for a while.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

const LEASE: &str = concat!(
    "INSERT INTO lease (name, owner, epoch, expires_at) VALUES ($1, $2, 1, ",
    now_ms!(),
    " + $3) ON CONFLICT (name) DO UPDATE SET
         epoch = lease.epoch + (lease.owner IS DISTINCT FROM excluded.owner)::int,
         owner = excluded.owner, expires_at = ",
    now_ms!(),
    " + $3 WHERE lease.owner IS NULL OR lease.owner = excluded.owner OR lease.expires_at <= ",
    now_ms!(),
    " RETURNING epoch"
);

const RENEW: &str = concat!(
    "UPDATE lease SET expires_at = ",
    now_ms!(),
    " + $3 FROM unnest($1::text[], $2::int8[]) f(name, epoch)
     WHERE lease.name = f.name AND lease.epoch = f.epoch AND owner IS NOT NULL
     RETURNING lease.name, lease.epoch"
);

const BEAT: &str = concat!(
    "WITH mine AS (
         INSERT INTO heartbeat (role, instance, expires_at) VALUES ($1, $2, ",
    now_ms!(),
    " + $3) ON CONFLICT (role, instance) DO UPDATE SET expires_at = excluded.expires_at
     ), forgotten AS (
         DELETE FROM heartbeat WHERE expires_at < ",
    now_ms!(),
    " - $4 AND instance <> $2 RETURNING instance
     ), gone AS (
         DELETE FROM live WHERE gateway IN (SELECT instance FROM forgotten)
     )
     SELECT 1 + count(*) FROM heartbeat
     WHERE role = $1 AND instance <> $2 AND expires_at > ",
    now_ms!()
);

#[async_trait]
impl Leases for PostgresStore {
    async fn lease(
        &self,
        name: &str,
        owner: &InstanceId,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let step = Step::new(LEASE, params![name, owner.0.as_str(), ms(ttl)]);
        let epoch = self.work(step).await?.one(|c| c.get())?;
        Ok(epoch.map(|epoch| Fence {
            name: name.to_owned(),
            epoch,
        }))
    }

    async fn renew(&self, fences: &[Fence], ttl: Duration) -> Result<Vec<Fence>, StoreError> {
        let mut ordered: Vec<&Fence> = fences.iter().collect();
        ordered.sort_by_key(|fence| &fence.name);
        let (names, epochs) = columns(&ordered);
        let step = Step::new(RENEW, params![names, epochs, ms(ttl)]);
        let held = self.work(step).await?.all(|c| {
            Ok(Fence {
                name: c.get()?,
                epoch: c.get()?,
            })
        })?;
        Ok(held)
    }

    async fn release(&self, fences: &[Fence]) -> Result<(), StoreError> {
        let fences: Vec<&Fence> = fences.iter().collect();
        let (names, epochs) = columns(&fences);
        let step = Step::new(
            "UPDATE lease SET owner = NULL FROM unnest($1::text[], $2::int8[]) f(name, epoch)
             WHERE lease.name = f.name AND lease.epoch = f.epoch",
            params![names, epochs],
        );
        self.work(step).await?;
        Ok(())
    }

    async fn beat(
        &self,
        instance: &InstanceId,
        role: &str,
        ttl: Duration,
    ) -> Result<u32, StoreError> {
        let forget = ms(FORGET_AFTER);
        let step = Step::new(BEAT, params![role, instance.0.as_str(), ms(ttl), forget]);
        let alive = self.work(step).await?.one(|c| c.number())?;
        Ok(alive.unwrap_or(1))
    }

    async fn leave(&self, instance: &InstanceId) -> Result<(), StoreError> {
        let instance = instance.0.as_str();
        let steps = [
            Step::bare("BEGIN"),
            Step::new(
                "DELETE FROM heartbeat WHERE instance = $1",
                params![instance],
            ),
            Step::new("DELETE FROM live WHERE gateway = $1", params![instance]),
            Step::new(
                "UPDATE lease SET owner = NULL WHERE owner = $1",
                params![instance],
            ),
            Step::bare("COMMIT"),
        ];
        let answers = self.inner.pipeline(&self.inner.pools.work, &steps).await?;
        for answer in answers {
            answer?;
        }
        Ok(())
    }
}

fn columns<'a>(fences: &[&'a Fence]) -> (Vec<&'a str>, Vec<i64>) {
    (
        column(fences, |fence| fence.name.as_str()),
        column(fences, |fence| fence.epoch),
    )
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
