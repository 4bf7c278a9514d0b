//! Reading conversations.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use patchbay_message::ConversationId;
use patchbay_store::{
    ConversationFilter, ConversationState, ConversationView, MessagePage, ReplyStanding,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    missing,
    page::{bad, cursor, cursor_text, id, limit, parsed},
};
use crate::{
    Api, Problem,
    auth::Who,
    directory::Names,
    view::{ConversationShown, List, MessageShown, ReplyWindowShown},
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// `mine`, `waiting` or `all`.
    view: Option<String>,
    /// States, separated by commas.
    state: Option<String>,
    channel: Option<String>,
    group: Option<String>,
    agent: Option<String>,
    /// In the contact's name or address.
    q: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

impl Filter {
    fn read(&self, who: &Who) -> Result<ConversationFilter, Problem> {
        use ConversationState::{New, Open, Pending, Snoozed, Waiting};
        let mut filter = ConversationFilter {
            states: states(self.state.as_deref())?,
            agent: parsed(self.agent.as_deref(), "agent")?,
            groups: parsed(self.group.as_deref(), "group")?
                .into_iter()
                .collect(),
            channel: parsed(self.channel.as_deref(), "channel")?,
            text: self.q.clone().filter(|text| !text.is_empty()),
            cursor: cursor(self.cursor.as_deref())?,
            limit: limit(self.limit),
        };
        match self.view.as_deref() {
            None | Some("all") => {}
            Some("mine") => {
                filter.agent = Some(who.must_be_agent()?);
                if filter.states.is_empty() {
                    filter.states = vec![Open, Pending, Snoozed];
                }
            }
            Some("waiting") => filter.states = vec![New, Waiting],
            Some(_) => return Err(bad("view", "is one of mine, waiting, all")),
        }
        Ok(filter)
    }
}

fn states(text: Option<&str>) -> Result<Vec<ConversationState>, Problem> {
    let words = text
        .unwrap_or_default()
        .split(',')
        .filter(|word| !word.is_empty());
    words
        .map(|word| {
            ConversationState::from_word(word).ok_or_else(|| bad("state", "has an unknown state"))
        })
        .collect()
}

/// A page of conversations, newest activity first.
#[utoipa::path(get, path = "/conversations", params(Filter),
    responses((status = 200, body = List<ConversationShown>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<Json<List<ConversationShown>>, Problem> {
    let page = api.store.conversations(&filter.read(&who)?).await?;
    let names = api.directory.names().await?;
    let items = page
        .items
        .into_iter()
        .map(|view| api.shown(view, &names))
        .collect();
    Ok(Json(List {
        items,
        next: page.next.as_ref().map(cursor_text),
    }))
}

/// One conversation.
#[utoipa::path(get, path = "/conversations/{id}", params(("id" = String, Path)),
    responses((status = 200, body = ConversationShown)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    _: Who,
    path: Path<String>,
) -> Result<Json<ConversationShown>, Problem> {
    let view = api.conversation(path).await?;
    let names = api.directory.names().await?;
    let windows = api.store.windows(view.thread.id).await?;
    let standing = ReplyStanding::of(&windows, api.clock.now());
    Ok(Json(ConversationShown {
        reply_window: standing.map(ReplyWindowShown::from),
        ..api.shown(view, &names)
    }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    /// Those before this `pos`; the newest by default.
    before: Option<u64>,
    /// Those after this `pos`.
    after: Option<u64>,
    limit: Option<u32>,
}

/// A page of a conversation's messages, notes and notices, in order of `pos`. `next` is the `before`
/// of the page of older ones.
#[utoipa::path(get, path = "/conversations/{id}/messages", params(("id" = String, Path), Window),
    responses((status = 200, body = List<MessageShown>)))]
pub(super) async fn messages(
    State(api): State<Arc<Api>>,
    _: Who,
    path: Path<String>,
    Query(window): Query<Window>,
) -> Result<Json<List<MessageShown>>, Problem> {
    let id: ConversationId = id(path, "conversation")?;
    let limit = limit(window.limit);
    let page = match (window.after, window.before) {
        (Some(after), _) => MessagePage::After(after, limit),
        (None, before) => MessagePage::Before(before.unwrap_or(u64::MAX), limit),
    };
    let rows = api.store.messages(id, page).await?;
    if rows.is_empty() && api.store.conversation(id).await?.is_none() {
        return Err(missing("conversation"));
    }
    let older = window.after.is_none() && rows.first().is_some_and(|row| row.pos > 1);
    let next = rows
        .first()
        .filter(|_| older)
        .map(|row| row.pos.to_string());
    Ok(Json(List {
        items: rows.into_iter().map(MessageShown::from).collect(),
        next,
    }))
}

impl Api {
    pub(super) async fn conversation(
        &self,
        path: Path<String>,
    ) -> Result<ConversationView, Problem> {
        let view = self.store.conversation(id(path, "conversation")?).await?;
        view.ok_or_else(|| missing("conversation"))
    }

    pub(super) fn shown(&self, view: ConversationView, names: &Names) -> ConversationShown {
        let replying = self.feed.replying(view.conversation.id);
        ConversationShown::new(view, names, replying)
    }
}
