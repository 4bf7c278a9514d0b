//! Reading tickets: lists, one with its device as it stands, its history.

mod acts;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use patchbay_message::{MessageId, Severity};
use patchbay_store::{MessageRow, TicketEntry, TicketFilter, TicketState, TicketView};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    missing,
    page::{bad, cursor, cursor_text, id, limit, parsed},
};
use crate::{
    Api, Problem,
    auth::Who,
    view::{EntryShown, List, TicketDetail, TicketShown},
};

pub(super) use acts::{
    __path_assign, __path_cancel, __path_confirm, __path_edit, __path_note, __path_reopen,
    __path_reply, assign, cancel, confirm, edit, note, reopen, reply,
};

/// A device's name in a filter, bytes: what an address may have.
const DEVICE_MAX: usize = 512;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// `mine` (open ones of the token's agent), `waiting`, `open`, `closed` or `all`.
    view: Option<String>,
    /// States, separated by commas.
    state: Option<String>,
    /// Severities, separated by commas.
    severity: Option<String>,
    group: Option<String>,
    agent: Option<String>,
    channel: Option<String>,
    /// The device's address, as a whole.
    device: Option<String>,
    /// In device, code or title; a ticket's number finds that ticket.
    q: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

impl Filter {
    /// What is asked for; none if nothing can be it.
    fn read(&self, who: &Who) -> Result<Option<TicketFilter>, Problem> {
        let mut agent = parsed(self.agent.as_deref(), "agent")?;
        let view = match self.view.as_deref() {
            None | Some("all") => Vec::new(),
            Some("mine") => {
                agent = Some(who.must_be_agent()?);
                states(TicketState::is_open)
            }
            Some("waiting") => states(TicketState::is_queued),
            Some("open") => states(TicketState::is_open),
            Some("closed") => states(|state| !state.is_open()),
            Some(_) => return Err(bad("view", "is one of mine, waiting, open, closed, all")),
        };
        let mut asked = Vec::new();
        for word in words(self.state.as_deref()) {
            let state = TicketState::from_word(word);
            asked.push(state.ok_or_else(|| bad("state", "has an unknown state"))?);
        }
        let states = match (view.is_empty(), asked.is_empty()) {
            (true, _) => asked,
            (_, true) => view,
            _ => {
                asked.retain(|state| view.contains(state));
                if asked.is_empty() {
                    return Ok(None);
                }
                asked
            }
        };
        let mut severities = Vec::new();
        for word in words(self.severity.as_deref()) {
            severities.push(severity(word)?);
        }
        let device = self.device.clone().filter(|device| !device.is_empty());
        if (device.as_ref()).is_some_and(|device| device.len() > DEVICE_MAX) {
            return Err(bad("device", "is too long"));
        }
        Ok(Some(TicketFilter {
            states,
            agent,
            groups: parsed(self.group.as_deref(), "group")?
                .into_iter()
                .collect(),
            channel: parsed(self.channel.as_deref(), "channel")?,
            device,
            severities,
            text: self.q.clone().filter(|text| !text.is_empty()),
            cursor: cursor(self.cursor.as_deref())?,
            limit: limit(self.limit),
        }))
    }
}

fn states(which: impl Fn(TicketState) -> bool) -> Vec<TicketState> {
    let all = TicketState::ALL.iter().copied();
    all.filter(|state| which(*state)).collect()
}

fn words(text: Option<&str>) -> impl Iterator<Item = &str> {
    let words = text.unwrap_or_default().split(',');
    words.filter(|word| !word.is_empty())
}

/// A severity people can choose: one of the known ones.
fn severity(word: &str) -> Result<Severity, Problem> {
    if Severity::WORDS.contains(&word) {
        return Ok(word.into());
    }
    let why = format!("is one of {}", Severity::WORDS.join(", "));
    Err(bad("severity", &why))
}

/// `T-2026-000123` as year and number.
fn numbered(text: &str) -> Option<(i16, u32)> {
    let text = text.trim();
    let rest = text
        .strip_prefix("T-")
        .or_else(|| text.strip_prefix("t-"))?;
    let (year, number) = rest.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(year) || !digits(number) {
        return None;
    }
    Some((year.parse().ok()?, number.parse().ok()?))
}

/// A page of tickets, newest activity first.
#[utoipa::path(get, path = "/tickets", params(Filter),
    responses((status = 200, body = List<TicketShown>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<Json<List<TicketShown>>, Problem> {
    let number = filter.q.as_deref().and_then(numbered);
    let asked = filter.read(&who)?;
    let (views, next) = match (asked, number) {
        (None, _) => (Vec::new(), None),
        (_, Some((year, number))) => {
            let found = api.store.ticket_numbered(year, number).await?;
            (found.into_iter().collect(), None)
        }
        (Some(asked), None) => {
            let page = api.store.tickets(&asked).await?;
            (page.items, page.next)
        }
    };
    let names = api.directory.names().await?;
    let shown = |view: TicketView| TicketShown::new(&view, &names, api.kind_of(&view));
    Ok(Json(List {
        items: views.into_iter().map(shown).collect(),
        next: next.as_ref().map(cursor_text),
    }))
}

/// One ticket, by id or number, with its device as it stands now.
#[utoipa::path(get, path = "/tickets/{id}", params(("id" = String, Path)),
    responses((status = 200, body = TicketDetail)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    _: Who,
    path: Path<String>,
) -> Result<Json<TicketDetail>, Problem> {
    let view = api.ticket(path).await?;
    let names = api.directory.names().await?;
    let kind = api.kind_of(&view);
    Ok(Json(TicketDetail::new(view, &names, kind)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    /// Those after this `pos`; from the beginning by default.
    after: Option<u64>,
    limit: Option<u32>,
}

/// A page of a ticket's history, oldest first, with the messages it is about. `next` is the `after` of
/// the page that follows.
#[utoipa::path(get, path = "/tickets/{id}/history", params(("id" = String, Path), Window),
    responses((status = 200, body = List<EntryShown>)))]
pub(super) async fn history(
    State(api): State<Arc<Api>>,
    _: Who,
    path: Path<String>,
    Query(window): Query<Window>,
) -> Result<Json<List<EntryShown>>, Problem> {
    let ticket = api.ticket(path).await?.ticket;
    let limit = limit(window.limit);
    let after = window.after.unwrap_or_default();
    let entries = api.store.ticket_entries(ticket.id, after, limit).await?;
    let last = entries.last().map(|entry| entry.pos);
    let next = last.filter(|last| entries.len() >= limit as usize && *last < ticket.last_pos);
    let items = api.entries_shown(entries).await?;
    Ok(Json(List {
        items,
        next: next.map(|last| last.to_string()),
    }))
}

impl Api {
    /// The ticket a path names, by id or by number.
    async fn ticket(&self, path: Path<String>) -> Result<TicketView, Problem> {
        let view = match numbered(&path.0) {
            Some((year, number)) => self.store.ticket_numbered(year, number).await?,
            None => self.store.ticket(id(path, "ticket")?).await?,
        };
        view.ok_or_else(|| missing("ticket"))
    }

    /// The kind of a ticket's channel; empty if that is not configured any more.
    pub(crate) fn kind_of(&self, view: &TicketView) -> String {
        let channels = &self.options.channels;
        let found = channels.iter().find(|(id, _)| *id == view.ticket.channel);
        found.map_or_else(String::new, |(_, kind)| kind.clone())
    }

    async fn entries_shown(&self, entries: Vec<TicketEntry>) -> Result<Vec<EntryShown>, Problem> {
        // One message may be what several entries are about.
        let mut ids: Vec<MessageId> = entries
            .iter()
            .filter_map(|entry| entry.message_id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = self.store.message_rows(&ids).await?;
        let messages: HashMap<MessageId, MessageRow> =
            rows.into_iter().map(|row| (row.id, row)).collect();
        let names = self.directory.names().await?;
        let shown = |entry: TicketEntry| {
            let message = entry.message_id.and_then(|id| messages.get(&id));
            EntryShown::new(entry, message.cloned(), &names)
        };
        Ok(entries.into_iter().map(shown).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_for_people_is_read_as_year_and_number() {
        assert_eq!(numbered("T-2026-000123"), Some((2026, 123)));
        assert_eq!(numbered(" t-2026-1234567 "), Some((2026, 1_234_567)));
        for text in [
            "2026-000123",
            "T-2026",
            "T-2026-",
            "T--000123",
            "T-2026-+12",
            "T-99999-1",
            "T-2026-99999999999",
            "",
        ] {
            assert_eq!(numbered(text), None, "{text}");
        }
    }
}
