//! Requests below `/channels/{id}`: providers' pushes, and what clients do without a socket.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Path, Request, State},
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use patchbay_api::Problem;
use patchbay_sdk::{Ask, HttpIn, Link, LiveEvent, Reply, Session, Wire};
use patchbay_sinks::OpenChannel;

use super::{
    Ingress, held, media, origin, poll, pull,
    reject::{Refusal, count},
};
use crate::{
    live::Entered,
    pipeline::{NotTaken, Read},
};

/// A request to a channel.
pub(super) async fn request(
    State(ingress): State<Arc<Ingress>>,
    Path(path): Path<Vec<(String, String)>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let id = path.first().map_or("", |(_, id)| id.as_str());
    let Some(channel) = ingress.channels.get(id) else {
        count("unknown", "unknown_channel");
        return Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_channel",
            "there is no such channel",
        )
        .into_response();
    };
    let (parts, body) = request.into_parts();
    if !channel.channel.links().contains(&Link::Socket) {
        return answer(&ingress, &channel, peer, &parts, body).await;
    }
    // Only channels that browsers talk to have origins and CORS.
    let origins = channel.channel.policy().origins;
    if !origin::allowed(&origins, &ingress.pipeline.public_url, &parts.headers) {
        count(id, "origin");
        let detail = "this page's origin is not on the channel's list";
        return Problem::new(StatusCode::FORBIDDEN, "origin", detail).into_response();
    }
    let mut response = if parts.method == Method::OPTIONS {
        preflight()
    } else {
        answer(&ingress, &channel, peer, &parts, body).await
    };
    response
        .headers_mut()
        .extend(origin::cors(&parts.headers).into_iter().flatten());
    response
}

fn preflight() -> Response {
    let methods = (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
    let age = (header::ACCESS_CONTROL_MAX_AGE, "600");
    (StatusCode::NO_CONTENT, [methods, age]).into_response()
}

/// Reads, publishes, answers; what is not taken is told by a problem document.
async fn answer(
    ingress: &Ingress,
    channel: &OpenChannel,
    peer: SocketAddr,
    parts: &Parts,
    body: Body,
) -> Response {
    let path = below(parts.uri.path(), channel.id.as_str());
    let bytes_max = if path == "/uploads" {
        ingress.upload_bytes_max
    } else {
        ingress.body_bytes_max
    };
    let body = match read_body(body, bytes_max).await {
        Ok(body) => body,
        Err(problem) => {
            count(channel.id.as_str(), "body");
            return problem.into_response();
        }
    };
    let wire = Wire::Http(HttpIn {
        method: &parts.method,
        path,
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body: &body,
    });
    let trace = parts
        .headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    let session = &mut Session::default();
    let read = match ingress
        .pipeline
        .read(channel, session, Some(peer.ip()), trace, wire)
    {
        Ok(read) => read,
        Err(error) => {
            let refusal = Refusal::from(&error);
            count(channel.id.as_str(), refusal.code);
            return Problem::from(refusal).into_response();
        }
    };
    for signal in &read.signals {
        ingress.pass_on(channel, signal);
    }
    let publish = ingress.pipeline.publish(&read.envelopes);
    let (published, held) = match read.slot.clone() {
        None => (publish.await, Entered::No),
        // The slot is made known beside the publish, so that the quickest reply finds it.
        Some(slot) => tokio::join!(publish, ingress.slots.enter(&channel.id, slot)),
    };
    match (published, held) {
        (Ok(()), Entered::No) => fulfil(ingress, channel, read, body).await,
        (Ok(()), held) => held::answer(ingress, held, read.confirmed).await,
        (Err(error), _) => not_taken(channel, &error, read.refused),
    }
}

/// The path below `/channels/{id}`: empty or with a slash in front.
fn below<'a>(path: &'a str, id: &str) -> &'a str {
    path.get("/channels/".len() + id.len()..)
        .unwrap_or_default()
}

async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    to_bytes(body, bytes_max).await.map_err(|error| {
        let over = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if over {
            let detail = format!("the body may be {bytes_max} bytes at most");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "bad_frame", "the body ended early")
        }
    })
}

/// The bus did not confirm: the channel's own word for "again", with a time to come back.
fn not_taken(channel: &OpenChannel, error: &NotTaken, reply: Reply) -> Response {
    let refusal = Refusal::from(error);
    count(channel.id.as_str(), refusal.code);
    tracing::warn!(channel = %channel.id, code = refusal.code, %error, "inbound not taken");
    let problem = Problem::from(refusal).into_response();
    match reply {
        Reply::Http { body, .. } if body.is_empty() => problem,
        reply => {
            let mut response = into_response(reply);
            let after = problem.headers().get(header::RETRY_AFTER).cloned();
            response
                .headers_mut()
                .extend(after.map(|after| (header::RETRY_AFTER, after)));
            response
        }
    }
}

/// Does what the adapter asks for, and answers.
async fn fulfil(ingress: &Ingress, channel: &OpenChannel, read: Read, body: Bytes) -> Response {
    for ask in read.asks {
        match ask {
            Ask::History {
                address,
                after,
                wait,
            } => {
                return poll::history(ingress, channel, &address, after, wait).await;
            }
            Ask::Upload {
                name,
                bytes_max,
                types,
            } => {
                return media::upload(&*ingress.blobs, name, bytes_max, &types, body).await;
            }
            Ask::Pull { line, hint } => {
                if let Err(error) = pull::ring(ingress, channel, &line, hint.as_ref()).await {
                    tracing::warn!(channel = %channel.id, %error, "doorbell not written down");
                    return into_response(read.refused);
                }
            }
            // Only a socket can do these.
            Ask::Register { .. } | Ask::Emit(_) | Ask::Pong { .. } | Ask::Topics { .. } => {}
        }
    }
    // A client that posts one message is told its id, in the words of its socket.
    if let ([envelope], Reply::Http { status, body, .. }) = (&read.envelopes[..], &read.confirmed)
        && body.is_empty()
        && let Some(external_id) = &envelope.external_id
        && let Some(frame) = ingress.frame(
            channel,
            &LiveEvent::Accepted {
                external_id,
                id: envelope.id,
            },
        )
    {
        return (*status, [(header::CONTENT_TYPE, "application/json")], frame).into_response();
    }
    into_response(read.confirmed)
}

pub(super) fn into_response(reply: Reply) -> Response {
    match reply {
        Reply::Http {
            status,
            headers,
            body,
        } => (status, headers, body).into_response(),
        Reply::Frames(_) => StatusCode::NO_CONTENT.into_response(),
    }
}
