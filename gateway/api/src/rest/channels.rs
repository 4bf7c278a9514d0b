//! Channels: how they are doing; pause and resume.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use patchbay_message::{ChannelId, Time};
use patchbay_store::{ChannelState, Role, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    missing,
    page::{Body, bad, id},
};
use crate::{Api, Problem, auth::Who, view::List};

/// A reason, characters.
const REASON_MAX: usize = 500;

/// The last thing that went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastError {
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Time>,
    detail: String,
}

/// A configured channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelShown {
    #[schema(value_type = String)]
    pub(crate) id: ChannelId,
    kind: String,
    /// `running`, `paused` or `failing`.
    state: &'static str,
    reason: Option<String>,
    /// Rests by itself until then.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
    /// Outbounds that wait.
    backlog: u64,
    last_error: Option<LastError>,
}

impl ChannelShown {
    fn new((id, kind): &(ChannelId, String), state: Option<ChannelState>, now: Time) -> Self {
        let (id, kind) = (id.clone(), kind.clone());
        let Some(known) = state else {
            return Self {
                id,
                kind,
                state: "running",
                reason: None,
                until: None,
                backlog: 0,
                last_error: None,
            };
        };
        let until = known.until.filter(|until| *until > now);
        let state = match (&known.paused, until) {
            (Some(_), _) => "paused",
            (None, Some(_)) => "failing",
            (None, None) => "running",
        };
        let at = known.last_error_at;
        let last_error = known.last_error.map(|detail| LastError { at, detail });
        Self {
            id,
            kind,
            state,
            reason: known.paused,
            until,
            backlog: known.parked,
            last_error,
        }
    }
}

/// Every configured channel.
#[utoipa::path(get, path = "/channels", responses((status = 200, body = List<ChannelShown>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: Who,
) -> Result<Json<List<ChannelShown>>, Problem> {
    let items = channels(&api).await?;
    Ok(Json(List { items, next: None }))
}

/// Every configured channel as it is now.
pub(crate) async fn channels(api: &Api) -> Result<Vec<ChannelShown>, StoreError> {
    let mut states = api.store.channel_states().await?;
    let now = api.clock.now();
    let mut state_of = |id: &ChannelId| {
        let found = states.iter().position(|state| state.channel == *id)?;
        Some(states.swap_remove(found))
    };
    let configured = api.options.channels.iter();
    Ok(configured
        .map(|channel| ChannelShown::new(channel, state_of(&channel.0), now))
        .collect())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseAsked {
    /// Why, for whoever asks later.
    reason: String,
}

/// Sends nothing on a channel until it is resumed; order is kept.
#[utoipa::path(post, path = "/channels/{id}/pause", params(("id" = String, Path)),
    request_body = PauseAsked, responses((status = 200, body = ChannelShown)))]
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    Body(asked): Body<PauseAsked>,
) -> Result<Json<ChannelShown>, Problem> {
    if asked.reason.trim().is_empty() || asked.reason.chars().count() > REASON_MAX {
        return Err(bad("reason", "is empty or too long"));
    }
    set(&api, &who, path, Some(&asked.reason), "channel.pause").await
}

/// Sends again, the first one first.
#[utoipa::path(post, path = "/channels/{id}/resume", params(("id" = String, Path)),
    responses((status = 200, body = ChannelShown)))]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
) -> Result<Json<ChannelShown>, Problem> {
    set(&api, &who, path, None, "channel.resume").await
}

async fn set(
    api: &Api,
    who: &Who,
    path: Path<String>,
    reason: Option<&str>,
    action: &'static str,
) -> Result<Json<ChannelShown>, Problem> {
    who.must_be(Role::Supervisor)?;
    let id: ChannelId = id(path, "channel")?;
    if !api.knows(&id) {
        return Err(missing("channel"));
    }
    api.store.pause_channel(&id, reason).await?;
    api.nudge("channel", &json!({ "channel": id, "paused": reason }));
    api.changed();
    api.audit(who, action, &id, json!({ "reason": reason }))
        .await?;
    let shown = channels(api).await?;
    let shown = shown.into_iter().find(|channel| channel.id == id);
    shown.map(Json).ok_or_else(|| missing("channel"))
}
