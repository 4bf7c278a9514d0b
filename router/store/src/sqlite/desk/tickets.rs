//! Tickets by page, and their histories.

use patchbay_message::TicketId;
use rusqlite::{Connection, params, params_from_iter};

use super::{
    super::{
        error::Fail,
        facts::{
            self,
            tickets::{device, ticket},
        },
        people::folded,
        rows::tickets::{self as rows, select_entry, select_ticket},
        sql::{all, blob, ms, one},
    },
    conversations::{Values, marks},
};
use crate::{
    Cursor, Page, Ticket, TicketEntry, TicketFilter, TicketState, TicketView, check::NUMBER_MAX,
    limits::ROWS_MAX,
};

pub(super) fn find(db: &Connection, id: TicketId) -> Result<Option<TicketView>, Fail> {
    ticket(db, id)?.map(|row| view(db, row)).transpose()
}

pub(super) fn numbered(
    db: &Connection,
    year: i16,
    number: u32,
) -> Result<Option<TicketView>, Fail> {
    one(
        db,
        select_ticket!("WHERE year = ?1 AND number = ?2"),
        params![year, number],
        rows::ticket,
    )?
    .map(|row| view(db, row))
    .transpose()
}

/// The device is that of the conversation the ticket belongs to.
fn view(db: &Connection, row: Ticket) -> Result<TicketView, Fail> {
    let contact = facts::contact(db, row.contact_id)?
        .ok_or_else(|| Fail::Store(format!("ticket {} has no contact", row.id)))?;
    let device = match facts::conversation(db, row.conversation_id)? {
        Some(conversation) => device(db, conversation.thread_id)?,
        None => None,
    };
    Ok(TicketView {
        ticket: row,
        contact,
        device: device.map(|(device, _)| device),
    })
}

pub(super) fn page(db: &Connection, filter: &TicketFilter) -> Result<Page<TicketView>, Fail> {
    let limit = filter.limit.min(ROWS_MAX);
    let (clauses, mut values) = clauses(filter);
    values.push(Box::new(i64::from(limit) + 1));
    let sql = format!(
        "{} WHERE {} ORDER BY updated_at DESC, id DESC LIMIT ?",
        select_ticket!(""),
        clauses
    );
    let mut found = all(db, &sql, params_from_iter(values), rows::ticket)?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > kept;
    found.truncate(kept);
    let next = found.last().filter(|_| more).map(|row| Cursor {
        at: row.updated_at,
        id: row.id.0,
    });
    let items = found
        .into_iter()
        .map(|row| view(db, row))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

fn clauses(filter: &TicketFilter) -> (String, Values) {
    let mut clauses = vec!["1".to_owned()];
    let mut values: Values = Vec::new();
    if !filter.states.is_empty() {
        clauses.push(format!("state IN ({})", marks(filter.states.len())));
        for state in &filter.states {
            values.push(Box::new(state.as_str()));
        }
        // Said as the partial index says it: it is used for what names its condition only.
        if filter
            .states
            .iter()
            .all(|state| TicketState::is_open(*state))
        {
            clauses.push("state NOT IN ('done', 'cancelled')".to_owned());
        }
    }
    if let Some(agent) = filter.agent {
        clauses.push("agent = ?".to_owned());
        values.push(Box::new(*blob(&agent)));
    }
    if !filter.groups.is_empty() {
        clauses.push(format!("grp IN ({})", marks(filter.groups.len())));
        for group in &filter.groups {
            values.push(Box::new(*blob(group)));
        }
    }
    if let Some(channel) = &filter.channel {
        clauses.push("channel = ?".to_owned());
        values.push(Box::new(channel.as_str().to_owned()));
    }
    if let Some(device) = &filter.device {
        clauses.push("device = ?".to_owned());
        values.push(Box::new(device.clone()));
    }
    if !filter.severities.is_empty() {
        clauses.push(format!("severity IN ({})", marks(filter.severities.len())));
        for severity in &filter.severities {
            values.push(Box::new(severity.as_str().to_owned()));
        }
    }
    if let Some(text) = &filter.text {
        clauses.push("instr(folded, ?) > 0".to_owned());
        values.push(Box::new(folded(text)));
    }
    if let Some(cursor) = &filter.cursor {
        clauses.push("(updated_at, id) < (?, ?)".to_owned());
        values.push(Box::new(ms(cursor.at)));
        values.push(Box::new(*cursor.id.as_bytes()));
    }
    (clauses.join(" AND "), values)
}

pub(super) fn entries(
    db: &Connection,
    id: TicketId,
    after: u64,
    limit: u32,
) -> Result<Vec<TicketEntry>, Fail> {
    all(
        db,
        select_entry!("WHERE ticket = ?1 AND pos > ?2 ORDER BY pos LIMIT ?3"),
        params![blob(&id), after.min(NUMBER_MAX), limit.min(ROWS_MAX)],
        rows::entry,
    )
}
