//! What agents do to tickets. Everything is a command through the device's own partition.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use patchbay_message::{Command, CommandName, Content};
use patchbay_store::Role;
use serde::Deserialize;
use utoipa::ToSchema;

use super::severity;
use crate::{
    Api, Problem,
    auth::Who,
    rest::{
        acts::{AssignAsked, NoteAsked, ReplyAsked},
        issue::needed_key,
        page::{Body, bad, optional},
    },
    view::OutcomeShown,
};

/// A category, characters.
const CATEGORY_MAX: usize = 100;
/// A title, characters.
const TITLE_MAX: usize = 200;
/// Why a ticket was closed or taken up again, characters.
const REASON_MAX: usize = 2_000;

/// Sends something to the device: words, or a part `command` with `name` and `arguments`.
#[utoipa::path(post, path = "/tickets/{id}/reply", request_body = ReplyAsked,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(crate) async fn reply(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<ReplyAsked>,
) -> Result<Response, Problem> {
    let set = asked.read(api.clock.now())?;
    let key = needed_key(&headers)?;
    api.work(&who, path, CommandName::Reply, Some(key), &headers, set)
        .await
}

/// Keeps a note in the ticket's history.
#[utoipa::path(post, path = "/tickets/{id}/note", request_body = NoteAsked,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(crate) async fn note(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<NoteAsked>,
) -> Result<Response, Problem> {
    let set = asked.read()?;
    let key = needed_key(&headers)?;
    api.work(&who, path, CommandName::Note, Some(key), &headers, set)
        .await
}

/// Gives a ticket to an agent, to a group's queue, or (neither given) to the waiting queue.
#[utoipa::path(post, path = "/tickets/{id}/assign", request_body = AssignAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(crate) async fn assign(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<AssignAsked>,
) -> Result<Response, Problem> {
    let set = |command: &mut Command| asked.set(command);
    api.work(&who, path, CommandName::Assign, None, &headers, set)
        .await
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TicketMoveAsked {
    version: Option<i64>,
    /// Why, for the history.
    text: Option<String>,
}

impl TicketMoveAsked {
    fn read(body: &Bytes) -> Result<impl FnOnce(&mut Command) + use<>, Problem> {
        let asked: Self = optional(body)?;
        let text = asked.text.filter(|text| !text.trim().is_empty());
        if (text.as_ref()).is_some_and(|text| text.chars().count() > REASON_MAX) {
            return Err(bad("text", "is too long"));
        }
        Ok(move |command: &mut Command| {
            command.content = text.map(Content::text).into_iter().collect();
            command.expected_version = asked.version;
        })
    }
}

/// Confirms that the work is done.
#[utoipa::path(post, path = "/tickets/{id}/confirm", request_body = TicketMoveAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(crate) async fn confirm(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let set = TicketMoveAsked::read(&body)?;
    api.work(&who, path, CommandName::Confirm, None, &headers, set)
        .await
}

/// Cancels a ticket: it is not to be worked on.
#[utoipa::path(post, path = "/tickets/{id}/cancel", request_body = TicketMoveAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let set = TicketMoveAsked::read(&body)?;
    api.work(&who, path, CommandName::Cancel, None, &headers, set)
        .await
}

/// Takes a ticket up again that was done or cancelled.
#[utoipa::path(post, path = "/tickets/{id}/reopen", request_body = TicketMoveAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(crate) async fn reopen(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let set = TicketMoveAsked::read(&body)?;
    api.work(&who, path, CommandName::Reopen, None, &headers, set)
        .await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketEditAsked {
    /// What kind of work; empty takes it away.
    category: Option<String>,
    /// `critical`, `major`, `minor` or `warning`.
    severity: Option<String>,
    title: Option<String>,
    version: Option<i64>,
}

impl TicketEditAsked {
    fn read(self) -> Result<impl FnOnce(&mut Command), Problem> {
        if self.category.is_none() && self.severity.is_none() && self.title.is_none() {
            return Err(bad("category", "is missing, and so are severity and title"));
        }
        let long = |text: &Option<String>, max| {
            (text.as_ref()).is_some_and(|text| text.chars().count() > max)
        };
        if long(&self.category, CATEGORY_MAX) {
            return Err(bad("category", "is too long"));
        }
        let empty = (self.title.as_ref()).is_some_and(|title| title.trim().is_empty());
        if empty || long(&self.title, TITLE_MAX) {
            return Err(bad("title", "is empty or too long"));
        }
        let severity = self.severity.as_deref().map(severity).transpose()?;
        Ok(move |command: &mut Command| {
            command.category = self.category;
            command.severity = severity;
            command.title = self.title;
            command.expected_version = self.version;
        })
    }
}

/// Changes what people say about a ticket: category, severity, title.
#[utoipa::path(post, path = "/tickets/{id}/edit", request_body = TicketEditAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(crate) async fn edit(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<TicketEditAsked>,
) -> Result<Response, Problem> {
    let set = asked.read()?;
    api.work(&who, path, CommandName::Edit, None, &headers, set)
        .await
}

impl Api {
    /// Issues a command to a ticket.
    async fn work(
        &self,
        who: &Who,
        path: Path<String>,
        name: CommandName,
        given_key: Option<String>,
        headers: &HeaderMap,
        set: impl FnOnce(&mut Command),
    ) -> Result<Response, Problem> {
        who.must_be(Role::Agent)?;
        let ticket = self.ticket(path).await?.ticket;
        let mut command = Self::blank(name, ticket.conversation_id);
        command.ticket_id = Some(ticket.id);
        set(&mut command);
        self.issue(who, command, given_key, headers).await
    }
}
