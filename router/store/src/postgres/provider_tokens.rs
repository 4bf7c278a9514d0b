//! Tokens that providers gave us.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_message::InstanceId;

use super::{
    PostgresStore,
    sql::{Step, int, now_ms, params},
};
use crate::{
    ProviderToken, ProviderTokens, StoreError, TokenFetch,
    provider_tokens::{Row, span_ms},
};

const READ: &str = concat!(
    "SELECT value, generation, fetched_at, expires_at, renewed_at, fetch_until, failures, failure,
             retry_at, ",
    now_ms!(),
    " FROM provider_token WHERE account = $1"
);

const BEGIN: &str = concat!(
    "INSERT INTO provider_token AS t (account, generation, fetcher, fetch_until, renewed_at)
     SELECT $1, $2, $3, now + $4, CASE WHEN $5::int8 IS NULL THEN NULL ELSE now END FROM (SELECT ",
    now_ms!(),
    " AS now) n
     ON CONFLICT (account) DO UPDATE SET fetcher = excluded.fetcher,
         fetch_until = excluded.fetch_until,
         renewed_at = coalesce(excluded.renewed_at, t.renewed_at)
     WHERE t.generation = $2
         AND (t.fetcher IS NULL OR t.fetcher = $3 OR t.fetch_until <= ",
    now_ms!(),
    ") AND coalesce(t.retry_at <= ",
    now_ms!(),
    ", true) AND ($5 IS NULL OR t.renewed_at IS NULL OR t.renewed_at + $5 <= ",
    now_ms!(),
    ") RETURNING 1"
);

const GOT: &str = concat!(
    "UPDATE provider_token SET
         generation = generation + CASE WHEN value IS NOT DISTINCT FROM $4 AND NOT $6 THEN 0 ELSE 1 END,
         value = $4, fetched_at = ",
    now_ms!(),
    ", expires_at = ",
    now_ms!(),
    " + $5, fetcher = NULL, fetch_until = NULL, failures = 0, failure = NULL, retry_at = NULL
     WHERE account = $1 AND generation = $2 AND fetcher = $3"
);

const FAILED: &str = concat!(
    "UPDATE provider_token SET failures = failures + 1, failure = $4, retry_at = ",
    now_ms!(),
    " + $5, fetcher = NULL, fetch_until = NULL
     WHERE account = $1 AND generation = $2 AND fetcher = $3"
);

#[async_trait]
impl ProviderTokens for PostgresStore {
    async fn provider_token(&self, account: &str) -> Result<Option<ProviderToken>, StoreError> {
        let found = self.work(Step::new(READ, params![account])).await?;
        let row = found.one(|c| {
            Ok(Row {
                value: c.get()?,
                generation: c.number()?,
                fetched_at: c.opt_time()?,
                expires_at: c.opt_time()?,
                renewed_at: c.opt_time()?,
                fetch_until: c.opt_time()?,
                failures: c.number()?,
                failure: c.get()?,
                retry_at: c.opt_time()?,
                now: c.time()?,
            })
        })?;
        Ok(row.map(Row::standing))
    }

    async fn begin_token(
        &self,
        account: &str,
        generation: u64,
        who: &InstanceId,
        ttl: Duration,
        renew: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let step = Step::new(
            BEGIN,
            params![
                account,
                int(generation),
                who.0.as_str(),
                span_ms(ttl),
                renew.map(span_ms)
            ],
        );
        Ok(!self.work(step).await?.rows.is_empty())
    }

    async fn end_token(
        &self,
        account: &str,
        generation: u64,
        who: &InstanceId,
        fetched: &TokenFetch,
    ) -> Result<bool, StoreError> {
        let (generation, who) = (int(generation), who.0.as_str());
        let step = match fetched {
            TokenFetch::Got {
                value,
                expires_in,
                renewed,
            } => Step::new(
                GOT,
                params![
                    account,
                    generation,
                    who,
                    value.as_str(),
                    span_ms(*expires_in),
                    *renewed
                ],
            ),
            TokenFetch::Failed { failure, retry_in } => Step::new(
                FAILED,
                params![
                    account,
                    generation,
                    who,
                    failure.as_str(),
                    span_ms(*retry_in)
                ],
            ),
        };
        Ok(self.work(step).await?.affected > 0)
    }
}
