//! How far lines of providers have been pulled.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    PostgresStore,
    apply::{Group, Plan, last_of_each},
    sql::{Step, column, int, now_ms, params},
};
use crate::{PullNow, PullSaved, Pulls, StoreError};

const RING: &str = concat!(
    "INSERT INTO pull AS p (name, rung, hint, rung_at) VALUES ($1, 1, $2, ",
    now_ms!(),
    ") ON CONFLICT (name) DO UPDATE SET rung = p.rung + 1,
         hint = coalesce(excluded.hint, p.hint), rung_at = excluded.rung_at"
);

const READ: &str = concat!(
    "SELECT cursor, rung, served, hint, ",
    now_ms!(),
    " - rung_at FROM pull WHERE name = $1"
);

pub(super) fn write<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let all: Vec<&PullSaved> =
        last_of_each(group.all(|changes| &changes.pulled), |saved| &saved.pull);
    if all.is_empty() {
        return;
    }
    let rows = || all.iter().copied();
    plan.add(
        "INSERT INTO pull AS p (name, cursor, served)
         SELECT name, cursor, coalesce(served, 0)
         FROM unnest($1::text[], $2::text[], $3::int8[]) w(name, cursor, served)
         ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor,
             served = greatest(p.served, excluded.served)",
        params![
            column(rows(), |saved| saved.pull.as_str()),
            column(rows(), |saved| saved.cursor.as_str()),
            column(rows(), |saved| saved.served.map(int)),
        ],
    );
}

#[async_trait]
impl Pulls for PostgresStore {
    async fn ring(&self, pull: &str, hint: Option<&str>) -> Result<(), StoreError> {
        self.work(Step::new(RING, params![pull, hint])).await?;
        Ok(())
    }

    async fn pull(&self, pull: &str) -> Result<PullNow, StoreError> {
        let found = self.work(Step::new(READ, params![pull])).await?;
        let found = found.one(|c| {
            Ok(PullNow {
                cursor: c.get()?,
                rung: c.number()?,
                served: c.number()?,
                hint: c.get()?,
                rung_ago: c.opt_number()?.map(Duration::from_millis),
            })
        })?;
        Ok(found.unwrap_or_default())
    }
}
