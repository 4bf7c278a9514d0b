//! Agents.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use patchbay_message::{AgentId, GroupId};
use patchbay_store::{AgentUpdate, Role};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    missing,
    page::{Body, id},
};
use crate::{
    Api, Problem,
    auth::Who,
    view::{AgentShown, List},
};

/// Every agent.
#[utoipa::path(get, path = "/agents", responses((status = 200, body = List<AgentShown>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: Who,
) -> Result<Json<List<AgentShown>>, Problem> {
    let names = api.directory.names().await?;
    let agents = api.store.agents().await?;
    let items = agents
        .into_iter()
        .map(|agent| AgentShown::new(agent, &names))
        .collect();
    Ok(Json(List { items, next: None }))
}

/// One agent.
#[utoipa::path(get, path = "/agents/{id}", params(("id" = String, Path)),
    responses((status = 200, body = AgentShown)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    _: Who,
    path: Path<String>,
) -> Result<Json<AgentShown>, Problem> {
    let id: AgentId = id(path, "agent")?;
    let agent = api
        .store
        .agents()
        .await?
        .into_iter()
        .find(|agent| agent.id == id);
    let names = api.directory.names().await?;
    Ok(Json(AgentShown::new(
        agent.ok_or_else(|| missing("agent"))?,
        &names,
    )))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentAsked {
    name: Option<String>,
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    capacity: Option<u32>,
    #[schema(value_type = Option<Vec<String>>)]
    groups: Option<Vec<GroupId>>,
    active: Option<bool>,
}

/// Creates an agent: `name` and `role` are needed.
#[utoipa::path(post, path = "/agents", request_body = AgentAsked,
    responses((status = 201, body = AgentShown)))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    who: Who,
    Body(asked): Body<AgentAsked>,
) -> Result<(StatusCode, Json<AgentShown>), Problem> {
    let shown = save(&api, &who, AgentId::new(), asked, "agent.create").await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Changes what is given.
#[utoipa::path(patch, path = "/agents/{id}", params(("id" = String, Path)), request_body = AgentAsked,
    responses((status = 200, body = AgentShown)))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
    Body(asked): Body<AgentAsked>,
) -> Result<Json<AgentShown>, Problem> {
    let id: AgentId = id(path, "agent")?;
    who.must_be(Role::Admin)?;
    if !api.store.agents().await?.iter().any(|agent| agent.id == id) {
        return Err(missing("agent"));
    }
    save(&api, &who, id, asked, "agent.change").await.map(Json)
}

async fn save(
    api: &Api,
    who: &Who,
    id: AgentId,
    asked: AgentAsked,
    action: &'static str,
) -> Result<AgentShown, Problem> {
    who.must_be(Role::Admin)?;
    let AgentAsked {
        name,
        role,
        capacity,
        groups,
        active,
    } = asked;
    let detail = json!({ "role": role, "capacity": capacity, "active": active });
    let update = AgentUpdate {
        id,
        name,
        role,
        capacity,
        groups,
        active,
    };
    let agent = api.store.save_agent(&update).await?;
    api.audit(who, action, &id, detail).await?;
    // Rights may have changed.
    api.guard.forget();
    api.changed();
    let names = api.directory.names().await?;
    Ok(AgentShown::new(agent, &names))
}
