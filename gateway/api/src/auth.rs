//! Who asks: bearer tokens, roles, and the operator on the admin listener.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use moka::future::Cache;
use patchbay_message::{AgentId, TokenId};
use patchbay_store::{Role, Token};
use sha2::{Digest, Sha256};

use crate::{Api, Problem};

/// Every token begins with this, so that scanners find leaked ones.
pub const TOKEN_PREFIX: &str = "pbt_";
/// A revoked token may still be taken for this long.
const TOKEN_CACHE: Duration = Duration::from_secs(3);
/// Tokens kept.
const TOKENS_MAX: u64 = 10_000;

/// Whoever reaches the admin listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) role: Role,
    pub(crate) agent: Option<AgentId>,
    pub(crate) token: Option<TokenId>,
    /// Of the token's text.
    pub(crate) sha256: Option<[u8; 32]>,
}

/// What a role may do, as a number: more is more.
fn rank(role: Role) -> u8 {
    match role {
        Role::Admin => 3,
        Role::Supervisor => 2,
        Role::Agent => 1,
        Role::Auditor => 0,
    }
}

impl Who {
    /// Whether this role may do what `role` may.
    fn reaches(&self, role: Role) -> bool {
        rank(self.role) >= rank(role)
    }

    /// Refuses whoever may not do what `role` may.
    pub(crate) fn must_be(&self, role: Role) -> Result<(), Problem> {
        if self.reaches(role) {
            return Ok(());
        }
        let detail = format!("this needs the role {role}, the token has {}", self.role);
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
    }

    /// The agent the token speaks for.
    pub(crate) fn must_be_agent(&self) -> Result<AgentId, Problem> {
        let detail = "this token speaks for no agent";
        self.agent
            .ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "no_agent", detail))
    }
}

/// Knows tokens, and how fast they are used.
pub(crate) struct Guard {
    tokens: Cache<[u8; 32], Option<Arc<Token>>>,
    rates: DefaultKeyedRateLimiter<TokenId>,
}

impl Guard {
    pub(crate) fn new(requests_per_second: u32) -> Self {
        let rate = NonZeroU32::new(requests_per_second).unwrap_or(NonZeroU32::MIN);
        Self {
            tokens: Cache::builder()
                .max_capacity(TOKENS_MAX)
                .time_to_live(TOKEN_CACHE)
                .build(),
            rates: RateLimiter::keyed(Quota::per_second(rate)),
        }
    }

    /// Forgets what is cached, so that a revoked token ends here at once.
    pub(crate) fn forget(&self) {
        self.tokens.invalidate_all();
    }

    /// The token's row, if the token is valid.
    pub(crate) async fn by_sha256(
        &self,
        api: &Api,
        sha256: [u8; 32],
    ) -> Result<Option<Arc<Token>>, Problem> {
        let look = async {
            let token = api.store.token(&sha256).await;
            token
                .map(|token| token.map(Arc::new))
                .map_err(|error| Problem::unavailable(error.to_string()))
        };
        self.tokens
            .try_get_with(sha256, look)
            .await
            .map_err(|problem| (*problem).clone())
    }

    fn pace(&self, token: TokenId) -> Result<(), Problem> {
        if self.rates.check_key(&token).is_ok() {
            return Ok(());
        }
        let detail = "this token asks too often";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        Err(Problem {
            retry_after: Some(Duration::from_secs(1)),
            ..problem
        })
    }
}

impl FromRequestParts<Arc<Api>> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        if parts.extensions.get::<Operator>().is_some() {
            return Ok(Self {
                role: Role::Admin,
                agent: None,
                token: None,
                sha256: None,
            });
        }
        let given = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let text = given
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(str::trim);
        let sha256 = text.map(|text| Sha256::digest(text.as_bytes()).into());
        let token = match sha256 {
            Some(sha256) => api.guard.by_sha256(api, sha256).await?,
            None => None,
        };
        let Some(token) = token else {
            let detail = "give a valid token: `Authorization: Bearer ...`";
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                detail,
            ));
        };
        api.guard.pace(token.id)?;
        Ok(Self {
            role: role_now(api, &token).await?,
            agent: token.agent_id,
            token: Some(token.id),
            sha256,
        })
    }
}

/// A token allows what it was made for, but never more than its agent may do now.
async fn role_now(api: &Api, token: &Token) -> Result<Role, Problem> {
    let Some(id) = token.agent_id else {
        return Ok(token.role);
    };
    let names = api.directory.names().await?;
    let agent = names.agents.get(&id);
    let less = agent.filter(|agent| rank(agent.role) < rank(token.role));
    Ok(less.map_or(token.role, |agent| agent.role))
}

/// The admin listener asks for no token, so no page in a browser may reach it: a cross-site request
/// carries `Origin` or `Sec-Fetch-Site`, and a rebound name is no address (Fetch standard).
pub(crate) async fn no_browser(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok();
    if browser || !address {
        let detail =
            "the admin listener is for programs, not for browsers: name it by its IP address";
        return Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response();
    }
    next.run(request).await
}
