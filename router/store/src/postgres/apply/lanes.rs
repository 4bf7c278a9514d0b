//! Lanes: what was performed, what is parked, what was begun, who is live, how channels are doing.

use std::collections::{BTreeMap, HashMap};

use patchbay_message::{ChannelId, ThreadId, Time};
use uuid::Uuid;

use super::{Group, Plan, last_of_each};
use crate::postgres::{
    error::Fail,
    media, pulls,
    sql::{column, int, json, now_ms, params},
    windows,
};

pub(super) fn write<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let unpark = group.all(|changes| &changes.unpark);
    if !unpark.is_empty() {
        plan.add(
            "DELETE FROM parked WHERE id = ANY($1)",
            params![column(unpark, |id| id.0)],
        );
    }
    move_on(group, plan)?;
    park(group, plan);
    ready(group, plan);
    attempts(group, plan)?;
    windows::write(group, plan);
    media::write(group, plan)?;
    pulls::write(group, plan);
    live(group, plan);
    channel_errors(group, plan);
    Ok(())
}

/// The next numbers only: what is performed twice or out of order is somebody's mistake. What is
/// parked at or below them has nothing left to wait for.
fn move_on<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let mut lanes: BTreeMap<ThreadId, (u64, u64)> = BTreeMap::new();
    for done in group.all(|changes| &changes.lanes_done) {
        let (_, last) = lanes
            .entry(done.lane)
            .or_insert((done.out_seq, done.out_seq.saturating_sub(1)));
        if done.out_seq == 0 || done.out_seq != *last + 1 {
            return Err(Fail::conflict(format!(
                "lane {} is not at {} yet",
                done.lane, done.out_seq
            )));
        }
        *last = done.out_seq;
    }
    if lanes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = lanes.keys().map(|id| id.0).collect();
    let lasts: Vec<i64> = lanes.values().map(|(_, last)| int(*last)).collect();
    begin(ids.clone(), plan);
    plan.guard_ids(
        "UPDATE lane l SET done = w.last
         FROM unnest($1::uuid[], $2::int8[], $3::int8[]) w(id, first, last)
         WHERE l.id = w.id AND l.done = w.first - 1 RETURNING l.id",
        params![
            ids.clone(),
            lanes
                .values()
                .map(|(first, _)| int(*first))
                .collect::<Vec<_>>(),
            lasts.clone(),
        ],
        ids.clone(),
        "another number is the next of lane",
    );
    plan.add(
        "DELETE FROM parked p USING unnest($1::uuid[], $2::int8[]) w(id, last)
         WHERE p.lane = w.id AND p.out_seq <= w.last",
        params![ids, lasts],
    );
    Ok(())
}

/// A lane nobody has used yet is at zero.
fn begin<'a>(lanes: Vec<Uuid>, plan: &mut Plan<'a>) {
    plan.add(
        "INSERT INTO lane (id, done) SELECT id, 0 FROM unnest($1::uuid[]) id
         ON CONFLICT DO NOTHING",
        params![lanes],
    );
}

fn park<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let parks = last_of_each(group.all(|changes| &changes.park), |park| park.id);
    if parks.is_empty() {
        return;
    }
    let rows = || parks.iter().copied();
    let mut lanes = column(rows(), |park| park.lane.0);
    lanes.sort_unstable();
    lanes.dedup();
    begin(lanes.clone(), plan);
    let parked = parks.clone();
    // Locked, so that nobody performs the number while it is being parked.
    plan.guard(
        "SELECT id, done FROM lane WHERE id = ANY($1) ORDER BY id FOR SHARE",
        params![lanes],
        move |answer| {
            let done: HashMap<Uuid, u64> = answer
                .all(|c| Ok((c.get()?, c.number()?)))?
                .into_iter()
                .collect();
            match parked.iter().find(|park| {
                done.get(&park.lane.0)
                    .is_none_or(|done| park.out_seq <= *done)
            }) {
                Some(park) => Err(Fail::conflict(format!(
                    "lane {} has performed {} already",
                    park.lane, park.out_seq
                ))),
                None => Ok(()),
            }
        },
    );
    plan.add(
        concat!(
            "INSERT INTO parked (id, lane, out_seq, shard, channel, due, reason, detail, attempts,
                 envelope, parked_at, ready)
             SELECT w.*, ",
            now_ms!(),
            ", false FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int4[], $5::text[],
                 $6::int8[], $7::text[], $8::text[], $9::int8[], $10::bytea[]) w
             ON CONFLICT (id) DO UPDATE SET lane = excluded.lane, out_seq = excluded.out_seq,
                 shard = excluded.shard, channel = excluded.channel, due = excluded.due,
                 reason = excluded.reason, detail = excluded.detail, attempts = excluded.attempts,
                 envelope = excluded.envelope, ready = false"
        ),
        params![
            column(rows(), |park| park.id.0),
            column(rows(), |park| park.lane.0),
            column(rows(), |park| int(park.out_seq)),
            column(rows(), |park| i32::from(park.shard)),
            column(rows(), |park| park.channel.as_str()),
            column(rows(), |park| park.due.as_ms()),
            column(rows(), |park| park.reason),
            column(rows(), |park| park.detail.as_deref()),
            column(rows(), |park| i64::from(park.attempts)),
            column(rows(), |park| &*park.envelope),
        ],
    );
}

/// What is parked with a lane's next number is the one that may become due.
fn ready<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let mut lanes = column(group.all(|changes| &changes.lanes_done), |done| done.lane.0);
    lanes.extend(
        group
            .all(|changes| &changes.park)
            .iter()
            .map(|park| park.lane.0),
    );
    lanes.sort_unstable();
    lanes.dedup();
    if !lanes.is_empty() {
        plan.add(
            "UPDATE parked p SET ready = true
             FROM unnest($1::uuid[]) w(id) LEFT JOIN lane l ON l.id = w.id
             WHERE p.lane = w.id AND p.out_seq = coalesce(l.done, 0) + 1 AND NOT p.ready",
            params![lanes],
        );
    }
}

fn attempts<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let begun = last_of_each(group.all(|changes| &changes.attempts), |attempt| {
        (attempt.message, attempt.part)
    });
    if !begun.is_empty() {
        let rows = || begun.iter().copied();
        plan.add(
            concat!(
                "INSERT INTO attempt (message, part, lane, out_seq, epoch, spends, at) SELECT w.*, ",
                now_ms!(),
                " FROM unnest($1::uuid[], $2::int4[], $3::uuid[], $4::int8[], $5::int8[],
                     $6::uuid[]) w
                 ON CONFLICT (message, part) DO UPDATE SET lane = excluded.lane,
                     out_seq = excluded.out_seq, epoch = excluded.epoch, exchange = NULL,
                     spends = excluded.spends, at = excluded.at"
            ),
            params![
                column(rows(), |attempt| attempt.message.0),
                column(rows(), |attempt| i32::from(attempt.part)),
                column(rows(), |attempt| attempt.lane.0),
                column(rows(), |attempt| int(attempt.out_seq)),
                column(rows(), |attempt| attempt.epoch),
                column(rows(), |attempt| attempt.spends.map(|opener| opener.0)),
            ],
        );
    }
    let done = last_of_each(
        group.all(|changes| &changes.attempts_done),
        |(message, part, _)| (*message, *part),
    );
    if !done.is_empty() {
        let exchanges: Vec<String> = done
            .iter()
            .map(|(_, _, exchange)| json(exchange))
            .collect::<Result<_, _>>()?;
        plan.add(
            concat!(
                "UPDATE attempt a SET exchange = w.exchange, at = ",
                now_ms!(),
                " FROM unnest($1::uuid[], $2::int4[], $3::text[]) w(message, part, exchange)
                 WHERE a.message = w.message AND a.part = w.part"
            ),
            params![
                column(done.iter().copied(), |(message, _, _)| message.0),
                column(done, |(_, part, _)| i32::from(*part)),
                exchanges,
            ],
        );
    }
    Ok(())
}

fn live<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let changes = last_of_each(group.all(|changes| &changes.live), |change| {
        (change.thread, change.gateway.0.as_str())
    });
    let (came, went): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.on);
    if !came.is_empty() {
        plan.add(
            "INSERT INTO live (thread, gateway) SELECT * FROM unnest($1::uuid[], $2::text[])
             ON CONFLICT DO NOTHING",
            params![
                column(came.iter().copied(), |change| change.thread.0),
                column(came, |change| change.gateway.0.as_str()),
            ],
        );
    }
    if !went.is_empty() {
        plan.add(
            "DELETE FROM live l USING unnest($1::uuid[], $2::text[]) w(thread, gateway)
             WHERE l.thread = w.thread AND l.gateway = w.gateway",
            params![
                column(went.iter().copied(), |change| change.thread.0),
                column(went, |change| change.gateway.0.as_str()),
            ],
        );
    }
}

/// The last error of a channel stays, and the last time until which it rests.
fn channel_errors<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let mut errors: BTreeMap<&ChannelId, (&str, Option<Time>)> = BTreeMap::new();
    for (channel, error, until) in group.all(|changes| &changes.channel_errors) {
        let kept = errors.entry(channel).or_insert((error, None));
        *kept = (error, until.or(kept.1));
    }
    if errors.is_empty() {
        return;
    }
    plan.add(
        concat!(
            "INSERT INTO channel_state AS s (channel, until, last_error, last_error_at)
             SELECT w.*, ",
            now_ms!(),
            " FROM unnest($1::text[], $2::int8[], $3::text[]) w
             ON CONFLICT (channel) DO UPDATE SET until = coalesce(excluded.until, s.until),
                 last_error = excluded.last_error, last_error_at = excluded.last_error_at"
        ),
        params![
            errors
                .keys()
                .map(|channel| channel.as_str())
                .collect::<Vec<_>>(),
            errors
                .values()
                .map(|(_, until)| until.map(Time::as_ms))
                .collect::<Vec<_>>(),
            errors.values().map(|(error, _)| *error).collect::<Vec<_>>(),
        ],
    );
}
