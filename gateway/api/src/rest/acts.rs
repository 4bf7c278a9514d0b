//! What agents do to conversations. Everything that lasts is a command.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use patchbay_bus::Mailbox;
use patchbay_message::{
    AgentId, Command, CommandId, CommandName, Content, GroupId, LiveSignal, Media, Part,
    SignalBody, Time,
};
use patchbay_store::{Changes, Role};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    issue::{needed_key, pending},
    page::{Body, bad, id, optional},
};
use crate::{Api, Problem, auth::Who, feed::Replying, view::OutcomeShown};

/// A note, characters.
const NOTE_MAX: usize = 20_000;
/// How long a reply may wait to be sent, seconds: 30 days.
const EXPIRES_MAX: u32 = 30 * 24 * 60 * 60;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplyAsked {
    #[schema(value_type = Vec<Object>)]
    content: Vec<Content>,
    /// The version that was seen; another one refuses the reply.
    version: Option<i64>,
    /// Seconds until the reply is not to be sent any more; by default as the channel says.
    expires_in: Option<u32>,
}

impl ReplyAsked {
    /// What can be sent, as a command says it.
    pub(super) fn read(self, now: Time) -> Result<impl FnOnce(&mut Command), Problem> {
        if self.content.is_empty() {
            return Err(bad("content", "is empty"));
        }
        // On the bus an unknown part is kept as it came; what an agent sends somebody has to understand.
        let unknown = |part: &Content| matches!(part, Content::Other(_));
        if let Some(n) = self.content.iter().position(unknown) {
            let known = Part::TYPES.join(", ");
            let why = format!("has no `type` that is known: {known}");
            return Err(bad(&format!("content[{n}]"), &why));
        }
        if (self.expires_in).is_some_and(|seconds| !(1..=EXPIRES_MAX).contains(&seconds)) {
            let why = format!("is 1 to {EXPIRES_MAX} seconds");
            return Err(bad("expires_in", &why));
        }
        let after = |seconds: u32| now.plus(Duration::from_secs(seconds.into()));
        let expires_at = self.expires_in.map(after);
        Ok(move |command: &mut Command| {
            command.expires_at = expires_at;
            command.content = self.content;
            command.expected_version = self.version;
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoteAsked {
    text: String,
}

impl NoteAsked {
    /// The note, as a command says it.
    pub(super) fn read(self) -> Result<impl FnOnce(&mut Command), Problem> {
        if self.text.trim().is_empty() || self.text.chars().count() > NOTE_MAX {
            return Err(bad("text", "is empty or too long"));
        }
        Ok(|command: &mut Command| command.content = vec![Content::text(self.text)])
    }
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

impl AssignAsked {
    /// To whom, as a command says it.
    pub(super) fn set(&self, command: &mut Command) {
        command.assignee = self.agent_id;
        command.group = self.group_id;
        command.expected_version = self.version;
    }
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
    let set = asked.read(api.clock.now())?;
    let key = needed_key(&headers)?;
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
    let set = asked.read()?;
    let key = needed_key(&headers)?;
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
    let set = |command: &mut Command| asked.set(command);
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
    let asked: ReopenAsked = optional(&body)?;
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

impl Api {
    fn signal(&self, signal: &LiveSignal) {
        if let Ok(body) = serde_json::to_vec(signal) {
            self.bus
                .nudge(&Mailbox::Event(LiveSignal::MAILBOX.to_owned()), body.into());
        }
    }
}
