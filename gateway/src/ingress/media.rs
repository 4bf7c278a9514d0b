//! Files over HTTP; what they are and how they are kept is the API's, see [`patchbay_api::media`].

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use patchbay_store::blobs::Blobs;

use super::Ingress;

/// Keeps an upload and answers 201 with its description.
pub(super) async fn upload(
    blobs: &dyn Blobs,
    name: Option<String>,
    bytes_max: u64,
    types: &[String],
    body: Bytes,
) -> Response {
    match patchbay_api::media::keep(blobs, name.as_deref(), bytes_max, types, body).await {
        Ok(media) => (StatusCode::CREATED, Json(media)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// `/media/{token}`.
pub(super) async fn download(
    State(ingress): State<Arc<Ingress>>,
    Path(token): Path<String>,
) -> Response {
    patchbay_api::media::give(&*ingress.blobs, &token).await
}
