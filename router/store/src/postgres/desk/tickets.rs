//! Tickets by page, and their histories.

use patchbay_message::{ThreadId, TicketId};

use super::conversations::numbered_clauses;
use crate::{
    Cursor, Device, Page, TicketEntry, TicketFilter, TicketState, TicketView,
    limits::ROWS_MAX,
    postgres::{
        PostgresStore,
        apply::folded,
        error::Fail,
        rows::{
            self, contact_columns,
            tickets::{self, device_columns, select_device, ticket_columns},
        },
        sql::{Columns, Param, Step, can_be, column, int, params},
    },
};

/// What [`view`] reads, of a ticket `t`.
const VIEW: &str = concat!(
    ticket_columns!(),
    ", ",
    contact_columns!("c"),
    ", ",
    device_columns!()
);
/// The device is that of the conversation the ticket belongs to.
const JOINED: &str = "LEFT JOIN contact c ON c.id = t.contact
     LEFT JOIN conversation v ON v.id = t.conversation LEFT JOIN device d ON d.thread = v.thread";

fn view(c: &mut Columns<'_>) -> Result<TicketView, Fail> {
    let ticket = tickets::ticket(c)?;
    if !c.is_there()? {
        return Err(Fail::Store(format!("ticket {} has no contact", ticket.id)));
    }
    let contact = rows::contact(c)?;
    let device = match c.is_there()? {
        true => Some(tickets::device(c)?.0),
        false => None,
    };
    Ok(TicketView {
        ticket,
        contact,
        device,
    })
}

pub(super) async fn find(store: &PostgresStore, id: TicketId) -> Result<Option<TicketView>, Fail> {
    let sql = format!("SELECT {VIEW} FROM ticket t {JOINED} WHERE t.id = $1");
    store.read(Step::new(sql, params![id.0])).await?.one(view)
}

pub(super) async fn views(
    store: &PostgresStore,
    ids: &[TicketId],
) -> Result<Vec<TicketView>, Fail> {
    let sql = format!("SELECT {VIEW} FROM ticket t {JOINED} WHERE t.id = ANY($1)");
    let params = params![column(ids, |id| id.0)];
    store.read(Step::new(sql, params)).await?.all(view)
}

pub(super) async fn numbered(
    store: &PostgresStore,
    year: i16,
    number: u32,
) -> Result<Option<TicketView>, Fail> {
    let sql = format!("SELECT {VIEW} FROM ticket t {JOINED} WHERE t.year = $1 AND t.number = $2");
    let params = params![i32::from(year), i64::from(number)];
    store.read(Step::new(sql, params)).await?.one(view)
}

pub(super) async fn page(
    store: &PostgresStore,
    filter: &TicketFilter,
) -> Result<Page<TicketView>, Fail> {
    let texts = [filter.text.as_deref(), filter.device.as_deref()];
    if !texts.into_iter().flatten().all(can_be) {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    }
    let limit = filter.limit.min(ROWS_MAX);
    let mut items = store.read(found(filter, limit)).await?.all(view)?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > kept;
    items.truncate(kept);
    let next = items.last().filter(|_| more).map(|view| Cursor {
        at: view.ticket.updated_at,
        id: view.ticket.id.0,
    });
    Ok(Page { items, next })
}

/// One statement for each combination of filters, so that each finds its index.
fn found(filter: &TicketFilter, limit: u32) -> Step<'_> {
    let mut only: Vec<(&str, Param<'_>)> = Vec::new();
    if !filter.states.is_empty() {
        let states = column(&filter.states, |state| state.as_str());
        // Said as the partial index says it: it is used for what names its condition only.
        let open = filter
            .states
            .iter()
            .all(|state| TicketState::is_open(*state));
        let clause = match open {
            true => "t.state = ANY(#::text[]) AND t.state NOT IN ('done', 'cancelled')",
            false => "t.state = ANY(#::text[])",
        };
        only.push((clause, Box::new(states)));
    }
    if let Some(agent) = filter.agent {
        only.push(("t.agent = #", Box::new(agent.0)));
    }
    if !filter.groups.is_empty() {
        let groups = column(&filter.groups, |id| id.0);
        only.push(("t.grp = ANY(#)", Box::new(groups)));
    }
    if let Some(channel) = &filter.channel {
        only.push(("t.channel = #", Box::new(channel.as_str())));
    }
    if let Some(device) = &filter.device {
        only.push(("t.device = #", Box::new(device.as_str())));
    }
    if !filter.severities.is_empty() {
        let severities = column(&filter.severities, |severity| severity.as_str());
        only.push(("t.severity = ANY(#::text[])", Box::new(severities)));
    }
    if let Some(text) = &filter.text {
        only.push(("strpos(t.folded, #) > 0", Box::new(folded(text))));
    }
    if let Some(cursor) = &filter.cursor {
        // The first is implied by the second, which closes the pair.
        only.push(("t.updated_at <= #", Box::new(cursor.at.as_ms())));
        only.push(("(t.updated_at, t.id) < (@, #)", Box::new(cursor.id)));
    }
    let (clauses, params) = numbered_clauses(only, limit);
    let sql = format!(
        "SELECT {VIEW} FROM (
             SELECT t.* FROM ticket t WHERE {clauses}
             ORDER BY t.updated_at DESC, t.id DESC LIMIT $1
         ) t {JOINED} ORDER BY t.updated_at DESC, t.id DESC"
    );
    Step::new(sql, params)
}

pub(super) async fn entries(
    store: &PostgresStore,
    id: TicketId,
    after: u64,
    limit: u32,
) -> Result<Vec<TicketEntry>, Fail> {
    let step = Step::new(
        "SELECT ticket, pos, kind, agent, message, occurred_at, text, data, at FROM ticket_entry
         WHERE ticket = $1 AND pos > $2 ORDER BY pos LIMIT $3",
        params![id.0, int(after), i64::from(limit.min(ROWS_MAX))],
    );
    store.read(step).await?.all(tickets::entry)
}

pub(super) async fn device(
    store: &PostgresStore,
    thread: ThreadId,
) -> Result<Option<(Device, u64)>, Fail> {
    let step = Step::new(select_device!("WHERE d.thread = $1"), params![thread.0]);
    store.read(step).await?.one(tickets::device)
}
