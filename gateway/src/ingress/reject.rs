//! What was not taken, as a status and a problem document; counted by reason.

use std::time::Duration;

use axum::http::StatusCode;
use patchbay_api::Problem;
use patchbay_bus::PublishError;
use patchbay_sdk::Reject;

use crate::pipeline::NotTaken;

/// How a refusal is told: over HTTP by status, on a socket by code.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: String,
    pub(super) retry_after: Option<Duration>,
}

/// When to try again after the bus was away.
const AGAIN: Duration = Duration::from_secs(1);

impl From<&NotTaken> for Refusal {
    fn from(error: &NotTaken) -> Self {
        let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "too_large", None);
        let (status, code, retry_after) = match error {
            NotTaken::Rejected(reject) => rejected(reject),
            NotTaken::Violation(_) | NotTaken::Unavailable(PublishError::Refused(_)) => too_large,
            NotTaken::TooFast { after, .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limited", Some(*after))
            }
            NotTaken::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", Some(AGAIN))
            }
        };
        Self {
            status,
            code,
            detail: error.to_string(),
            retry_after,
        }
    }
}

fn rejected(reject: &Reject) -> (StatusCode, &'static str, Option<Duration>) {
    match reject {
        Reject::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", None),
        Reject::Stale => (StatusCode::UNAUTHORIZED, "stale", None),
        Reject::Malformed(_) => (StatusCode::BAD_REQUEST, "bad_frame", None),
        Reject::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", None),
        Reject::NotFound => (StatusCode::NOT_FOUND, "not_found", None),
        Reject::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", None),
        Reject::Refused { code, .. } => match *code {
            "too_large" => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", None),
            "unsupported" => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", None),
            _ => (StatusCode::BAD_REQUEST, "bad_frame", None),
        },
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Self::new(refusal.status, refusal.code, refusal.detail);
        Self {
            retry_after: refusal.retry_after,
            ..problem
        }
    }
}

/// Counts what a channel did not take. `code` is from a closed list: a metric label never takes
/// what came from outside.
pub(super) fn count(channel: &str, code: &'static str) {
    metrics::counter!("patchbay_ingress_rejected_total", "channel" => channel.to_owned(), "reason" => code)
        .increment(1);
}
