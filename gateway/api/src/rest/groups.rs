//! Groups of agents.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use patchbay_message::{AgentId, ChannelId, GroupId};
use patchbay_store::{Group, Role, Strategy};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    missing,
    page::{Body, bad, id},
};
use crate::{
    Api, Problem,
    auth::Who,
    view::{GroupShown, List},
};

/// Every group.
#[utoipa::path(get, path = "/groups", responses((status = 200, body = List<GroupShown>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: Who,
) -> Result<Json<List<GroupShown>>, Problem> {
    let items = api
        .store
        .groups()
        .await?
        .into_iter()
        .map(GroupShown::from)
        .collect();
    Ok(Json(List { items, next: None }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupAsked {
    name: Option<String>,
    #[schema(value_type = Option<String>)]
    strategy: Option<Strategy>,
    #[schema(value_type = Option<Vec<String>>)]
    members: Option<Vec<AgentId>>,
    #[schema(value_type = Option<Vec<String>>)]
    channels: Option<Vec<ChannelId>>,
}

/// Creates a group: `name` is needed.
#[utoipa::path(post, path = "/groups", request_body = GroupAsked,
    responses((status = 201, body = GroupShown)))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    who: Who,
    Body(asked): Body<GroupAsked>,
) -> Result<(StatusCode, Json<GroupShown>), Problem> {
    who.must_be(Role::Admin)?;
    let group = Group {
        id: GroupId::new(),
        name: asked.name.ok_or_else(|| bad("name", "is missing"))?,
        strategy: asked.strategy.unwrap_or(Strategy::RoundRobin),
        members: asked.members.unwrap_or_default(),
        channels: asked.channels.unwrap_or_default(),
    };
    save(&api, &who, &group, "group.create").await?;
    Ok((StatusCode::CREATED, Json(group.into())))
}

/// Changes what is given.
#[utoipa::path(patch, path = "/groups/{id}", params(("id" = String, Path)), request_body = GroupAsked,
    responses((status = 200, body = GroupShown)))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    Body(asked): Body<GroupAsked>,
) -> Result<Json<GroupShown>, Problem> {
    who.must_be(Role::Admin)?;
    let id: GroupId = id(path, "group")?;
    let group = api
        .store
        .groups()
        .await?
        .into_iter()
        .find(|group| group.id == id);
    let group = group.ok_or_else(|| missing("group"))?;
    let group = Group {
        id,
        name: asked.name.unwrap_or(group.name),
        strategy: asked.strategy.unwrap_or(group.strategy),
        members: asked.members.unwrap_or(group.members),
        channels: asked.channels.unwrap_or(group.channels),
    };
    save(&api, &who, &group, "group.change").await?;
    Ok(Json(group.into()))
}

/// Deletes a group that nobody waits in.
#[utoipa::path(delete, path = "/groups/{id}", params(("id" = String, Path)), responses((status = 204)))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
) -> Result<StatusCode, Problem> {
    who.must_be(Role::Admin)?;
    let id: GroupId = id(path, "group")?;
    api.store.delete_group(id).await?;
    api.audit(&who, "group.delete", &id, json!({})).await?;
    api.changed();
    Ok(StatusCode::NO_CONTENT)
}

async fn save(api: &Api, who: &Who, group: &Group, action: &'static str) -> Result<(), Problem> {
    if let Some(unknown) = group.channels.iter().find(|id| !api.knows(id)) {
        return Err(bad(
            "channels",
            &format!("has {unknown}, which is not configured"),
        ));
    }
    api.store.save_group(group).await?;
    let detail = json!({ "members": group.members.len(), "channels": group.channels });
    api.audit(who, action, &group.id, detail).await?;
    api.changed();
    Ok(())
}
