//! How far outbound messages got: what we said ourselves, what the provider said of each part, and
//! how far the contact has seen.
//!
//! The rows concerned are locked and loaded with the rest of a commit, the outcome is worked out
//! here ([`model`]), and what changed is written back with the event log.

mod expects;
mod model;

use std::collections::BTreeSet;

use uuid::Uuid;

pub(super) use self::model::Rose;
use self::model::{Message, Model, Part, Thread};
use super::{
    apply::{Group, Plan},
    error::Fail,
    sql::{Answer, Columns, Step, column, int, now_ms, params},
};
use crate::Changes;

/// Where the answers of [`load`] stand among those of the plan.
#[derive(Default)]
pub(super) struct Places {
    touched: Option<usize>,
    parts: Option<usize>,
    messages: Vec<usize>,
    threads: Option<usize>,
    conversations: Option<usize>,
    due: Option<usize>,
}

/// The message of a part that is named by its external id.
macro_rules! messages_of_parts {
    () => {
        "SELECT r.message FROM unnest($2::text[], $3::text[]) w(channel, external_id)
         JOIN receipt r ON r.channel = w.channel AND r.external_id = w.external_id
         WHERE r.message IS NOT NULL"
    };
}

/// Locks and loads what the words and watermarks of a group are about. Whoever comes first with an
/// external id makes its row; the other one waits for that and finds it.
pub(super) fn load<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Places {
    let mut places = Places::default();
    let changes = || group.0.iter().copied();
    let mut keys: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut ids: BTreeSet<Uuid> = BTreeSet::new();
    for changes in changes() {
        for (channel, external_id, message, _) in &changes.sent {
            keys.insert((channel.as_str(), external_id));
            ids.insert(message.0);
        }
        for word in &changes.receipts {
            ids.extend(word.message.map(|id| id.0));
            if let Some(id) = &word.external_id {
                keys.insert((word.channel.as_str(), id));
            }
        }
        for row in &changes.expects {
            keys.insert((row.channel.as_str(), &row.external_id));
        }
    }
    let channels: Vec<&str> = keys.iter().map(|(channel, _)| *channel).collect();
    let externals: Vec<&str> = keys.iter().map(|(_, id)| *id).collect();
    if !keys.is_empty() {
        places.touched = Some(plan.add(
            concat!(
                "INSERT INTO receipt (channel, external_id, at) SELECT w.*, ",
                now_ms!(),
                " FROM unnest($1::text[], $2::text[]) w
                 ON CONFLICT (channel, external_id) DO UPDATE SET at = excluded.at
                 RETURNING channel, external_id, message, part, state, reason"
            ),
            params![channels.clone(), externals.clone()],
        ));
    }
    seen(group, plan, &mut places);
    if !ids.is_empty() || !keys.is_empty() {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        places.messages.push(plan.add(
            concat!(
                "SELECT id, thread, thread_seq, conversation, state, attempts FROM message
                 WHERE direction = 'outbound' AND id IN (SELECT unnest($1::uuid[]) UNION ",
                messages_of_parts!(),
                ") ORDER BY id FOR UPDATE"
            ),
            params![ids.clone(), channels.clone(), externals.clone()],
        ));
        places.parts = Some(plan.add(
            concat!(
                "SELECT channel, external_id, message, part, state, reason FROM receipt
                 WHERE message IN (SELECT unnest($1::uuid[]) UNION ",
                messages_of_parts!(),
                ")"
            ),
            params![ids, channels, externals],
        ));
    }
    // Once the messages are locked: who ends a wait by a word on the message has that lock only.
    places.due = expects::load(group, plan);
    places
}

fn seen<'a>(group: Group<'a>, plan: &mut Plan<'a>, places: &mut Places) {
    let seen: Vec<_> = group.0.iter().flat_map(|c| &c.seen).collect();
    if seen.is_empty() {
        return;
    }
    let threads = column(seen.iter().copied(), |seen| seen.thread.0);
    places.threads = Some(plan.add(
        "SELECT id, last_seq, delivered_seq, read_seq FROM thread WHERE id = ANY($1)
         ORDER BY id FOR UPDATE",
        params![threads.clone()],
    ));
    let upto = column(seen, |seen| {
        int(seen.delivered.unwrap_or(0).max(seen.read.unwrap_or(0)))
    });
    places.messages.push(plan.add(
        "SELECT id, thread, thread_seq, conversation, state, attempts FROM message
         WHERE id IN (
             SELECT m.id FROM unnest($1::uuid[], $2::int8[]) w(thread, upto)
             JOIN thread t ON t.id = w.thread
             JOIN message m ON m.thread = w.thread AND m.thread_seq > t.read_seq
                 AND m.thread_seq <= w.upto AND m.direction = 'outbound'
         ) ORDER BY id FOR UPDATE",
        params![threads.clone(), upto],
    ));
    places.conversations = Some(plan.add(
        "SELECT w.id, v.id FROM unnest($1::uuid[]) w(id) CROSS JOIN LATERAL (
             SELECT id FROM conversation WHERE thread = w.id
             ORDER BY state = 'closed', created_at DESC, id DESC LIMIT 1
         ) v",
        params![threads],
    ));
}

/// What rose by each commit of the group, and the statements that write it.
pub(super) fn work_out(
    group: &[&Changes],
    places: &Places,
    answers: &[Answer],
) -> Result<(Vec<Rose>, Vec<Step<'static>>), Fail> {
    let mut model = Model::default();
    for place in places.touched.iter().chain(&places.parts) {
        for (key, part) in answers[*place].all(part)? {
            model.parts.entry(key).or_insert(part);
        }
    }
    for place in &places.messages {
        for (id, message) in answers[*place].all(message)? {
            model.messages.entry(id).or_insert(message);
        }
    }
    if let Some(place) = places.threads {
        model.threads = answers[place].all(thread)?.into_iter().collect();
    }
    if let Some(place) = places.conversations {
        let found = answers[place].all(|c| Ok((c.id()?, c.id()?)))?;
        model.conversations = found.into_iter().collect();
    }
    if let Some(place) = places.due {
        model.expects.take(&answers[place])?;
    }
    let rose = group.iter().map(|changes| model.apply(changes)).collect();
    Ok((rose, write(&model)))
}

type Key = (String, String);

fn part(c: &mut Columns<'_>) -> Result<(Key, Part), Fail> {
    Ok((
        (c.get()?, c.get()?),
        Part {
            message: c.opt_id()?,
            part: c.get::<Option<i32>>()?.unwrap_or(0),
            state: c.get::<Option<&str>>()?.map(Into::into),
            reason: c.get()?,
            changed: false,
        },
    ))
}

fn message(c: &mut Columns<'_>) -> Result<(patchbay_message::MessageId, Message), Fail> {
    Ok((
        c.id()?,
        Message {
            thread: c.id()?,
            thread_seq: c.opt_number()?.unwrap_or(0),
            conversation: c.id()?,
            state: c.get::<Option<&str>>()?.map(Into::into),
            attempts: c.number()?,
            reason: None,
            rose: false,
            counted: false,
        },
    ))
}

fn thread(c: &mut Columns<'_>) -> Result<(patchbay_message::ThreadId, Thread), Fail> {
    Ok((
        c.id()?,
        Thread {
            last: c.number()?,
            delivered: c.number()?,
            read: c.number()?,
            rose: false,
        },
    ))
}

fn write(model: &Model) -> Vec<Step<'static>> {
    let mut steps = Vec::new();
    let parts: Vec<_> = model.parts.iter().filter(|(_, p)| p.changed).collect();
    if !parts.is_empty() {
        let state = |p: &Part| p.state.as_ref().map(|state| state.as_str().to_owned());
        steps.push(Step::new(
            "UPDATE receipt r SET message = w.message, part = w.part, state = w.state,
                 reason = w.reason
             FROM unnest($1::text[], $2::text[], $3::uuid[], $4::int4[], $5::text[], $6::text[])
                 w(channel, external_id, message, part, state, reason)
             WHERE r.channel = w.channel AND r.external_id = w.external_id",
            params![
                column(&parts, |((channel, _), _)| channel.clone()),
                column(&parts, |((_, id), _)| id.clone()),
                column(&parts, |(_, p)| p.message.map(|id| id.0)),
                column(&parts, |(_, p)| p.message.map(|_| p.part)),
                column(&parts, |(_, p)| state(p)),
                column(&parts, |(_, p)| p.reason.clone()),
            ],
        ));
    }
    let messages = || model.messages.iter();
    let rose: Vec<_> = messages().filter(|(_, m)| m.rose).collect();
    if !rose.is_empty() {
        let state = |m: &Message| m.state.as_ref().map(|state| state.as_str().to_owned());
        steps.push(Step::new(
            "UPDATE message m SET state = w.state, reason = w.reason
             FROM unnest($1::uuid[], $2::text[], $3::text[]) w(id, state, reason)
             WHERE m.id = w.id",
            params![
                column(&rose, |(id, _)| id.0),
                column(&rose, |(_, m)| state(m)),
                column(&rose, |(_, m)| m.reason.clone()),
            ],
        ));
    }
    let counted: Vec<_> = messages().filter(|(_, m)| m.counted).collect();
    if !counted.is_empty() {
        steps.push(Step::new(
            "UPDATE message m SET attempts = w.attempts
             FROM unnest($1::uuid[], $2::int8[]) w(id, attempts) WHERE m.id = w.id",
            params![
                column(&counted, |(id, _)| id.0),
                column(&counted, |(_, m)| i64::from(m.attempts)),
            ],
        ));
    }
    let threads: Vec<_> = model.threads.iter().filter(|(_, t)| t.rose).collect();
    if !threads.is_empty() {
        steps.push(Step::new(
            "UPDATE thread t SET delivered_seq = w.delivered, read_seq = w.read
             FROM unnest($1::uuid[], $2::int8[], $3::int8[]) w(id, delivered, read)
             WHERE t.id = w.id",
            params![
                column(&threads, |(id, _)| id.0),
                column(&threads, |(_, t)| int(t.delivered)),
                column(&threads, |(_, t)| int(t.read)),
            ],
        ));
    }
    model.expects.write(&mut steps);
    steps
}
