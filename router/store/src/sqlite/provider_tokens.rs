//! Tokens that providers gave us.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_message::{InstanceId, Time};
use rusqlite::{Connection, params};

use super::{
    SqliteStore,
    error::Fail,
    sql::{ms, one, run},
};
use crate::{
    ProviderToken, ProviderTokens, StoreError, TokenFetch,
    provider_tokens::{Row, span_ms},
};

#[async_trait]
impl ProviderTokens for SqliteStore {
    async fn provider_token(&self, account: &str) -> Result<Option<ProviderToken>, StoreError> {
        let account = account.to_owned();
        let now = self.now();
        self.read(move |db| read(db, &account, now)).await
    }

    async fn begin_token(
        &self,
        account: &str,
        generation: u64,
        who: &InstanceId,
        ttl: Duration,
        renew: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let (account, who) = (account.to_owned(), who.0.clone());
        let clock = self.clock();
        let begun: Option<i64> = self
            .write(move |db| {
                let now = clock.now();
                one(
                    db,
                    "INSERT INTO provider_token AS t
                         (account, generation, fetcher, fetch_until, renewed_at)
                     VALUES (?1, ?2, ?3, ?4 + ?5, iif(?6 IS NULL, NULL, ?4))
                     ON CONFLICT (account) DO UPDATE SET fetcher = excluded.fetcher,
                         fetch_until = excluded.fetch_until,
                         renewed_at = coalesce(excluded.renewed_at, t.renewed_at)
                     WHERE t.generation = ?2
                         AND (t.fetcher IS NULL OR t.fetcher = ?3 OR t.fetch_until <= ?4)
                         AND coalesce(t.retry_at <= ?4, 1)
                         AND (?6 IS NULL OR t.renewed_at IS NULL OR t.renewed_at + ?6 <= ?4)
                     RETURNING 1",
                    params![
                        account,
                        generation,
                        who,
                        ms(now),
                        span_ms(ttl),
                        renew.map(span_ms)
                    ],
                    |c| c.get(),
                )
            })
            .await?;
        Ok(begun.is_some())
    }

    async fn end_token(
        &self,
        account: &str,
        generation: u64,
        who: &InstanceId,
        fetched: &TokenFetch,
    ) -> Result<bool, StoreError> {
        let (account, who, fetched) = (account.to_owned(), who.0.clone(), fetched.clone());
        let clock = self.clock();
        let changed = self
            .write(move |db| end(db, &account, generation, &who, &fetched, clock.now()))
            .await?;
        Ok(changed > 0)
    }
}

fn read(db: &Connection, account: &str, now: Time) -> Result<Option<ProviderToken>, Fail> {
    one(
        db,
        "SELECT value, generation, fetched_at, expires_at, renewed_at, fetch_until, failures, failure,
             retry_at
         FROM provider_token WHERE account = ?1",
        [account],
        |c| {
            let row = Row {
                value: c.get()?,
                generation: c.get()?,
                fetched_at: c.opt_time()?,
                expires_at: c.opt_time()?,
                renewed_at: c.opt_time()?,
                fetch_until: c.opt_time()?,
                failures: c.get()?,
                failure: c.get()?,
                retry_at: c.opt_time()?,
                now,
            };
            Ok(row.standing())
        },
    )
}

fn end(
    db: &Connection,
    account: &str,
    generation: u64,
    who: &str,
    fetched: &TokenFetch,
    now: Time,
) -> Result<usize, Fail> {
    match fetched {
        TokenFetch::Got {
            value,
            expires_in,
            renewed,
        } => run(
            db,
            "UPDATE provider_token SET generation = generation + iif(value IS ?4 AND NOT ?7, 0, 1),
                 value = ?4, fetched_at = ?5, expires_at = ?5 + ?6, fetcher = NULL,
                 fetch_until = NULL, failures = 0, failure = NULL, retry_at = NULL
             WHERE account = ?1 AND generation = ?2 AND fetcher = ?3",
            params![
                account,
                generation,
                who,
                value,
                ms(now),
                span_ms(*expires_in),
                renewed
            ],
        ),
        TokenFetch::Failed { failure, retry_in } => run(
            db,
            "UPDATE provider_token SET failures = failures + 1, failure = ?4, retry_at = ?5 + ?6,
                 fetcher = NULL, fetch_until = NULL
             WHERE account = ?1 AND generation = ?2 AND fetcher = ?3",
            params![
                account,
                generation,
                who,
                failure,
                ms(now),
                span_ms(*retry_in)
            ],
        ),
    }
}
