//! Marks of what is done, the outbox, dead letters, and who did what.

use super::{Group, Plan, last_of_each};
use crate::postgres::{
    error::Fail,
    sql::{column, int, json, now_ms, params},
};

pub(super) fn processed<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let processed = group.all(|changes| &changes.processed);
    if !processed.is_empty() {
        plan.add(
            concat!(
                "INSERT INTO processed (source, id, at) SELECT source, id, ",
                now_ms!(),
                " FROM unnest($1::text[], $2::text[]) w(source, id)"
            ),
            params![
                column(processed.iter().copied(), |(source, _)| source.as_str()),
                column(processed, |(_, id)| id.as_str()),
            ],
        );
    }
    let dedupe = group.all(|changes| &changes.dedupe);
    if !dedupe.is_empty() {
        plan.add(
            concat!(
                "INSERT INTO dedupe (key, message, at) SELECT key, message, ",
                now_ms!(),
                " FROM unnest($1::text[], $2::uuid[]) w(key, message)"
            ),
            params![
                column(dedupe.iter().copied(), |(key, _)| key.as_str()),
                column(dedupe, |(_, message)| message.0),
            ],
        );
    }
}

pub(super) fn outbox<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let rows = group.all(|changes| &changes.outbox);
    if !rows.is_empty() {
        heads(&rows, plan);
        plan.add(
            "INSERT INTO outbox (partition, seq, shard, id, envelope)
             SELECT * FROM unnest($1::text[], $2::int8[], $3::int4[], $4::uuid[], $5::bytea[])",
            params![
                column(rows.iter().copied(), |row| row.partition.as_str()),
                column(rows.iter().copied(), |row| int(row.seq)),
                column(rows.iter().copied(), |row| i32::from(row.shard)),
                column(rows.iter().copied(), |row| row.id.0),
                column(rows, |row| &*row.envelope),
            ],
        );
    }
    let done = group.all(|changes| &changes.outbox_done);
    if !done.is_empty() {
        plan.add(
            "DELETE FROM outbox o USING unnest($1::text[], $2::int8[]) d(partition, seq)
             WHERE o.partition = d.partition AND o.seq <= d.seq",
            params![
                column(done.iter().copied(), |(partition, _)| partition.as_str()),
                column(done, |(_, seq)| int(*seq)),
            ],
        );
    }
}

/// Each partition's number moves on to the newest row, and only forward.
fn heads<'a>(rows: &[&'a crate::OutboxRow], plan: &mut Plan<'a>) {
    let mut heads: Vec<(&str, i64, i64)> = Vec::new();
    let mut sorted: Vec<_> = rows
        .iter()
        .map(|row| (row.partition.as_str(), int(row.seq)))
        .collect();
    sorted.sort_unstable();
    for (partition, seq) in sorted {
        match heads.last_mut() {
            Some(head) if head.0 == partition => head.2 = seq,
            _ => heads.push((partition, seq, seq)),
        }
    }
    let names = column(&heads, |head| head.0);
    plan.add(
        "INSERT INTO outbox_head (partition, seq) SELECT p, 0 FROM unnest($1::text[]) p
         ON CONFLICT DO NOTHING",
        params![names.clone()],
    );
    let wanted = heads.len() as u64;
    plan.guard(
        "UPDATE outbox_head h SET seq = w.last
         FROM unnest($1::text[], $2::int8[], $3::int8[]) w(partition, first, last)
         WHERE h.partition = w.partition AND h.seq < w.first",
        params![
            names,
            column(&heads, |head| head.1),
            column(&heads, |head| head.2),
        ],
        move |answer| {
            if answer.affected < wanted {
                return Err(Fail::conflict("an outbox number was used before"));
            }
            Ok(())
        },
    );
}

pub(super) fn dead<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let rows = last_of_each(group.all(|changes| &changes.dead), |row| row.id);
    if !rows.is_empty() {
        let exchanges: Vec<Option<String>> = rows
            .iter()
            .map(|row| row.exchange.as_ref().map(json).transpose())
            .collect::<Result<_, _>>()?;
        plan.add(
            concat!(
                "INSERT INTO dead (id, direction, channel, conversation, lane, reason, detail,
                     attempts, exchange, envelope, at, status, closed_at)
                 SELECT w.*, CASE WHEN w.status <> 'dead' THEN ",
                now_ms!(),
                " END FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[],
                     $6::text[], $7::text[], $8::int8[], $9::text[], $10::bytea[], $11::int8[],
                     $12::text[]) w(id, direction, channel, conversation, lane, reason, detail,
                     attempts, exchange, envelope, at, status)
                 ON CONFLICT (id) DO UPDATE SET direction = excluded.direction,
                     channel = excluded.channel, conversation = excluded.conversation,
                     lane = excluded.lane, reason = excluded.reason, detail = excluded.detail,
                     attempts = excluded.attempts, exchange = excluded.exchange,
                     envelope = excluded.envelope, at = excluded.at, status = excluded.status,
                     closed_at = excluded.closed_at"
            ),
            params![
                column(rows.iter().copied(), |row| row.id.0),
                column(rows.iter().copied(), |row| row.direction.as_str()),
                column(rows.iter().copied(), |row| row.channel.as_str()),
                column(rows.iter().copied(), |row| row
                    .conversation_id
                    .map(|id| id.0)),
                column(rows.iter().copied(), |row| row.lane.map(|id| id.0)),
                column(rows.iter().copied(), |row| row.reason.as_str()),
                column(rows.iter().copied(), |row| row.detail.as_str()),
                column(rows.iter().copied(), |row| i64::from(row.attempts)),
                exchanges,
                column(rows.iter().copied(), |row| &*row.envelope),
                column(rows.iter().copied(), |row| row.at.as_ms()),
                column(rows, |row| row.status.as_str()),
            ],
        );
    }
    let mut closed = group.all(|changes| &changes.dead_status);
    closed.sort_by_key(|(id, _)| *id);
    if !closed.is_empty() {
        let ids = column(closed.iter().copied(), |(id, _)| id.0);
        plan.guard_ids(
            concat!(
                "UPDATE dead d SET status = w.status, closed_at = ",
                now_ms!(),
                " FROM unnest($1::uuid[], $2::text[]) w(id, status)
                 WHERE d.id = w.id AND d.status = 'dead' RETURNING d.id"
            ),
            params![ids.clone(), column(closed, |(_, status)| *status)],
            ids,
            "dead letter",
        );
    }
    Ok(())
}

pub(super) fn audit<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let outcomes = group.all(|changes| &changes.outcomes);
    if !outcomes.is_empty() {
        let bodies: Vec<String> = outcomes
            .iter()
            .map(|outcome| json(*outcome))
            .collect::<Result<_, _>>()?;
        plan.add(
            concat!(
                "INSERT INTO outcome (command, body, at) SELECT command, body, ",
                now_ms!(),
                " FROM unnest($1::uuid[], $2::text[]) w(command, body)
                 ON CONFLICT (command) DO NOTHING"
            ),
            params![column(outcomes, |outcome| outcome.command_id.0), bodies],
        );
    }
    let rows = group.all(|changes| &changes.audit);
    if rows.is_empty() {
        return Ok(());
    }
    let details: Vec<String> = rows
        .iter()
        .map(|row| json(&row.detail))
        .collect::<Result<_, _>>()?;
    plan.add(
        concat!(
            "INSERT INTO audit (agent, token, action, target, detail, at) SELECT w.*, ",
            now_ms!(),
            " FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[]) w"
        ),
        params![
            column(rows.iter().copied(), |row| row.agent_id.map(|id| id.0)),
            column(rows.iter().copied(), |row| row.token_id.map(|id| id.0)),
            column(rows.iter().copied(), |row| row.action.as_str()),
            column(rows, |row| row.target.as_str()),
            details,
        ],
    );
    Ok(())
}
