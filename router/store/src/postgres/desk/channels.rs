//! How channels are doing, and the numbers for metrics.

use patchbay_message::ChannelId;
use serde_json::json;

use super::{commit, run};
use crate::{
    ChannelState, Gauge, NewEvent,
    postgres::{
        PostgresStore,
        error::Fail,
        sql::{Step, now_ms},
    },
    tickets::open_tickets,
};

pub(super) async fn states(store: &PostgresStore) -> Result<Vec<ChannelState>, Fail> {
    let step = Step::bare(
        "SELECT channel, s.paused, s.paused_at, s.until, s.last_error, s.last_error_at,
             coalesce(p.parked, 0)
         FROM channel_state s
         FULL JOIN (SELECT channel, count(*) AS parked FROM parked GROUP BY channel) p
             USING (channel)
         ORDER BY channel",
    );
    store.read(step).await?.all(|c| {
        Ok(ChannelState {
            channel: c.channel()?,
            paused: c.get()?,
            paused_at: c.opt_time()?,
            until: c.opt_time()?,
            last_error: c.get()?,
            last_error_at: c.opt_time()?,
            parked: c.number()?,
        })
    })
}

const PAUSE: &str = concat!(
    "INSERT INTO channel_state AS s (channel, paused, paused_at)
     SELECT $1::text, $2::text, CASE WHEN $2 IS NOT NULL THEN ",
    now_ms!(),
    " END WHERE $2 IS NOT NULL OR EXISTS (SELECT 1 FROM channel_state WHERE channel = $1)
     ON CONFLICT (channel) DO UPDATE SET paused = excluded.paused,
         paused_at = CASE WHEN s.paused IS NULL OR excluded.paused IS NULL
             THEN excluded.paused_at ELSE s.paused_at END
     WHERE s.paused IS DISTINCT FROM excluded.paused RETURNING channel"
);

/// What waited for the pause to end is due now.
const RESUME: &str = concat!(
    "UPDATE parked SET due = ",
    now_ms!(),
    " WHERE channel = $1 AND reason = 'paused' AND due > ",
    now_ms!()
);

/// Writes an event when it changes: sinks and consoles notice by it.
pub(super) async fn pause(
    store: &PostgresStore,
    channel: &ChannelId,
    reason: Option<&str>,
) -> Result<(), Fail> {
    let mut connection = store.desk().await?;
    let transaction = connection.transaction().await?;
    let changed = run(&transaction, PAUSE, &[&channel.as_str(), &reason]).await?;
    if reason.is_none() {
        run(&transaction, RESUME, &[&channel.as_str()]).await?;
    }
    let event = NewEvent {
        kind: "channel",
        conversation_id: None,
        agent_id: None,
        data: json!({ "channel": channel, "paused": reason }),
    };
    let written = if changed.affected > 0 {
        &[event][..]
    } else {
        &[]
    };
    commit(transaction, written).await
}

pub(super) async fn gauges(store: &PostgresStore) -> Result<Vec<Gauge>, Fail> {
    let steps = [
        Step::bare(concat!(
            "SELECT count(*)::float8, coalesce(greatest(0, ",
            now_ms!(),
            " - min(coalesce(waiting_since, created_at))) / 1000.0::float8, 0)
             FROM conversation WHERE state IN ('new', 'waiting')"
        )),
        Step::bare(concat!(
            "SELECT channel, count(*)::float8, greatest(0, ",
            now_ms!(),
            " - min(parked_at)) / 1000.0::float8 FROM parked GROUP BY channel ORDER BY channel"
        )),
        Step::bare("SELECT count(*)::float8 FROM outbox"),
        Step::bare(
            "SELECT channel, count(*)::float8 FROM dead WHERE status = 'dead'
             GROUP BY channel ORDER BY channel",
        ),
        Step::bare(
            "SELECT state, count(*)::float8 FROM ticket WHERE state NOT IN ('done', 'cancelled')
             GROUP BY state",
        ),
    ];
    let pool = &store.inner.pools.desk;
    let mut answers = store.inner.pipeline(pool, &steps).await?.into_iter();
    let mut next = || answers.next().expect("every statement is answered");
    let mut gauges = Vec::new();
    let mut gauge = |name, channel: Option<&String>, value| {
        gauges.push(Gauge {
            name,
            channel: channel.cloned(),
            value,
        });
    };
    let (waiting, oldest) = next()?
        .one(|c| Ok((c.get()?, c.get()?)))?
        .unwrap_or_default();
    gauge("waiting", None, waiting);
    gauge("oldest_waiting_seconds", None, oldest);
    for (channel, parked, oldest) in next()?.all(|c| Ok((c.get()?, c.get()?, c.get()?)))? {
        gauge("parked", Some(&channel), parked);
        gauge("oldest_parked_seconds", Some(&channel), oldest);
    }
    let outbox = next()?.one(|c| c.get())?.unwrap_or_default();
    gauge("outbox", None, outbox);
    for (channel, dead) in next()?.all(|c| Ok((c.get()?, c.get()?)))? {
        gauge("dead", Some(&channel), dead);
    }
    let tickets = next()?.all(|c| Ok((c.get()?, c.get()?)))?;
    gauges.extend(open_tickets(&tickets));
    Ok(gauges)
}
