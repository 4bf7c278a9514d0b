//! Bearer tokens: random 256 bits, of which only the SHA-256 is kept.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use patchbay_message::{AgentId, Time, TokenId};
use patchbay_store::{Role, Token};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{
    missing,
    page::{Body, bad, id},
};
use crate::{
    Api, Problem, TOKEN_PREFIX,
    auth::Who,
    view::{List, TokenShown},
};

/// Every token's row.
#[utoipa::path(get, path = "/tokens", responses((status = 200, body = List<TokenShown>)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Who,
) -> Result<Json<List<TokenShown>>, Problem> {
    who.must_be(Role::Admin)?;
    let tokens = api.store.tokens().await?;
    let items = tokens
        .into_iter()
        .map(|token| TokenShown::new(token, None))
        .collect();
    Ok(Json(List { items, next: None }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenAsked {
    /// What it is for.
    name: String,
    /// For whom it speaks; none for a machine.
    #[schema(value_type = Option<String>, format = "uuid")]
    agent_id: Option<AgentId>,
    /// What it allows; by default what the agent may do.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// Until when it is valid; for ever by default.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// Makes a token; its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", request_body = TokenAsked,
    responses((status = 201, body = TokenShown)))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    who: Who,
    Body(asked): Body<TokenAsked>,
) -> Result<(StatusCode, Json<TokenShown>), Problem> {
    who.must_be(Role::Admin)?;
    let agent = match asked.agent_id {
        Some(id) => {
            let agent = api
                .store
                .agents()
                .await?
                .into_iter()
                .find(|agent| agent.id == id);
            Some(agent.ok_or_else(|| bad("agent_id", "names no agent"))?)
        }
        None => None,
    };
    let role = asked.role.or(agent.map(|agent| agent.role));
    let token = Token {
        id: TokenId::new(),
        name: asked.name,
        role: role.ok_or_else(|| bad("role", "is needed without an agent"))?,
        agent_id: asked.agent_id,
        created_at: api.clock.now(),
        expires_at: asked.expires_at,
        revoked_at: None,
    };
    let text = format!(
        "{TOKEN_PREFIX}{}",
        BASE64.encode(rand::random::<[u8; 32]>())
    );
    api.store
        .save_token(&token, &Sha256::digest(text.as_bytes()).into())
        .await?;
    let detail = json!({ "name": token.name, "role": token.role, "agent": token.agent_id });
    api.audit(&who, "token.create", &token.id, detail).await?;
    Ok((
        StatusCode::CREATED,
        Json(TokenShown::new(token, Some(text))),
    ))
}

/// Ends a token.
#[utoipa::path(delete, path = "/tokens/{id}", params(("id" = String, Path)), responses((status = 204)))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    who: Who,
    path: Path<String>,
) -> Result<StatusCode, Problem> {
    who.must_be(Role::Admin)?;
    let id: TokenId = id(path, "token")?;
    if !api.store.revoke_token(id).await? {
        return Err(missing("token"));
    }
    api.guard.forget();
    api.audit(&who, "token.revoke", &id, json!({})).await?;
    Ok(StatusCode::NO_CONTENT)
}
