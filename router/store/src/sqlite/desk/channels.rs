//! How channels are doing, and the numbers for metrics.

use patchbay_message::{ChannelId, Time};
use rusqlite::{Connection, params};
use serde_json::json;

use super::super::{
    error::Fail,
    events,
    sql::{all, ms, one, run},
};
use crate::{ChannelState, Gauge, NewEvent, tickets::open_tickets};

pub(super) fn states(db: &Connection) -> Result<Vec<ChannelState>, Fail> {
    all(
        db,
        "SELECT channel, paused, paused_at, until, last_error, last_error_at,
             (SELECT count(*) FROM parked p WHERE p.channel = every.channel)
         FROM (SELECT channel FROM channel_state UNION SELECT channel FROM parked) every
         LEFT JOIN channel_state USING (channel) ORDER BY channel",
        [],
        |c| {
            Ok(ChannelState {
                channel: c.channel()?,
                paused: c.get()?,
                paused_at: c.opt_time()?,
                until: c.opt_time()?,
                last_error: c.get()?,
                last_error_at: c.opt_time()?,
                parked: c.get()?,
            })
        },
    )
}

/// Writes an event when it changes: sinks and consoles notice by it. What was parked because of the
/// pause is due when it ends.
pub(super) fn pause(
    db: &Connection,
    channel: &ChannelId,
    reason: Option<&str>,
    now: Time,
) -> Result<(), Fail> {
    let changed = run(
        db,
        "INSERT INTO channel_state (channel, paused, paused_at) SELECT ?1, ?2, ?3
             WHERE ?2 IS NOT NULL OR EXISTS (SELECT 1 FROM channel_state WHERE channel = ?1)
         ON CONFLICT (channel) DO UPDATE SET paused = excluded.paused,
             paused_at = iif(paused IS NULL OR excluded.paused IS NULL,
                 excluded.paused_at, paused_at)
         WHERE paused IS NOT excluded.paused",
        params![channel.as_str(), reason, reason.map(|_| ms(now))],
    )?;
    if reason.is_none() {
        run(
            db,
            "UPDATE parked SET due = ?2 WHERE channel = ?1 AND reason = 'paused' AND due > ?2",
            params![channel.as_str(), ms(now)],
        )?;
    }
    if changed > 0 {
        let event = NewEvent {
            kind: "channel",
            conversation_id: None,
            agent_id: None,
            data: json!({ "channel": channel, "paused": reason }),
        };
        events::append(db, &event, now)?;
    }
    Ok(())
}

pub(super) fn gauges(db: &Connection, now: Time) -> Result<Vec<Gauge>, Fail> {
    let gauge = |name, channel, value| Gauge {
        name,
        channel,
        value,
    };
    let (waiting, oldest) = one(
        db,
        "SELECT count(*), min(coalesce(waiting_since, created_at)) FROM conversation
         WHERE state IN ('new', 'waiting')",
        [],
        |c| Ok((c.get::<f64>()?, c.opt_time()?)),
    )?
    .unwrap_or_default();
    let age = |oldest: Option<Time>| oldest.map_or(0.0, |at| now.since(at).as_secs_f64());
    let mut gauges = vec![
        gauge("waiting", None, waiting),
        gauge("oldest_waiting_seconds", None, age(oldest)),
    ];
    let parked: Vec<(String, f64, Option<Time>)> = all(
        db,
        "SELECT channel, count(*), min(parked_at) FROM parked GROUP BY channel",
        [],
        |c| Ok((c.get()?, c.get()?, c.opt_time()?)),
    )?;
    for (channel, count, oldest) in parked {
        gauges.push(gauge("parked", Some(channel.clone()), count));
        gauges.push(gauge("oldest_parked_seconds", Some(channel), age(oldest)));
    }
    let tickets: Vec<(String, f64)> = all(
        db,
        "SELECT state, count(*) FROM ticket WHERE state NOT IN ('done', 'cancelled')
         GROUP BY state",
        [],
        |c| Ok((c.get()?, c.get()?)),
    )?;
    gauges.extend(open_tickets(&tickets));
    let outbox = one(db, "SELECT count(*) FROM outbox", [], |c| c.get())?;
    gauges.push(gauge("outbox", None, outbox.unwrap_or(0.0)));
    let dead: Vec<(String, f64)> = all(
        db,
        "SELECT channel, count(*) FROM dead WHERE status = 'dead' GROUP BY channel",
        [],
        |c| Ok((c.get()?, c.get()?)),
    )?;
    gauges.extend(
        dead.into_iter()
            .map(|(channel, count)| gauge("dead", Some(channel), count)),
    );
    Ok(gauges)
}
