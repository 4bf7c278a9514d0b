//! Reads tickets, their histories, devices, and answers that are waited for. In a statement a ticket
//! is `t`, a device `d`.

use patchbay_message::{ReceiptState, Severity};

use crate::{
    Device, Expect, Ticket, TicketEntry, TicketEvent, TicketState,
    postgres::{error::Fail, sql::Columns},
};

macro_rules! ticket_columns {
    () => {
        "t.id, t.number, t.channel, t.device, t.code, t.contact, t.conversation, t.partition, \
         t.state, t.category, t.severity, t.title, t.grp, t.agent, t.last_agent, t.waiting_since, \
         t.n_raised, t.n_flaps, t.settles_at, t.first_raised_at, t.raised_at, t.cleared_at, \
         t.created_at, t.updated_at, t.closed_at, t.last_pos, t.version"
    };
}

macro_rules! select_ticket {
    ($tail:literal) => {
        concat!(
            "SELECT ",
            $crate::postgres::rows::tickets::ticket_columns!(),
            " FROM ticket t ",
            $tail
        )
    };
}

macro_rules! device_columns {
    () => {
        "d.thread, d.channel, d.address, d.partition, d.seen_at, d.silent_at, d.silence, \
         d.readings, d.readings_at, d.location, d.faults, d.acked"
    };
}

macro_rules! select_device {
    ($tail:literal) => {
        concat!(
            "SELECT ",
            $crate::postgres::rows::tickets::device_columns!(),
            " FROM device d ",
            $tail
        )
    };
}

pub(in crate::postgres) use {device_columns, select_device, select_ticket, ticket_columns};

pub(in crate::postgres) fn ticket(c: &mut Columns<'_>) -> Result<Ticket, Fail> {
    Ok(Ticket {
        id: c.id()?,
        number: c.number()?,
        channel: c.channel()?,
        device: c.get()?,
        code: c.get()?,
        contact_id: c.id()?,
        conversation_id: c.id()?,
        partition: c.small()?,
        state: c.word(TicketState::from_word)?,
        category: c.get()?,
        severity: Severity::from(c.get::<&str>()?),
        title: c.get()?,
        group_id: c.opt_id()?,
        agent_id: c.opt_id()?,
        last_agent_id: c.opt_id()?,
        waiting_since: c.opt_time()?,
        n_raised: c.number()?,
        n_flaps: c.number()?,
        settles_at: c.opt_time()?,
        first_raised_at: c.time()?,
        raised_at: c.time()?,
        cleared_at: c.opt_time()?,
        created_at: c.time()?,
        updated_at: c.time()?,
        closed_at: c.opt_time()?,
        last_pos: c.number()?,
        version: c.get()?,
    })
}

/// `ticket, pos, kind, agent, message, occurred_at, text, data, at`.
pub(in crate::postgres) fn entry(c: &mut Columns<'_>) -> Result<TicketEntry, Fail> {
    Ok(TicketEntry {
        ticket_id: c.id()?,
        pos: c.number()?,
        kind: c.word(TicketEvent::from_word)?,
        agent_id: c.opt_id()?,
        message_id: c.opt_id()?,
        occurred_at: c.opt_time()?,
        text: c.get()?,
        data: c.json()?,
        at: c.time()?,
    })
}

/// The device, and up to which number it has everything.
pub(in crate::postgres) fn device(c: &mut Columns<'_>) -> Result<(Device, u64), Fail> {
    let device = Device {
        thread_id: c.id()?,
        channel: c.channel()?,
        address: c.get()?,
        partition: c.small()?,
        seen_at: c.time()?,
        silent_at: c.opt_time()?,
        silence: c.opt_json()?,
        readings: c.json()?,
        readings_at: c.opt_time()?,
        location: c.opt_json()?,
        faults: c.json()?,
    };
    Ok((device, c.number()?))
}

/// `channel, external_id, due, or_else, fallback`.
pub(in crate::postgres) fn expect(c: &mut Columns<'_>) -> Result<Expect, Fail> {
    Ok(Expect {
        channel: c.channel()?,
        external_id: c.get()?,
        due: c.time()?,
        or_else: ReceiptState::from(c.get::<&str>()?),
        fallback: c.get()?,
    })
}
