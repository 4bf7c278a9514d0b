//! Tickets, their histories, and how devices stand.

use std::collections::BTreeMap;

use patchbay_message::{ThreadId, Time};

use super::{Group, Plan, last_of_each, rounds};
use crate::{
    Ticket, TicketUpdate,
    postgres::{
        error::Fail,
        sql::{Param, column, int, json, now_ms, params},
    },
    tickets::urgency,
};

pub(super) fn write<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let updates = group.all(|changes| &changes.ticket_updates);
    let (closing, others) = TicketUpdate::apart(updates.into_iter());
    change(closing, plan);
    open(&group.all(|changes| &changes.tickets), plan);
    change(others, plan);
    entries(group, plan)?;
    devices(group, plan)?;
    acks(group, plan);
    Ok(())
}

/// What changes in a ticket, as columns in this order.
fn values<'a>(rows: &[&'a Ticket]) -> Vec<Param<'a>> {
    let rows = || rows.iter().copied();
    params![
        column(rows(), |row| row.id.0),
        column(rows(), |row| row.contact_id.0),
        column(rows(), |row| row.conversation_id.0),
        column(rows(), |row| i32::from(row.partition)),
        column(rows(), |row| row.state.as_str()),
        column(rows(), |row| row.category.as_deref()),
        column(rows(), |row| row.severity.as_str()),
        column(rows(), |row| i32::from(urgency(&row.severity))),
        column(rows(), |row| row.title.as_str()),
        column(rows(), |row| row.folded()),
        column(rows(), |row| row.group_id.map(|id| id.0)),
        column(rows(), |row| row.agent_id.map(|id| id.0)),
        column(rows(), |row| row.last_agent_id.map(|id| id.0)),
        column(rows(), |row| row.waiting_since.map(Time::as_ms)),
        column(rows(), |row| i64::from(row.n_raised)),
        column(rows(), |row| i64::from(row.n_flaps)),
        column(rows(), |row| row.settles_at.map(Time::as_ms)),
        column(rows(), |row| row.first_raised_at.as_ms()),
        column(rows(), |row| row.raised_at.as_ms()),
        column(rows(), |row| row.cleared_at.map(Time::as_ms)),
        column(rows(), |row| row.updated_at.as_ms()),
        column(rows(), |row| row.closed_at.map(Time::as_ms)),
        column(rows(), |row| int(row.last_pos)),
        column(rows(), |row| row.version),
    ]
}

/// The values of many rows, `w`, with more columns behind them.
macro_rules! unnest_tickets {
    ($types:literal, $names:literal) => {
        concat!(
            "unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int4[], $5::text[], $6::text[],
                 $7::text[], $8::int4[], $9::text[], $10::text[], $11::uuid[], $12::uuid[],
                 $13::uuid[], $14::int8[], $15::int8[], $16::int8[], $17::int8[], $18::int8[],
                 $19::int8[], $20::int8[], $21::int8[], $22::int8[], $23::int8[], $24::int8[], ",
            $types,
            ") w(id, contact, conversation, partition, state, category, severity, urgency, title,
                 folded, grp, agent, last_agent, waiting_since, n_raised, n_flaps, settles_at,
                 first_raised_at, raised_at, cleared_at, updated_at, closed_at, last_pos, version, ",
            $names,
            ")"
        )
    };
}

/// The newest number of a year less how many of the group's come behind it is a ticket's own.
const OPEN: &str = concat!(
    "WITH drawn AS (
         INSERT INTO ticket_head AS h (year, number) SELECT * FROM unnest($31::int4[], $32::int8[])
         ON CONFLICT (year) DO UPDATE SET number = h.number + excluded.number
         RETURNING h.year, h.number
     )
     INSERT INTO ticket (id, contact, conversation, partition, state, category, severity, urgency,
         title, folded, grp, agent, last_agent, waiting_since, n_raised, n_flaps, settles_at,
         first_raised_at, raised_at, cleared_at, updated_at, closed_at, last_pos, version, channel,
         device, code, created_at, year, number)
     SELECT w.id, w.contact, w.conversation, w.partition, w.state, w.category, w.severity,
         w.urgency, w.title, w.folded, w.grp, w.agent, w.last_agent, w.waiting_since, w.n_raised,
         w.n_flaps, w.settles_at, w.first_raised_at, w.raised_at, w.cleared_at, w.updated_at,
         w.closed_at, w.last_pos, w.version, w.channel, w.device, w.code, w.created_at, w.year,
         drawn.number - w.behind
     FROM ",
    unnest_tickets!(
        "$25::text[], $26::text[], $27::text[], $28::int8[], $29::int4[], $30::int8[]",
        "channel, device, code, created_at, year, behind"
    ),
    " JOIN drawn ON drawn.year = w.year"
);

fn open<'a>(tickets: &[&'a Ticket], plan: &mut Plan<'a>) {
    if tickets.is_empty() {
        return;
    }
    let rows = || tickets.iter().copied();
    let mut drawn: BTreeMap<i32, i64> = BTreeMap::new();
    let mut behind: Vec<i64> = rows()
        .rev()
        .map(|row| {
            let count = drawn.entry(row.year().into()).or_insert(0);
            *count += 1;
            *count - 1
        })
        .collect();
    behind.reverse();
    let mut params = values(tickets);
    params.extend(params![
        column(rows(), |row| row.channel.as_str()),
        column(rows(), |row| row.device.as_str()),
        column(rows(), |row| row.code.as_str()),
        column(rows(), |row| row.created_at.as_ms()),
        column(rows(), |row| i32::from(row.year())),
        behind,
        drawn.keys().copied().collect::<Vec<_>>(),
        drawn.values().copied().collect::<Vec<_>>(),
    ]);
    plan.add(OPEN, params);
}

const CHANGE: &str = concat!(
    "UPDATE ticket t SET contact = w.contact, conversation = w.conversation,
         partition = w.partition, state = w.state, category = w.category, severity = w.severity,
         urgency = w.urgency, title = w.title, folded = w.folded, grp = w.grp, agent = w.agent,
         last_agent = w.last_agent, waiting_since = w.waiting_since, n_raised = w.n_raised,
         n_flaps = w.n_flaps, settles_at = w.settles_at, first_raised_at = w.first_raised_at,
         raised_at = w.raised_at, cleared_at = w.cleared_at, updated_at = w.updated_at,
         closed_at = w.closed_at, last_pos = w.last_pos, version = t.version + 1
     FROM ",
    unnest_tickets!("$25::text[]", "was"),
    " WHERE t.id = w.id AND t.version = w.version AND t.state = w.was RETURNING t.id"
);

fn change<'a>(updates: Vec<&'a TicketUpdate>, plan: &mut Plan<'a>) {
    for updates in rounds(updates, |update| update.row.id) {
        let rows: Vec<&Ticket> = updates.iter().map(|update| &update.row).collect();
        let mut params = values(&rows);
        params.extend(params![column(updates, |update| update.from.as_str())]);
        let ids = column(rows, |row| row.id.0);
        plan.guard_ids(CHANGE, params, ids, "ticket");
    }
}

fn entries<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let entries = group.all(|changes| &changes.ticket_entries);
    if entries.is_empty() {
        return Ok(());
    }
    let data: Vec<String> = entries
        .iter()
        .map(|row| json(&row.data))
        .collect::<Result<_, _>>()?;
    let rows = || entries.iter().copied();
    plan.add(
        "INSERT INTO ticket_entry (ticket, pos, kind, agent, message, occurred_at, text, data, at)
         SELECT * FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::uuid[], $5::uuid[],
             $6::int8[], $7::text[], $8::text[], $9::int8[])",
        params![
            column(rows(), |row| row.ticket_id.0),
            column(rows(), |row| int(row.pos)),
            column(rows(), |row| row.kind.as_str()),
            column(rows(), |row| row.agent_id.map(|id| id.0)),
            column(rows(), |row| row.message_id.map(|id| id.0)),
            column(rows(), |row| row.occurred_at.map(Time::as_ms)),
            column(rows(), |row| row.text.as_deref()),
            data,
            column(rows(), |row| row.at.as_ms()),
        ],
    );
    Ok(())
}

fn devices<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    let devices = last_of_each(group.all(|changes| &changes.devices), |row| row.thread_id);
    if devices.is_empty() {
        return Ok(());
    }
    let rows = || devices.iter().copied();
    let silences: Vec<Option<String>> = rows()
        .map(|row| row.silence.as_ref().map(json).transpose())
        .collect::<Result<_, _>>()?;
    let readings: Vec<String> = rows()
        .map(|row| json(&row.readings))
        .collect::<Result<_, _>>()?;
    let locations: Vec<Option<String>> = rows()
        .map(|row| row.location.as_ref().map(json).transpose())
        .collect::<Result<_, _>>()?;
    let faults: Vec<String> = rows()
        .map(|row| json(&row.faults))
        .collect::<Result<_, _>>()?;
    plan.add(
        "INSERT INTO device (thread, channel, address, partition, seen_at, silent_at, silence,
             readings, readings_at, location, faults, acked)
         SELECT w.*, 0 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int4[], $5::int8[],
             $6::int8[], $7::text[], $8::text[], $9::int8[], $10::text[], $11::text[]) w
         ON CONFLICT (thread) DO UPDATE SET channel = excluded.channel,
             address = excluded.address, partition = excluded.partition,
             seen_at = excluded.seen_at, silent_at = excluded.silent_at,
             silence = excluded.silence, readings = excluded.readings,
             readings_at = excluded.readings_at, location = excluded.location,
             faults = excluded.faults",
        params![
            column(rows(), |row| row.thread_id.0),
            column(rows(), |row| row.channel.as_str()),
            column(rows(), |row| row.address.as_str()),
            column(rows(), |row| i32::from(row.partition)),
            column(rows(), |row| row.seen_at.as_ms()),
            column(rows(), |row| row.silent_at.map(Time::as_ms)),
            silences,
            readings,
            column(rows(), |row| row.readings_at.map(Time::as_ms)),
            locations,
            faults,
        ],
    );
    Ok(())
}

/// A device may confirm what it was sent before it has said anything itself.
fn acks<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let mut acks: BTreeMap<ThreadId, u64> = BTreeMap::new();
    for (thread, number) in group.all(|changes| &changes.device_acks) {
        let acked = acks.entry(*thread).or_insert(0);
        *acked = (*acked).max(*number);
    }
    if acks.is_empty() {
        return;
    }
    plan.add(
        concat!(
            "INSERT INTO device AS d (thread, channel, address, partition, seen_at, readings,
                 faults, acked)
             SELECT t.id, t.channel, t.address, t.partition, ",
            now_ms!(),
            ", '{}', '{}', w.acked
             FROM unnest($1::uuid[], $2::int8[]) w(thread, acked) JOIN thread t ON t.id = w.thread
             ORDER BY t.id
             ON CONFLICT (thread) DO UPDATE SET acked = greatest(d.acked, excluded.acked)"
        ),
        params![
            acks.keys().map(|thread| thread.0).collect::<Vec<_>>(),
            acks.values().map(|number| int(*number)).collect::<Vec<_>>(),
        ],
    );
}
