//! Pages: cursors, limits, and ids in paths, with clear errors.

use axum::{
    extract::{FromRequest, Path, Request, rejection::JsonRejection},
    http::StatusCode,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use patchbay_message::Time;
use patchbay_store::Cursor;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::Problem;

/// Rows of a page unless asked otherwise.
const LIMIT: u32 = 50;
/// Rows of a page at most.
const LIMIT_MAX: u32 = 200;

/// How many rows.
pub(super) fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(LIMIT).clamp(1, LIMIT_MAX)
}

/// A cursor as text.
pub(super) fn cursor_text(cursor: &Cursor) -> String {
    BASE64.encode(format!("{}.{}", cursor.at.as_ms(), cursor.id.simple()))
}

/// A text as cursor.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let read = || {
        let plain = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
        let (at, id) = plain.split_once('.')?;
        Some(Cursor {
            at: Time::from_ms(at.parse().ok()?),
            id: Uuid::parse_str(id).ok()?,
        })
    };
    read()
        .map(Some)
        .ok_or_else(|| bad("cursor", "is none of ours"))
}

/// A bad parameter.
pub(super) fn bad(what: &str, why: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_request",
        format!("`{what}` {why}"),
    )
}

/// An id in a path.
pub(super) fn id<T: std::str::FromStr>(Path(text): Path<String>, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        let detail = format!("there is no such {what}: `{shown}` is no id of one");
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    })
}

/// A parameter that has to be read from text.
pub(super) fn parsed<T: std::str::FromStr>(
    text: Option<&str>,
    what: &str,
) -> Result<Option<T>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| bad(what, "cannot be understood")))
        .transpose()
}

/// A JSON body; a bad one is told with the field's path in a problem document.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => {
                let code = match (&rejection, rejection.status()) {
                    (_, StatusCode::PAYLOAD_TOO_LARGE) => "too_large",
                    (JsonRejection::MissingJsonContentType(_), _) => "unsupported",
                    _ => "bad_request",
                };
                Err(Problem::new(
                    rejection.status(),
                    code,
                    rejection.body_text(),
                ))
            }
        }
    }
}

/// A JSON body that is not needed.
pub(super) fn optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    match body {
        [] => Ok(T::default()),
        body => serde_json::from_slice(body)
            .map_err(|error| bad("body", &format!("cannot be read: {error}"))),
    }
}
