//! What sinks ask for: how lanes stand, what is due, how fast a channel may go, who is live.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_message::{ChannelId, InstanceId, ThreadId, Time};
use uuid::Uuid;

use super::{
    PostgresStore,
    error::Fail,
    media,
    rows::{self, select_parked},
    sql::{Step, column, now_ms, params},
    windows,
};
use crate::{
    Attempt, LaneFacts, Lanes, MediaFetch, Parked, StoreError, WindowNow, bucket, limits::ROWS_MAX,
};

/// Connections of a gateway whose heartbeat has stopped are not shown; it may come back.
macro_rules! alive {
    () => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM heartbeat h WHERE h.instance = l.gateway
                 HAVING max(h.expires_at) <= ",
            now_ms!(),
            ")"
        )
    };
}

const LANES: &str = concat!(
    "SELECT w.id, coalesce(lane.done, 0), p.parked, f.out_seq, f.due,
         ARRAY(SELECT l.gateway FROM live l WHERE l.thread = w.id AND ",
    alive!(),
    " ORDER BY l.gateway)
     FROM unnest($1::uuid[]) WITH ORDINALITY w(id, n) LEFT JOIN lane ON lane.id = w.id
     CROSS JOIN LATERAL (SELECT count(*) AS parked FROM parked WHERE lane = w.id) p
     LEFT JOIN LATERAL (
         SELECT out_seq, due FROM parked WHERE lane = w.id ORDER BY out_seq LIMIT 1
     ) f ON true
     ORDER BY w.n"
);

const ATTEMPTS: &str = "SELECT a.lane, a.message, a.part, a.exchange
     FROM (SELECT DISTINCT unnest($1::uuid[]) AS id) w LEFT JOIN lane ON lane.id = w.id
     JOIN attempt a ON a.lane = w.id AND a.out_seq > coalesce(lane.done, 0)
     ORDER BY a.lane, a.out_seq, a.part";

const LIVE: &str = concat!(
    "SELECT l.thread, l.gateway FROM live l WHERE l.thread = ANY($1) AND ",
    alive!(),
    " ORDER BY l.thread, l.gateway"
);

/// Fills the bucket up for the time since, and takes whole ones: `$2` per second, `$3` at most in
/// it, `$4` wanted. The row's lock makes it one step for everyone.
const TAKE: &str = concat!(
    "UPDATE bucket b SET level = f.level - f.granted, at = f.now
     FROM (
         SELECT channel, now, level, least($4, floor(level)) AS granted FROM (
             SELECT channel, now, least($3, greatest(0,
                 level + greatest(0, now - at) / 1000.0::float8 * $2)) AS level
             FROM (SELECT channel, level, at, ",
    now_ms!(),
    " AS now FROM bucket WHERE channel = $1 FOR UPDATE) locked
         ) filled
     ) f WHERE b.channel = f.channel RETURNING f.granted, b.level"
);

/// How often a bucket is made that is not there.
const TAKES_MAX: u32 = 3;

#[async_trait]
impl Lanes for PostgresStore {
    async fn lanes(&self, keys: &[ThreadId]) -> Result<Vec<LaneFacts>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        Ok(lanes(self, keys).await?)
    }

    async fn due(&self, shard: u16, now: Time, limit: u32) -> Result<Vec<Parked>, StoreError> {
        let limit = i64::from(limit.min(ROWS_MAX));
        let step = Step::new(
            select_parked!("WHERE shard = $1 AND due <= $2 AND ready ORDER BY due, id LIMIT $3"),
            params![i32::from(shard), now.as_ms(), limit],
        );
        let mut due = self.work(step).await?.all(rows::parked)?;
        due.sort_by_key(|parked| (parked.lane, parked.out_seq));
        Ok(due)
    }

    async fn parked(&self, lane: ThreadId, limit: u32) -> Result<Vec<Parked>, StoreError> {
        let step = Step::new(
            select_parked!("WHERE lane = $1 ORDER BY out_seq LIMIT $2"),
            params![lane.0, i64::from(limit.min(ROWS_MAX))],
        );
        Ok(self.work(step).await?.all(rows::parked)?)
    }

    async fn windows(&self, thread: ThreadId) -> Result<Vec<WindowNow>, StoreError> {
        Ok(windows::load(self, thread).await?)
    }

    async fn claim_media(&self, ttl: Duration, limit: u32) -> Result<Vec<MediaFetch>, StoreError> {
        Ok(media::claim(self, ttl, limit).await?)
    }

    async fn take(
        &self,
        channel: &ChannelId,
        rate: f64,
        burst: u32,
        n: u32,
    ) -> Result<(u32, Duration), StoreError> {
        Ok(take(self, channel, rate, burst, n).await?)
    }

    async fn live(&self, threads: &[ThreadId]) -> Result<Vec<(ThreadId, InstanceId)>, StoreError> {
        let ids = column(threads, |id| id.0);
        let answer = self.work(Step::new(LIVE, params![ids])).await?;
        Ok(answer.all(|c| Ok((c.id()?, InstanceId(c.get()?))))?)
    }
}

async fn lanes(store: &PostgresStore, keys: &[ThreadId]) -> Result<Vec<LaneFacts>, Fail> {
    let ids: Vec<Uuid> = column(keys, |id| id.0);
    let steps = [
        Step::bare("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        Step::new(LANES, params![ids.clone()]),
        Step::new(ATTEMPTS, params![ids]),
        Step::bare("COMMIT"),
    ];
    let mut answers = store
        .inner
        .pipeline(&store.inner.pools.work, &steps)
        .await?
        .into_iter()
        .skip(1);
    let mut next = || answers.next().expect("every statement is answered");
    let mut lanes = next()?.all(|c| {
        Ok(LaneFacts {
            lane: c.id()?,
            done: c.number()?,
            parked: c.number()?,
            first_parked: c.opt_number()?,
            due: c.opt_time()?,
            attempts: Vec::new(),
            gateways: column(&c.get::<Vec<String>>()?, |gateway| {
                InstanceId(gateway.clone())
            }),
        })
    })?;
    let attempts: Vec<(ThreadId, Attempt)> = next()?.all(|c| {
        Ok((
            c.id()?,
            Attempt {
                message: c.id()?,
                part: c.small()?,
                exchange: c.opt_json()?,
            },
        ))
    })?;
    for lane in &mut lanes {
        let own = attempts.iter().filter(|(of, _)| *of == lane.lane);
        lane.attempts = own.map(|(_, attempt)| attempt.clone()).collect();
    }
    Ok(lanes)
}

async fn take(
    store: &PostgresStore,
    channel: &ChannelId,
    rate: f64,
    burst: u32,
    n: u32,
) -> Result<(u32, Duration), Fail> {
    let rate = bucket::sane(rate);
    let params = || params![channel.as_str(), rate, f64::from(burst), f64::from(n),];
    let pool = &store.inner.pools.work;
    for _ in 0..TAKES_MAX {
        let answer = store.inner.one(pool, Step::new(TAKE, params())).await?;
        let taken = answer.one(|c| Ok((c.get::<f64>()?, c.get::<f64>()?)))?;
        if let Some((granted, level)) = taken {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number between zero and `n`"
            )]
            return Ok((granted as u32, bucket::wait(level, rate, burst)));
        }
        // Nobody has taken from it yet, or the server has crashed since: it is full.
        let full = Step::new(
            concat!(
                "INSERT INTO bucket (channel, level, at) VALUES ($1, $2, ",
                now_ms!(),
                ") ON CONFLICT DO NOTHING"
            ),
            params![channel.as_str(), f64::from(burst)],
        );
        store.inner.one(pool, full).await?;
    }
    Err(Fail::Store("a rate bucket was not kept".to_owned()))
}
