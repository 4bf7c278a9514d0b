//! Writes tickets, their histories, and how devices stand.

use patchbay_message::{ThreadId, Time};
use rusqlite::{Connection, params};

use super::{
    error::Fail,
    people::guarded,
    sql::{blob, json, ms, one, opt, opt_ms, run},
};
use crate::{Changes, Device, Ticket, TicketEntry, TicketUpdate, tickets::urgency};

pub(super) fn write(db: &Connection, changes: &Changes, now: Time) -> Result<(), Fail> {
    let (closing, others) = TicketUpdate::apart(changes.ticket_updates.iter());
    for update in closing {
        update_ticket(db, update)?;
    }
    for row in &changes.tickets {
        insert_ticket(db, row)?;
    }
    for update in others {
        update_ticket(db, update)?;
    }
    for row in &changes.ticket_entries {
        insert_entry(db, row)?;
    }
    for row in &changes.devices {
        save_device(db, row)?;
    }
    for (thread, number) in &changes.device_acks {
        ack(db, *thread, *number, now)?;
    }
    Ok(())
}

fn insert_ticket(db: &Connection, row: &Ticket) -> Result<(), Fail> {
    let number: u32 = one(
        db,
        "INSERT INTO ticket_head (year, number) VALUES (?1, 1)
         ON CONFLICT (year) DO UPDATE SET number = number + 1 RETURNING number",
        [row.year()],
        |c| c.get(),
    )?
    .ok_or_else(|| Fail::Store("no ticket number was drawn".to_owned()))?;
    run(
        db,
        "INSERT INTO ticket (id, year, number, channel, device, code, contact, conversation,
             partition, state, category, severity, urgency, title, folded, grp, agent, last_agent,
             waiting_since, n_raised, n_flaps, settles_at, first_raised_at, raised_at, cleared_at,
             created_at, updated_at, closed_at, last_pos, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
             ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)",
        params![
            blob(&row.id),
            row.year(),
            number,
            row.channel.as_str(),
            row.device,
            row.code,
            blob(&row.contact_id),
            blob(&row.conversation_id),
            row.partition,
            row.state.as_str(),
            row.category,
            row.severity.as_str(),
            urgency(&row.severity),
            row.title,
            row.folded(),
            opt(row.group_id.as_ref()),
            opt(row.agent_id.as_ref()),
            opt(row.last_agent_id.as_ref()),
            opt_ms(row.waiting_since),
            row.n_raised,
            row.n_flaps,
            opt_ms(row.settles_at),
            ms(row.first_raised_at),
            ms(row.raised_at),
            opt_ms(row.cleared_at),
            ms(row.created_at),
            ms(row.updated_at),
            opt_ms(row.closed_at),
            row.last_pos,
            row.version,
        ],
    )?;
    Ok(())
}

fn update_ticket(db: &Connection, update: &TicketUpdate) -> Result<(), Fail> {
    let row = &update.row;
    let changed = run(
        db,
        "UPDATE ticket SET contact = ?4, conversation = ?5, partition = ?6, state = ?7,
             category = ?8, severity = ?9, urgency = ?10, title = ?11, folded = ?12, grp = ?13,
             agent = ?14, last_agent = ?15, waiting_since = ?16, n_raised = ?17, n_flaps = ?18,
             settles_at = ?19, first_raised_at = ?20, raised_at = ?21, cleared_at = ?22,
             updated_at = ?23, closed_at = ?24, last_pos = ?25, version = version + 1
         WHERE id = ?1 AND version = ?2 AND state = ?3",
        params![
            blob(&row.id),
            row.version,
            update.from.as_str(),
            blob(&row.contact_id),
            blob(&row.conversation_id),
            row.partition,
            row.state.as_str(),
            row.category,
            row.severity.as_str(),
            urgency(&row.severity),
            row.title,
            row.folded(),
            opt(row.group_id.as_ref()),
            opt(row.agent_id.as_ref()),
            opt(row.last_agent_id.as_ref()),
            opt_ms(row.waiting_since),
            row.n_raised,
            row.n_flaps,
            opt_ms(row.settles_at),
            ms(row.first_raised_at),
            ms(row.raised_at),
            opt_ms(row.cleared_at),
            ms(row.updated_at),
            opt_ms(row.closed_at),
            row.last_pos,
        ],
    )?;
    guarded(changed, || format!("ticket {}", row.id))
}

fn insert_entry(db: &Connection, row: &TicketEntry) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO ticket_entry (ticket, pos, kind, agent, message, occurred_at, text, data, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            blob(&row.ticket_id),
            row.pos,
            row.kind.as_str(),
            opt(row.agent_id.as_ref()),
            opt(row.message_id.as_ref()),
            opt_ms(row.occurred_at),
            row.text,
            json(&row.data)?,
            ms(row.at),
        ],
    )?;
    Ok(())
}

fn save_device(db: &Connection, row: &Device) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO device (thread, channel, address, partition, seen_at, silent_at, silence,
             readings, readings_at, location, faults, acked)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0)
         ON CONFLICT (thread) DO UPDATE SET channel = excluded.channel,
             address = excluded.address, partition = excluded.partition,
             seen_at = excluded.seen_at, silent_at = excluded.silent_at,
             silence = excluded.silence, readings = excluded.readings,
             readings_at = excluded.readings_at, location = excluded.location,
             faults = excluded.faults",
        params![
            blob(&row.thread_id),
            row.channel.as_str(),
            row.address,
            row.partition,
            ms(row.seen_at),
            opt_ms(row.silent_at),
            row.silence.as_ref().map(json).transpose()?,
            json(&row.readings)?,
            opt_ms(row.readings_at),
            row.location.as_ref().map(json).transpose()?,
            json(&row.faults)?,
        ],
    )?;
    Ok(())
}

/// A device may confirm what it was sent before it has said anything itself.
fn ack(db: &Connection, thread: ThreadId, number: u64, now: Time) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO device (thread, channel, address, partition, seen_at, readings, faults, acked)
         SELECT id, channel, address, partition, ?3, '{}', '{}', ?2 FROM thread WHERE id = ?1
         ON CONFLICT (thread) DO UPDATE SET acked = max(acked, excluded.acked)",
        params![blob(&thread), number, ms(now)],
    )?;
    Ok(())
}
