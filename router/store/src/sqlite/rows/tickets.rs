//! Reads tickets, their histories, devices, and answers that are waited for.

use patchbay_message::{ReceiptState, Severity};

use crate::{
    Device, Expect, Ticket, TicketEntry, TicketEvent, TicketState,
    sqlite::{error::Fail, sql::Columns},
};

macro_rules! select_ticket {
    ($tail:literal) => {
        concat!(
            "SELECT id, number, channel, device, code, contact, conversation, partition, state, \
             category, severity, title, grp, agent, last_agent, waiting_since, n_raised, n_flaps, \
             settles_at, first_raised_at, raised_at, cleared_at, created_at, updated_at, \
             closed_at, last_pos, version FROM ticket ",
            $tail
        )
    };
}

macro_rules! select_entry {
    ($tail:literal) => {
        concat!(
            "SELECT ticket, pos, kind, agent, message, occurred_at, text, data, at \
             FROM ticket_entry ",
            $tail
        )
    };
}

macro_rules! select_device {
    ($tail:literal) => {
        concat!(
            "SELECT thread, channel, address, partition, seen_at, silent_at, silence, readings, \
             readings_at, location, faults, acked FROM device ",
            $tail
        )
    };
}

macro_rules! select_expect {
    ($tail:literal) => {
        concat!(
            "SELECT channel, external_id, due, or_else, fallback FROM expect ",
            $tail
        )
    };
}

pub(in crate::sqlite) use {select_device, select_entry, select_expect, select_ticket};

pub(in crate::sqlite) fn ticket(c: &mut Columns<'_, '_>) -> Result<Ticket, Fail> {
    Ok(Ticket {
        id: c.id()?,
        number: c.get()?,
        channel: c.channel()?,
        device: c.get()?,
        code: c.get()?,
        contact_id: c.id()?,
        conversation_id: c.id()?,
        partition: c.get()?,
        state: c.word(TicketState::from_word)?,
        category: c.get()?,
        severity: Severity::from(c.get::<String>()?.as_str()),
        title: c.get()?,
        group_id: c.opt_id()?,
        agent_id: c.opt_id()?,
        last_agent_id: c.opt_id()?,
        waiting_since: c.opt_time()?,
        n_raised: c.get()?,
        n_flaps: c.get()?,
        settles_at: c.opt_time()?,
        first_raised_at: c.time()?,
        raised_at: c.time()?,
        cleared_at: c.opt_time()?,
        created_at: c.time()?,
        updated_at: c.time()?,
        closed_at: c.opt_time()?,
        last_pos: c.get()?,
        version: c.get()?,
    })
}

pub(in crate::sqlite) fn entry(c: &mut Columns<'_, '_>) -> Result<TicketEntry, Fail> {
    Ok(TicketEntry {
        ticket_id: c.id()?,
        pos: c.get()?,
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
pub(in crate::sqlite) fn device(c: &mut Columns<'_, '_>) -> Result<(Device, u64), Fail> {
    let device = Device {
        thread_id: c.id()?,
        channel: c.channel()?,
        address: c.get()?,
        partition: c.get()?,
        seen_at: c.time()?,
        silent_at: c.opt_time()?,
        silence: c.opt_json()?,
        readings: c.json()?,
        readings_at: c.opt_time()?,
        location: c.opt_json()?,
        faults: c.json()?,
    };
    Ok((device, c.get()?))
}

pub(in crate::sqlite) fn expect(c: &mut Columns<'_, '_>) -> Result<Expect, Fail> {
    Ok(Expect {
        channel: c.channel()?,
        external_id: c.get()?,
        due: c.time()?,
        or_else: ReceiptState::from(c.get::<String>()?.as_str()),
        fallback: c.get()?,
    })
}
