//! Contacts, threads, conversations, messages, and agents' load.

use patchbay_message::{ReceiptState, Time};

use super::{Group, Plan, last_of_each, rounds};
use crate::{
    Contact, Conversation, MessageRow, Thread,
    postgres::{
        error::Fail,
        sql::{Param, column, int, json, params},
    },
};

pub(super) fn write<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    contacts(
        last_of_each(group.all(|changes| &changes.contacts), |row| row.id),
        plan,
    )?;
    threads(&group.all(|changes| &changes.threads), plan);
    thread_updates(group, plan);
    conversations(&group.all(|changes| &changes.conversations), plan);
    conversation_updates(group, plan);
    messages(&group.all(|changes| &changes.messages), plan)?;
    loads(group, plan);
    let read = group.all(|changes| &changes.read);
    if !read.is_empty() {
        plan.add(
            "UPDATE conversation SET unread = 0 WHERE id = ANY($1) AND unread <> 0",
            params![column(read, |id| id.0)],
        );
    }
    Ok(())
}

/// For searching without regard to case, in Unicode's sense.
pub(in crate::postgres) fn folded(text: &str) -> String {
    text.to_lowercase()
}

fn contacts<'a>(rows: Vec<&'a Contact>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    if rows.is_empty() {
        return Ok(());
    }
    let attributes: Vec<String> = rows
        .iter()
        .map(|row| json(&row.attributes))
        .collect::<Result<_, _>>()?;
    plan.add(
        "INSERT INTO contact (id, name, folded, locale, attributes, created_at)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
             $6::int8[])
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, folded = excluded.folded,
             locale = excluded.locale, attributes = excluded.attributes",
        params![
            column(rows.iter().copied(), |row| row.id.0),
            column(rows.iter().copied(), |row| row.name.as_deref()),
            column(rows.iter().copied(), |row| {
                folded(row.name.as_deref().unwrap_or_default())
            }),
            column(rows.iter().copied(), |row| row.locale.as_deref()),
            attributes,
            column(rows, |row| row.created_at.as_ms()),
        ],
    );
    Ok(())
}

fn threads<'a>(rows: &[&'a Thread], plan: &mut Plan<'a>) {
    if rows.is_empty() {
        return;
    }
    let rows = || rows.iter().copied();
    plan.add(
        "INSERT INTO thread (id, channel, channel_kind, address, folded, contact, partition,
             verified, last_seq, last_out_seq, delivered_seq, read_seq, version)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
             $6::uuid[], $7::int4[], $8::bool[], $9::int8[], $10::int8[], $11::int8[], $12::int8[],
             $13::int8[])",
        params![
            column(rows(), |row| row.id.0),
            column(rows(), |row| row.channel.as_str()),
            column(rows(), |row| row.channel_kind.as_str()),
            column(rows(), |row| row.address.as_str()),
            column(rows(), |row| folded(&row.address)),
            column(rows(), |row| row.contact_id.0),
            column(rows(), |row| i32::from(row.partition)),
            column(rows(), |row| row.verified),
            column(rows(), |row| int(row.last_seq)),
            column(rows(), |row| int(row.last_out_seq)),
            column(rows(), |row| int(row.delivered_seq)),
            column(rows(), |row| int(row.read_seq)),
            column(rows(), |row| row.version),
        ],
    );
}

fn thread_updates<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    for updates in rounds(group.all(|changes| &changes.thread_updates), |row| row.id) {
        let rows = || updates.iter().copied();
        let ids = column(rows(), |row| row.id.0);
        plan.guard_ids(
            "UPDATE thread t SET last_seq = w.last_seq, last_out_seq = w.last_out_seq,
                 verified = t.verified OR w.verified, version = t.version + 1
             FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::int8[], $5::bool[])
                 w(id, version, last_seq, last_out_seq, verified)
             WHERE t.id = w.id AND t.version = w.version RETURNING t.id",
            params![
                ids.clone(),
                column(rows(), |row| row.version),
                column(rows(), |row| int(row.last_seq)),
                column(rows(), |row| int(row.last_out_seq)),
                column(rows(), |row| row.verified),
            ],
            ids,
            "thread",
        );
    }
}

/// What changes in a conversation, as columns in this order; `contact` first.
fn values<'a>(rows: &[&'a Conversation]) -> Vec<Param<'a>> {
    let rows = || rows.iter().copied();
    params![
        column(rows(), |row| row.contact_id.0),
        column(rows(), |row| row.thread_id.0),
        column(rows(), |row| row.channel.as_str()),
        column(rows(), |row| i32::from(row.partition)),
        column(rows(), |row| row.state.as_str()),
        column(rows(), |row| row.group_id.map(|id| id.0)),
        column(rows(), |row| row.agent_id.map(|id| id.0)),
        column(rows(), |row| row.last_agent_id.map(|id| id.0)),
        column(rows(), |row| row.waiting_since.map(Time::as_ms)),
        column(rows(), |row| row.snoozed_until.map(Time::as_ms)),
        column(rows(), |row| row.updated_at.as_ms()),
        column(rows(), |row| int(row.last_pos)),
        column(rows(), |row| i64::from(row.unread)),
        column(rows(), |row| row.last_preview.as_deref()),
        column(rows(), |row| row.last_from.as_deref()),
        column(rows(), |row| row.last_message_at.map(Time::as_ms)),
        column(rows(), |row| row.id.0),
        column(rows(), |row| row.version),
    ]
}

macro_rules! unnest_conversations {
    ($tail:literal) => {
        concat!(
            "unnest($1::uuid[], $2::uuid[], $3::text[], $4::int4[], $5::text[], $6::uuid[], \
             $7::uuid[], $8::uuid[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], \
             $13::int8[], $14::text[], $15::text[], $16::int8[], $17::uuid[], $18::int8[], ",
            $tail
        )
    };
}

fn conversations<'a>(rows: &[&'a Conversation], plan: &mut Plan<'a>) {
    if rows.is_empty() {
        return;
    }
    let mut params = values(rows);
    params.extend(params![column(rows.iter().copied(), |row| row
        .created_at
        .as_ms())]);
    plan.add(
        concat!(
            "INSERT INTO conversation (contact, thread, channel, partition, state, grp, agent,
                 last_agent, waiting_since, snoozed_until, updated_at, last_pos, unread,
                 last_preview, last_from, last_message_at, id, version, created_at)
             SELECT * FROM ",
            unnest_conversations!("$19::int8[])")
        ),
        params,
    );
}

fn conversation_updates<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let updates = group.all(|changes| &changes.conversation_updates);
    for updates in rounds(updates, |update| update.row.id) {
        let rows: Vec<&Conversation> = updates.iter().map(|update| &update.row).collect();
        let mut params = values(&rows);
        params.extend(params![column(updates, |update| update.from.as_str())]);
        let ids = column(rows, |row| row.id.0);
        plan.guard_ids(
            concat!(
                "UPDATE conversation v SET contact = w.contact, thread = w.thread,
                     channel = w.channel, partition = w.partition, state = w.state, grp = w.grp,
                     agent = w.agent, last_agent = w.last_agent, waiting_since = w.waiting_since,
                     snoozed_until = w.snoozed_until, updated_at = w.updated_at,
                     last_pos = w.last_pos, unread = w.unread, last_preview = w.last_preview,
                     last_from = w.last_from, last_message_at = w.last_message_at,
                     version = v.version + 1
                 FROM ",
                unnest_conversations!(
                    "$19::text[]) w(contact, thread, channel, partition, state, grp, agent, \
                     last_agent, waiting_since, snoozed_until, updated_at, last_pos, unread, \
                     last_preview, last_from, last_message_at, id, version, was)"
                ),
                " WHERE v.id = w.id AND v.version = w.version AND v.state = w.was RETURNING v.id"
            ),
            params,
            ids,
            "conversation",
        );
    }
}

fn messages<'a>(rows: &[&'a MessageRow], plan: &mut Plan<'a>) -> Result<(), Fail> {
    if rows.is_empty() {
        return Ok(());
    }
    let senders: Vec<String> = rows
        .iter()
        .map(|row| json(&row.sender))
        .collect::<Result<_, _>>()?;
    let contents: Vec<String> = rows
        .iter()
        .map(|row| json(&row.content))
        .collect::<Result<_, _>>()?;
    let rows = || rows.iter().copied();
    plan.add(
        "INSERT INTO message (id, conversation, thread, pos, thread_seq, out_seq, kind, direction,
             sender, agent, content, external_id, at, state, reason, attempts, expires_at)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int8[], $5::int8[],
             $6::int8[], $7::text[], $8::text[], $9::text[], $10::uuid[], $11::text[], $12::text[],
             $13::int8[], $14::text[], $15::text[], $16::int8[], $17::int8[])",
        params![
            column(rows(), |row| row.id.0),
            column(rows(), |row| row.conversation_id.0),
            column(rows(), |row| row.thread_id.0),
            column(rows(), |row| int(row.pos)),
            column(rows(), |row| row.thread_seq.map(int)),
            column(rows(), |row| row.out_seq.map(int)),
            column(rows(), |row| row.kind.as_str()),
            column(rows(), |row| row.direction.as_str()),
            senders,
            column(rows(), |row| row.agent_id.map(|id| id.0)),
            contents,
            column(rows(), |row| row.external_id.as_deref()),
            column(rows(), |row| row.at.as_ms()),
            column(rows(), |row| row.state.as_ref().map(ReceiptState::as_str)),
            column(rows(), |row| row.reason.as_deref()),
            column(rows(), |row| i64::from(row.attempts)),
            column(rows(), |row| row.expires_at.map(Time::as_ms)),
        ],
    );
    Ok(())
}

fn loads<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    for loads in rounds(group.all(|changes| &changes.loads), |load| load.agent) {
        let rows = || loads.iter().copied();
        let ids = column(rows(), |load| load.agent.0);
        plan.guard_ids(
            "UPDATE agent a SET load = greatest(0, a.load + w.delta),
                 assigned_at = coalesce(w.assigned_at, a.assigned_at)
             FROM unnest($1::uuid[], $2::int8[], $3::bool[], $4::int8[])
                 w(id, delta, force, assigned_at)
             WHERE a.id = w.id AND (w.delta <= 0 OR w.force OR
                 (a.presence = 'online' AND a.active AND a.load + w.delta <= a.capacity))
             RETURNING a.id",
            params![
                ids.clone(),
                column(rows(), |load| i64::from(load.delta)),
                column(rows(), |load| load.force),
                column(rows(), |load| load.assigned_at.map(Time::as_ms)),
            ],
            ids,
            "there is no room at agent",
        );
    }
}
