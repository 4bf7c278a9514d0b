//! The agent a token speaks for.

use std::sync::Arc;

use axum::{Json, extract::State};
use patchbay_store::{Presence, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::Body;
use crate::{Api, Problem, auth::Who, view::AgentShown};

/// Who the token is: an agent, or only a role.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Me {
    /// The agent it speaks for; what it may do is the token's role.
    Agent(AgentShown),
    /// A machine.
    Role {
        /// Always null.
        id: Option<String>,
        /// What it may do.
        #[schema(value_type = String)]
        role: Role,
    },
}

/// Who am I?
#[utoipa::path(get, path = "/me", responses((status = 200, body = Me)))]
pub(super) async fn show(State(api): State<Arc<Api>>, who: Who) -> Result<Json<Me>, Problem> {
    let Some(id) = who.agent else {
        return Ok(Json(Me::Role {
            id: None,
            role: who.role,
        }));
    };
    let agents = api.store.agents().await?;
    let agent = agents.into_iter().find(|agent| agent.id == id);
    let agent = agent.ok_or_else(|| super::missing("agent"))?;
    let names = api.directory.names().await?;
    let shown = AgentShown::new(agent, &names);
    Ok(Json(Me::Agent(AgentShown {
        role: who.role,
        ..shown
    })))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PresenceAsked {
    #[schema(value_type = String)]
    presence: Presence,
}

/// Sets the agent's presence; `online` ones are assigned to.
#[utoipa::path(put, path = "/me/presence", request_body = PresenceAsked,
    responses((status = 200, body = AgentShown)))]
pub(super) async fn presence(
    State(api): State<Arc<Api>>,
    who: Who,
    Body(asked): Body<PresenceAsked>,
) -> Result<Json<AgentShown>, Problem> {
    who.must_be(Role::Agent)?;
    let agent = api
        .store
        .presence(who.must_be_agent()?, asked.presence)
        .await?;
    api.changed();
    let names = api.directory.names().await?;
    let shown = AgentShown::new(agent, &names);
    Ok(Json(AgentShown {
        role: who.role,
        ..shown
    }))
}
