//! What agents do to conversations. Everything that lasts is a command.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use patchbay_bus::Mailbox;
use patchbay_message::{
    AgentId, Command, CommandId, CommandName, Content, GroupId, LiveSignal, Media, OutcomeStatus,
    Part, SignalBody, Time,
};
use patchbay_store::{Changes, Role};
use serde::Deserialize;
use utoipa::ToSchema;

use super::page::{Body, bad, id};
use crate::{
    Api, Problem,
    auth::Who,
    feed::Replying,
    view::{MessageShown, OutcomeShown},
};

/// An idempotency key, bytes.
const KEY_MAX: usize = 200;
/// A note, characters.
const NOTE_MAX: usize = 20_000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplyAsked {
    #[schema(value_type = Vec<Object>)]
    content: Vec<Content>,
    /// The conversation's version that was seen; another one refuses the reply.
    version: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoteAsked {
    text: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssignAsked {
    #[schema(value_type = Option<String>, format = "uuid")]
    agent_id: Option<AgentId>,
    #[schema(value_type = Option<String>, format = "uuid")]
    group_id: Option<GroupId>,
    version: Option<i64>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CloseAsked {
    /// Done, and opened again by the contact's next message; else over.
    resolved: bool,
    version: Option<i64>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReopenAsked {
    version: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnoozeAsked {
    #[schema(value_type = String, format = DateTime)]
    until: Time,
    version: Option<i64>,
}

/// Sends a reply to the contact.
#[utoipa::path(post, path = "/conversations/{id}/reply", request_body = ReplyAsked,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(super) async fn reply(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<ReplyAsked>,
) -> Result<Response, Problem> {
    if asked.content.is_empty() {
        return Err(bad("content", "is empty"));
    }
    // On the bus an unknown part is kept as it came; what an agent sends somebody has to understand.
    let unknown = |part: &Content| matches!(part, Content::Other(_));
    if let Some(n) = asked.content.iter().position(unknown) {
        let known = Part::TYPES.join(", ");
        let why = format!("has no `type` that is known: {known}");
        return Err(bad(&format!("content[{n}]"), &why));
    }
    let key = needed_key(&headers)?;
    let set = |command: &mut Command| {
        command.content = asked.content;
        command.expected_version = asked.version;
    };
    api.act(&who, path, CommandName::Reply, Some(key), &headers, set)
        .await
}

/// Keeps a note that the contact never sees.
#[utoipa::path(post, path = "/conversations/{id}/note", request_body = NoteAsked,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(super) async fn note(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<NoteAsked>,
) -> Result<Response, Problem> {
    if asked.text.trim().is_empty() || asked.text.chars().count() > NOTE_MAX {
        return Err(bad("text", "is empty or too long"));
    }
    let key = needed_key(&headers)?;
    let set = |command: &mut Command| command.content = vec![Content::text(asked.text)];
    api.act(&who, path, CommandName::Note, Some(key), &headers, set)
        .await
}

/// Gives a conversation to an agent, to a group's queue, or (neither given) to the waiting queue.
#[utoipa::path(post, path = "/conversations/{id}/assign", request_body = AssignAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(super) async fn assign(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<AssignAsked>,
) -> Result<Response, Problem> {
    let set = |command: &mut Command| {
        command.assignee = asked.agent_id;
        command.group = asked.group_id;
        command.expected_version = asked.version;
    };
    api.act(&who, path, CommandName::Assign, None, &headers, set)
        .await
}

/// Resolves or closes a conversation.
#[utoipa::path(post, path = "/conversations/{id}/close", request_body = CloseAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(super) async fn close(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<CloseAsked>,
) -> Result<Response, Problem> {
    let name = if asked.resolved {
        CommandName::Resolve
    } else {
        CommandName::Close
    };
    let set = |command: &mut Command| command.expected_version = asked.version;
    api.act(&who, path, name, None, &headers, set).await
}

/// Takes a conversation up again.
#[utoipa::path(post, path = "/conversations/{id}/reopen", request_body = ReopenAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(super) async fn reopen(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    // A body is not needed.
    let asked = match body.as_ref() {
        [] => ReopenAsked::default(),
        body => serde_json::from_slice(body)
            .map_err(|error| bad("body", &format!("cannot be read: {error}")))?,
    };
    let set = |command: &mut Command| command.expected_version = asked.version;
    api.act(&who, path, CommandName::Reopen, None, &headers, set)
        .await
}

/// Lets a conversation rest.
#[utoipa::path(post, path = "/conversations/{id}/snooze", request_body = SnoozeAsked,
    params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(super) async fn snooze(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    headers: HeaderMap,
    Body(asked): Body<SnoozeAsked>,
) -> Result<Response, Problem> {
    if asked.until <= api.clock.now() {
        return Err(bad("until", "is not in the future"));
    }
    let set = |command: &mut Command| {
        command.until = Some(asked.until);
        command.expected_version = asked.version;
    };
    api.act(&who, path, CommandName::Snooze, None, &headers, set)
        .await
}

/// How a command ended.
#[utoipa::path(get, path = "/commands/{id}", params(("id" = String, Path)),
    responses((status = 200, body = OutcomeShown), (status = 202, body = OutcomeShown)))]
pub(super) async fn outcome(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
) -> Result<Response, Problem> {
    who.must_be(Role::Agent)?;
    let id: CommandId = id(path, "command")?;
    match api.store.outcome(id).await? {
        Some(outcome) => {
            let mut shown = OutcomeShown::new(outcome);
            api.add_message(&mut shown).await?;
            Ok(Json(shown).into_response())
        }
        None => Ok(pending(id)),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TypingAsked {
    on: bool,
}

/// Tells the contact, and the other agents, that the agent types or has stopped.
#[utoipa::path(post, path = "/conversations/{id}/typing", request_body = TypingAsked,
    params(("id" = String, Path)), responses((status = 204)))]
pub(super) async fn typing(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    Body(asked): Body<TypingAsked>,
) -> Result<StatusCode, Problem> {
    who.must_be(Role::Agent)?;
    let agent_id = who.must_be_agent()?;
    let conversation_id = id(path, "conversation")?;
    let place = api.place(conversation_id).await?;
    let names = api.directory.names().await?;
    let name = names.agents.get(&agent_id).map(|agent| agent.name.clone());
    let body = SignalBody::Typing {
        name: name.clone(),
        on: asked.on,
    };
    api.signal(&LiveSignal {
        thread_id: place.thread,
        body,
    });
    let name = name.unwrap_or_default();
    api.nudge_replying(&Replying {
        conversation_id,
        agent_id,
        name,
        on: asked.on,
    });
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadAsked {
    /// Everything up to this `seq` was read.
    seq: u64,
}

/// The agent has read the conversation; the contact is shown how far.
#[utoipa::path(post, path = "/conversations/{id}/read", request_body = ReadAsked,
    params(("id" = String, Path)), responses((status = 204)))]
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    Body(asked): Body<ReadAsked>,
) -> Result<StatusCode, Problem> {
    who.must_be(Role::Agent)?;
    let view = api.conversation(path).await?;
    let changes = Changes {
        read: vec![view.conversation.id],
        ..Changes::default()
    };
    api.store.commit(changes).await?;
    let read = asked.seq.min(view.thread.last_seq);
    api.signal(&LiveSignal {
        thread_id: view.thread.id,
        body: SignalBody::Seen { read },
    });
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadName {
    name: Option<String>,
}

/// Keeps a file for a reply.
#[utoipa::path(post, path = "/uploads", params(("name" = Option<String>, Query)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Object)))]
pub(super) async fn upload(
    State(api): State<Arc<Api>>,
    who: Who,
    Query(query): Query<UploadName>,
    body: axum::body::Body,
) -> Result<(StatusCode, Json<Media>), Problem> {
    who.must_be(Role::Agent)?;
    let options = &api.options;
    let bytes_max = options.upload_bytes_max;
    let read = axum::body::to_bytes(body, usize::try_from(bytes_max).unwrap_or(usize::MAX)).await;
    let body: Bytes = read.map_err(|_| {
        let detail = format!("a file may be {bytes_max} bytes at most");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    })?;
    let name = query.name.as_deref();
    let media =
        crate::media::keep(&*api.blobs, name, bytes_max, &options.upload_types, body).await?;
    Ok((StatusCode::CREATED, Json(media)))
}

/// What is sent again under the same key is done once.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=KEY_MAX).contains(&key.len()));
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| bad("Idempotency-Key", "is 1 to 200 visible characters"))
}

fn needed_key(headers: &HeaderMap) -> Result<String, Problem> {
    key(headers)?.ok_or_else(|| bad("Idempotency-Key", "is missing"))
}

fn pending(id: CommandId) -> Response {
    let shown = OutcomeShown {
        command_id: id.to_string(),
        status: "pending",
        problem: None,
        version: None,
        message_id: None,
        message: None,
    };
    (StatusCode::ACCEPTED, Json(shown)).into_response()
}

impl Api {
    /// Issues a command and answers with its outcome: 200, 202 if it is not known yet, or the
    /// refusal's status.
    async fn act(
        &self,
        who: &Who,
        path: Path<String>,
        name: CommandName,
        given_key: Option<String>,
        headers: &HeaderMap,
        set: impl FnOnce(&mut Command),
    ) -> Result<Response, Problem> {
        who.must_be(Role::Agent)?;
        let conversation_id = id(path, "conversation")?;
        let place = self.place(conversation_id).await?;
        let given_key = match given_key {
            Some(key) => Some(key),
            None => key(headers)?,
        };
        let mut command = Command {
            agent_id: who.agent,
            ..Self::blank(name, conversation_id)
        };
        command.idempotency_key = given_key.unwrap_or(command.idempotency_key);
        set(&mut command);
        let id = command.id;
        let Some(outcome) = self.command(&place, command).await? else {
            return Ok(pending(id));
        };
        if outcome.status != OutcomeStatus::Done {
            return Err(crate::commands::problem_of(
                outcome.code.as_deref(),
                outcome.detail,
            ));
        }
        let mut shown = OutcomeShown::new(outcome);
        // RFC 7240: a client that needs no more than the outcome says so.
        let minimal = headers
            .get("prefer")
            .is_some_and(|prefer| prefer == "return=minimal");
        if !minimal {
            // It is done: a store that is away now must not make it look refused.
            let _ = self.add_message(&mut shown).await;
        }
        Ok(Json(shown).into_response())
    }

    async fn add_message(&self, shown: &mut OutcomeShown) -> Result<(), Problem> {
        if let Some(id) = shown.message_id {
            shown.message = self.store.message(id).await?.map(MessageShown::from);
        }
        Ok(())
    }

    fn signal(&self, signal: &LiveSignal) {
        if let Ok(body) = serde_json::to_vec(signal) {
            self.bus
                .nudge(&Mailbox::Event(LiveSignal::MAILBOX.to_owned()), body.into());
        }
    }
}
