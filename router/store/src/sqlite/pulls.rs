//! How far lines of providers have been pulled.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{
    SqliteStore,
    error::Fail,
    sql::{ms, one, run},
};
use crate::{Changes, PullNow, Pulls, StoreError};

pub(super) fn write(db: &Connection, changes: &Changes) -> Result<(), Fail> {
    for saved in &changes.pulled {
        run(
            db,
            "INSERT INTO pull (name, cursor, served) VALUES (?1, ?2, coalesce(?3, 0))
             ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor,
                 served = max(served, excluded.served)",
            params![saved.pull, saved.cursor, saved.served],
        )?;
    }
    Ok(())
}

#[async_trait]
impl Pulls for SqliteStore {
    async fn ring(&self, pull: &str, hint: Option<&str>) -> Result<(), StoreError> {
        let (pull, hint) = (pull.to_owned(), hint.map(str::to_owned));
        let clock = self.clock();
        self.write(move |db| {
            run(
                db,
                "INSERT INTO pull (name, rung, hint, rung_at) VALUES (?1, 1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET rung = rung + 1,
                     hint = coalesce(excluded.hint, hint), rung_at = excluded.rung_at",
                params![pull, hint, ms(clock.now())],
            )
        })
        .await?;
        Ok(())
    }

    async fn pull(&self, pull: &str) -> Result<PullNow, StoreError> {
        let pull = pull.to_owned();
        let now = self.now();
        let found = self
            .read(move |db| {
                one(
                    db,
                    "SELECT cursor, rung, served, hint, rung_at FROM pull WHERE name = ?1",
                    [pull],
                    |c| {
                        Ok(PullNow {
                            cursor: c.get()?,
                            rung: c.get()?,
                            served: c.get()?,
                            hint: c.get()?,
                            rung_ago: c.opt_time()?.map(|at| now.since(at)),
                        })
                    },
                )
            })
            .await?;
        Ok(found.unwrap_or_default())
    }
}
