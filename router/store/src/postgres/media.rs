//! Files that are still at the provider.

use std::time::Duration;

use super::{
    PostgresStore,
    apply::{Group, Plan, last_of_each},
    error::Fail,
    sql::{Step, column, json, now_ms, params},
};
use crate::{MediaFetch, MediaFetched, limits::ROWS_MAX};

const CLAIM: &str = concat!(
    "UPDATE media_fetch f SET due = ",
    now_ms!(),
    " + $1, attempts = f.attempts + 1 FROM (
         SELECT message FROM media_fetch WHERE due <= (SELECT ",
    now_ms!(),
    ") ORDER BY due, message LIMIT $2 FOR UPDATE SKIP LOCKED
     ) w WHERE f.message = w.message RETURNING f.message, f.channel, f.due, f.attempts"
);

pub(super) fn write<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let fetches = last_of_each(group.all(|changes| &changes.fetches), |fetch| fetch.message);
    if !fetches.is_empty() {
        let rows = || fetches.iter().copied();
        plan.add(
            "INSERT INTO media_fetch (message, channel, due, attempts)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::int8[])
             ON CONFLICT DO NOTHING",
            params![
                column(rows(), |fetch| fetch.message.0),
                column(rows(), |fetch| fetch.channel.as_str()),
                column(rows(), |fetch| fetch.due.as_ms()),
                column(rows(), |fetch| i64::from(fetch.attempts)),
            ],
        );
    }
    let all = group.all(|changes| &changes.fetched);
    let (again, done): (Vec<_>, Vec<_>) = all.iter().partition(|fetched| fetched.again.is_some());
    turns(
        plan,
        "DELETE FROM media_fetch f USING unnest($1::uuid[], $2::int8[], $3::int8[]) w(id, turn, at)
         WHERE f.message = w.id AND f.attempts = w.turn RETURNING f.message",
        &done,
    );
    turns(
        plan,
        "UPDATE media_fetch f SET due = w.at
         FROM unnest($1::uuid[], $2::int8[], $3::int8[]) w(id, turn, at)
         WHERE f.message = w.id AND f.attempts = w.turn RETURNING f.message",
        &again,
    );
    let mut came = (Vec::new(), Vec::new());
    for fetched in all {
        if let Some(content) = &fetched.content {
            came.0.push(fetched.message.0);
            came.1.push(json(content)?);
        }
    }
    if !came.0.is_empty() {
        plan.add(
            "UPDATE message m SET content = w.content
             FROM unnest($1::uuid[], $2::text[]) w(id, content) WHERE m.id = w.id",
            params![came.0, came.1],
        );
    }
    Ok(())
}

/// Ends these turns, if each of them still is one.
fn turns<'a>(plan: &mut Plan<'a>, sql: &'static str, fetched: &[&'a MediaFetched]) {
    if fetched.is_empty() {
        return;
    }
    let rows = || fetched.iter().copied();
    let ids = column(rows(), |fetched| fetched.message.0);
    plan.guard_ids(
        sql,
        params![
            ids.clone(),
            column(rows(), |fetched| i64::from(fetched.attempts)),
            column(rows(), |fetched| fetched
                .again
                .map(patchbay_message::Time::as_ms)),
        ],
        ids,
        "somebody else fetches the files of",
    );
}

pub(super) async fn claim(
    store: &PostgresStore,
    ttl: Duration,
    limit: u32,
) -> Result<Vec<MediaFetch>, Fail> {
    let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 4);
    let step = Step::new(CLAIM, params![ttl, i64::from(limit.min(ROWS_MAX))]);
    store.work(step).await?.all(|c| {
        Ok(MediaFetch {
            message: c.id()?,
            channel: c.channel()?,
            due: c.time()?,
            attempts: c.number()?,
        })
    })
}
