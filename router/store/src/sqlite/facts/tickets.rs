//! Tickets and devices, and what is due about them.

use patchbay_message::{ThreadId, TicketId};
use rusqlite::{Connection, params};

use crate::{
    Device, Facts, Ticket, Want,
    limits::{OVERDUE_MAX, ROWS_MAX, SETTLED_MAX, SILENT_MAX},
    sqlite::{
        error::Fail,
        rows::tickets::{self as rows, select_device, select_expect, select_ticket},
        sql::{all, blob, ms, one},
    },
    tickets::urgency,
};

pub(super) fn load(db: &Connection, want: &Want, facts: &mut Facts) -> Result<(), Fail> {
    for thread in &want.devices {
        if let Some((device, _)) = device(db, *thread)? {
            facts.devices.insert(device.thread_id, device);
        }
    }
    for id in &want.tickets {
        if let Some(row) = ticket(db, *id)? {
            facts.tickets.insert(row.id, row);
        }
    }
    for (channel, device, code) in &want.faults {
        if let Some(row) = of_fault(db, channel.as_str(), device, code)? {
            let key = (row.channel.clone(), row.device.clone(), row.code.clone());
            facts.ticket_of.insert(key, row.id);
            facts.tickets.insert(row.id, row);
        }
    }
    waiting(db, want, facts)?;
    due(db, want, facts)
}

pub(in crate::sqlite) fn ticket(db: &Connection, id: TicketId) -> Result<Option<Ticket>, Fail> {
    one(
        db,
        select_ticket!("WHERE id = ?1"),
        [blob(&id)],
        rows::ticket,
    )
}

pub(in crate::sqlite) fn device(
    db: &Connection,
    thread: ThreadId,
) -> Result<Option<(Device, u64)>, Fail> {
    one(
        db,
        select_device!("WHERE thread = ?1"),
        [blob(&thread)],
        rows::device,
    )
}

/// The open ticket, else the newest.
fn of_fault(
    db: &Connection,
    channel: &str,
    device: &str,
    code: &str,
) -> Result<Option<Ticket>, Fail> {
    let open = one(
        db,
        select_ticket!(
            "WHERE channel = ?1 AND device = ?2 AND code = ?3
                 AND state NOT IN ('done', 'cancelled')"
        ),
        [channel, device, code],
        rows::ticket,
    )?;
    if open.is_some() {
        return Ok(open);
    }
    one(
        db,
        select_ticket!(
            "WHERE channel = ?1 AND device = ?2 AND code = ?3
             ORDER BY created_at DESC, id DESC LIMIT 1"
        ),
        [channel, device, code],
        rows::ticket,
    )
}

fn waiting(db: &Connection, want: &Want, facts: &mut Facts) -> Result<(), Fail> {
    if want.waiting_tickets == 0 {
        return Ok(());
    }
    let after = want.waiting_tickets_after.as_ref();
    let (worst, at, id) = after.map_or((0, i64::MIN, [0; 16]), |(severity, last)| {
        (urgency(severity), ms(last.at), last.id.into_bytes())
    });
    facts.waiting_tickets = all(
        db,
        select_ticket!(
            "WHERE state IN ('new', 'reopened')
                 AND urgency >= ?2
                 AND (urgency, coalesce(waiting_since, created_at), id) > (?2, ?3, ?4)
             ORDER BY urgency, coalesce(waiting_since, created_at), id LIMIT ?1"
        ),
        params![want.waiting_tickets.min(ROWS_MAX), worst, at, id],
        rows::ticket,
    )?;
    Ok(())
}

fn due(db: &Connection, want: &Want, facts: &mut Facts) -> Result<(), Fail> {
    if let Some(until) = want.settled_until {
        facts.settled = all(
            db,
            select_ticket!(
                "WHERE settles_at <= ?1 AND state NOT IN ('done', 'cancelled')
                 ORDER BY settles_at LIMIT ?2"
            ),
            params![ms(until), SETTLED_MAX],
            rows::ticket,
        )?;
    }
    if let Some(until) = want.silent_until {
        let after = want.silent_after.as_ref();
        let (at, id) = after.map_or((i64::MIN, [0; 16]), |last| {
            (ms(last.at), last.id.into_bytes())
        });
        let silent = all(
            db,
            select_device!(
                "WHERE silent_at <= ?1 AND (silent_at, thread) > (?3, ?4)
                 ORDER BY silent_at, thread LIMIT ?2"
            ),
            params![ms(until), SILENT_MAX, at, id],
            rows::device,
        )?;
        facts.silent = silent.into_iter().map(|(device, _)| device).collect();
    }
    if let Some(until) = want.overdue_until {
        facts.overdue = all(
            db,
            select_expect!("WHERE due <= ?1 ORDER BY due LIMIT ?2"),
            params![ms(until), OVERDUE_MAX],
            rows::expect,
        )?;
    }
    Ok(())
}
