//! Dead letters: look, edit, replay, drop.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use patchbay_message::{
    Command, CommandId, CommandName, ConversationId, Direction, Envelope, MessageId, Time,
};
use patchbay_store::{Changes, CommitError, DeadFilter, DeadLetter, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    missing,
    page::{Body, bad, cursor, cursor_text, id, limit, parsed},
};
use crate::{
    Api, Problem,
    auth::Who,
    commands::problem_of,
    view::{ChannelName, List},
};

/// What may become of a dead letter.
const STATUSES: [&str; 3] = ["dead", "replayed", "dropped"];
/// Characters of the preview.
const PREVIEW: usize = 120;

/// A dead letter.
#[derive(Serialize, ToSchema)]
pub(super) struct DeadShown {
    #[schema(value_type = String, format = "uuid")]
    id: MessageId,
    channel: ChannelName,
    #[schema(value_type = Option<String>, format = "uuid")]
    conversation_id: Option<ConversationId>,
    #[schema(value_type = String)]
    direction: Direction,
    reason: String,
    detail: String,
    attempts: u32,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// `dead`, `replayed` or `dropped`.
    status: String,
    preview: String,
    /// The envelope; only when one letter is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope: Option<Value>,
    /// The last exchange, redacted; only when one letter is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<Value>,
}

impl DeadShown {
    fn new(letter: DeadLetter, whole: bool) -> Self {
        let envelope = Envelope::from_slice(&letter.envelope).ok();
        let text = envelope
            .as_ref()
            .and_then(|envelope| envelope.content.first()?.as_text());
        let preview = text.unwrap_or_default().chars().take(PREVIEW).collect();
        let kind = envelope
            .as_ref()
            .map(|envelope| envelope.channel.kind.clone())
            .unwrap_or_default();
        let raw = || Value::String(String::from_utf8_lossy(&letter.envelope).into_owned());
        let shown =
            whole.then(|| serde_json::from_slice(&letter.envelope).unwrap_or_else(|_| raw()));
        Self {
            id: letter.id,
            channel: ChannelName {
                id: letter.channel,
                kind,
            },
            conversation_id: letter.conversation_id,
            direction: letter.direction,
            reason: letter.reason,
            detail: letter.detail,
            attempts: letter.attempts,
            at: letter.at,
            status: letter.status,
            preview,
            envelope: shown,
            exchange: letter.exchange.filter(|_| whole),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    channel: Option<String>,
    conversation: Option<String>,
    /// `dead` (by default), `replayed` or `dropped`.
    status: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Dead letters, newest first.
#[utoipa::path(get, path = "/dead", params(Filter), responses((status = 200, body = List<DeadShown>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<Json<List<DeadShown>>, Problem> {
    who.must_be(Role::Supervisor)?;
    let status = filter.status.filter(|status| !status.is_empty());
    if (status.as_deref()).is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(bad("status", "is one of dead, replayed, dropped"));
    }
    let filter = DeadFilter {
        channel: parsed(filter.channel.as_deref(), "channel")?,
        status,
        conversation: parsed(filter.conversation.as_deref(), "conversation")?,
        cursor: cursor(filter.cursor.as_deref())?,
        limit: limit(filter.limit),
    };
    let page = api.store.dead(&filter).await?;
    let items = page
        .items
        .into_iter()
        .map(|letter| DeadShown::new(letter, false))
        .collect();
    Ok(Json(List {
        items,
        next: page.next.as_ref().map(cursor_text),
    }))
}

/// One dead letter, with envelope and last exchange.
#[utoipa::path(get, path = "/dead/{id}", params(("id" = String, Path)),
    responses((status = 200, body = DeadShown)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
) -> Result<Json<DeadShown>, Problem> {
    who.must_be(Role::Supervisor)?;
    Ok(Json(DeadShown::new(api.dead(path).await?, true)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditAsked {
    /// The envelope as it is to be replayed.
    envelope: Value,
}

/// Changes the envelope before a replay.
#[utoipa::path(patch, path = "/dead/{id}", params(("id" = String, Path)), request_body = EditAsked,
    responses((status = 200, body = DeadShown)))]
pub(super) async fn edit(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    Body(asked): Body<EditAsked>,
) -> Result<Json<DeadShown>, Problem> {
    who.must_be(Role::Supervisor)?;
    let mut letter = api.dead(path).await?;
    let bytes = asked.envelope.to_string().into_bytes();
    let envelope =
        Envelope::from_slice(&bytes).map_err(|error| bad("envelope", &error.to_string()))?;
    still_dead(&letter)?;
    if envelope.direction != letter.direction {
        return Err(bad("envelope.direction", "cannot be changed"));
    }
    if !api.knows(&envelope.channel.id) {
        return Err(bad("envelope.channel.id", "names no configured channel"));
    }
    letter.channel = envelope.channel.id;
    letter.envelope = bytes.into();
    let changes = Changes {
        dead: vec![letter.clone()],
        ..Changes::default()
    };
    api.store.commit(changes).await?;
    api.audit(&who, "dead.edit", &letter.id, json!({})).await?;
    Ok(Json(DeadShown::new(letter, true)))
}

/// The new identity of what was replayed.
#[derive(Serialize, ToSchema)]
pub(super) struct Replayed {
    #[schema(value_type = String, format = "uuid")]
    id: MessageId,
}

/// Sends it again under a new identity: an outbound as a new reply at the end of its conversation, an
/// inbound as a new delivery. Asked twice at once, it is still sent once.
#[utoipa::path(post, path = "/dead/{id}/replay", params(("id" = String, Path)),
    responses((status = 200, body = Replayed)))]
pub(super) async fn replay(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
) -> Result<Json<Replayed>, Problem> {
    who.must_be(Role::Supervisor)?;
    let letter = api.dead(path).await?;
    still_dead(&letter)?;
    let envelope = Envelope::from_slice(&letter.envelope).map_err(|error| {
        bad(
            "envelope",
            &format!("cannot be read, edit it first: {error}"),
        )
    })?;
    let id = match letter.direction {
        Direction::Outbound => api.reply_again(&letter, envelope).await?,
        _ => api.deliver_again(&letter, envelope).await?,
    };
    let changes = Changes {
        dead_status: vec![(letter.id, "replayed")],
        ..Changes::default()
    };
    match api.store.commit(changes).await {
        // Somebody asked at the same moment: both sent the same thing under the same key.
        Ok(_) | Err(CommitError::Conflict(_)) => {}
        Err(error) => return Err(error.into()),
    }
    api.audit(&who, "dead.replay", &letter.id, json!({ "as": id }))
        .await?;
    Ok(Json(Replayed { id }))
}

/// Drops it: it is shown no more and swept later.
#[utoipa::path(delete, path = "/dead/{id}", params(("id" = String, Path)), responses((status = 204)))]
pub(super) async fn discard(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
) -> Result<StatusCode, Problem> {
    who.must_be(Role::Supervisor)?;
    let letter = api.dead(path).await?;
    still_dead(&letter)?;
    let changes = Changes {
        dead_status: vec![(letter.id, "dropped")],
        ..Changes::default()
    };
    api.store.commit(changes).await?;
    api.audit(&who, "dead.drop", &letter.id, json!({})).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    async fn dead(&self, path: Path<String>) -> Result<DeadLetter, Problem> {
        let letter = self.store.dead_letter(id(path, "dead letter")?).await?;
        letter.ok_or_else(|| missing("dead letter"))
    }

    /// The key is the dead letter's, so that two replays at once send one reply.
    async fn reply_again(
        &self,
        letter: &DeadLetter,
        envelope: Envelope,
    ) -> Result<MessageId, Problem> {
        let conversation = letter.conversation_id.or(envelope.conversation_id);
        let conversation = conversation.ok_or_else(|| missing("conversation"))?;
        let place = self.place(conversation).await?;
        let said_by = self
            .store
            .message(letter.id)
            .await?
            .and_then(|row| row.agent_id);
        let command = Command {
            agent_id: said_by,
            idempotency_key: replay_key(letter),
            content: envelope.content,
            ..Api::blank(CommandName::Reply, conversation)
        };
        let outcome = self.command(&place, command).await?;
        let outcome = outcome.ok_or_else(|| {
            Problem::unavailable("the replay's outcome is not known yet, try again")
        })?;
        if let Some(id) = outcome.message_id {
            return Ok(id);
        }
        // A refusal is remembered under its key: the next replay needs another one.
        let refused = DeadLetter {
            attempts: letter.attempts.saturating_add(1),
            ..letter.clone()
        };
        self.store
            .commit(Changes {
                dead: vec![refused],
                ..Changes::default()
            })
            .await?;
        Err(problem_of(outcome.code.as_deref(), outcome.detail))
    }

    /// The new id follows from the letter's, so that the router takes two replays at once for one.
    async fn deliver_again(
        &self,
        letter: &DeadLetter,
        mut envelope: Envelope,
    ) -> Result<MessageId, Problem> {
        let name = replay_key(letter);
        let id = MessageId(Uuid::new_v5(&letter.id.0, name.as_bytes()));
        if let Some(key) = &mut envelope.dedupe_key {
            *key = format!("{key}{name}");
        }
        if let Some(command) = &mut envelope.command {
            command.id = CommandId(id.0);
        }
        envelope.id = id;
        let partition =
            patchbay_bus::partition_of(&envelope.partition_key, self.options.partitions);
        self.publish(partition, &envelope).await?;
        Ok(id)
    }
}

fn replay_key(letter: &DeadLetter) -> String {
    format!("{}#replay-{}", letter.id, letter.attempts)
}

fn still_dead(letter: &DeadLetter) -> Result<(), Problem> {
    if letter.status == "dead" {
        return Ok(());
    }
    let detail = format!("this letter is not dead any more, it was {}", letter.status);
    Err(Problem::new(StatusCode::CONFLICT, "conflict", detail))
}
