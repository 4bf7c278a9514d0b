//! The REST endpoints, one module per thing; the OpenAPI description is made of the same functions.

mod acts;
mod agents;
mod channels;
mod conversations;
mod dead;
mod groups;
mod issue;
mod me;
mod page;
mod tickets;
mod tokens;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use patchbay_store::{CommitError, StoreError};
use serde::Serialize;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Api, Problem, auth::Who, live};

pub(crate) use channels::channels;

/// Bodies other than uploads, bytes.
const BODY_MAX: usize = 256 * 1024;
/// What an extractor says about a refusal, bytes.
const REFUSAL_MAX: usize = 4096;

#[derive(OpenApi)]
#[openapi(
    info(title = "Patchbay", description = "The agents' API. See docs/api.md.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    servers((url = "/api/v1")),
    security(("token" = [])),
    modifiers(&Bearer),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

fn documented() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(me::show))
        .routes(routes!(me::presence))
        .routes(routes!(agents::list, agents::create))
        .routes(routes!(agents::show, agents::change))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::change, groups::delete))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::show))
        .routes(routes!(conversations::messages))
        .routes(routes!(acts::reply))
        .routes(routes!(acts::note))
        .routes(routes!(acts::assign))
        .routes(routes!(acts::close))
        .routes(routes!(acts::reopen))
        .routes(routes!(acts::snooze))
        .routes(routes!(acts::typing))
        .routes(routes!(acts::read))
        .routes(routes!(acts::outcome))
        .routes(routes!(acts::upload))
        .routes(routes!(tickets::list))
        .routes(routes!(tickets::show))
        .routes(routes!(tickets::history))
        .routes(routes!(tickets::reply))
        .routes(routes!(tickets::note))
        .routes(routes!(tickets::assign))
        .routes(routes!(tickets::confirm))
        .routes(routes!(tickets::cancel))
        .routes(routes!(tickets::reopen))
        .routes(routes!(tickets::edit))
        .routes(routes!(channels::list))
        .routes(routes!(channels::pause))
        .routes(routes!(channels::resume))
        .routes(routes!(dead::list))
        .routes(routes!(dead::show, dead::edit, dead::discard))
        .routes(routes!(dead::replay))
        .routes(routes!(ticket))
}

/// The description of every endpoint.
pub(crate) fn describe() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// Everything below `/api/v1`.
pub(crate) fn routes(api: Arc<Api>) -> Router {
    let (router, description) = documented().split_for_parts();
    let description = Arc::new(description);
    let rest = router
        .route("/events", get(live::open))
        .route(
            "/openapi.json",
            get(async move || Json((*description).clone())),
        )
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such endpoint",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::map_response(spoken))
        .with_state(api);
    Router::new().nest("/api/v1", rest)
}

/// Extractors and the method table refuse in plain text; here it becomes a problem document.
async fn spoken(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let text = axum::body::to_bytes(response.into_body(), REFUSAL_MAX).await;
    let text = text.unwrap_or_default();
    let code = match status {
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported",
        _ => "bad_request",
    };
    let problem = Problem::new(status, code, String::from_utf8_lossy(&text));
    let mut response = problem.into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// A ticket for live events.
#[derive(Serialize, ToSchema)]
struct EventsTicket {
    /// For `GET /events?ticket=`, once and soon.
    ticket: String,
    /// Until then.
    #[schema(value_type = String, format = DateTime)]
    expires_at: patchbay_message::Time,
}

/// Gives a short-lived ticket for live events.
#[utoipa::path(post, path = "/events/ticket", responses((status = 200, body = EventsTicket)))]
async fn ticket(State(api): State<Arc<Api>>, who: Who) -> Json<EventsTicket> {
    let expires_at = api.clock.now().plus(api.options.ticket_ttl);
    Json(EventsTicket {
        ticket: api.tickets.issue(&who, expires_at),
        expires_at,
    })
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "store");
        Self::unavailable(error.to_string())
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => error.into(),
            CommitError::Conflict(why) => Self::new(StatusCode::CONFLICT, "conflict", why),
            CommitError::Refused(why) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", why)
            }
            CommitError::Fenced(_) => Self::unavailable(error.to_string()),
        }
    }
}

/// 404 for what is not there.
pub(crate) fn missing(what: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!("there is no such {what}"),
    )
}
