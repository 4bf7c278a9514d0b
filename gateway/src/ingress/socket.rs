//! Live connections of visitors and apps: a WebSocket below `/channels/{id}/socket`.
//!
//! One task per connection. While a publish is not confirmed nothing more is read from the client
//! (back-pressure), but pushes and heartbeats go on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, Path, Request, State, WebSocketUpgrade, ws::WebSocket},
    http::{HeaderMap, Method, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use patchbay_api::Problem;
use patchbay_sdk::{Ask, HttpIn, LinkPolicy, Session, Wire};
use patchbay_sinks::OpenChannel;

use super::{
    Ingress, origin,
    reject::{Refusal, count},
};
use crate::pipeline::NotTaken;

mod line;
mod standing;

use line::Line;

/// Read buffer of a connection, bytes: more than what people type, and it grows for what is longer.
/// The library's own default of 128 KiB costs 20 times the memory of an idle connection and half the
/// speed.
const READ_BUFFER: usize = 2048;
/// Frames waiting to be written, bytes, before the client counts as too slow.
const WRITE_BUFFER_MAX: usize = 512 * 1024;

/// A client wants to open a socket.
pub(super) async fn open(
    State(ingress): State<Arc<Ingress>>,
    Path(id): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let Some(channel) = ingress.channels.get(&id) else {
        count("unknown", "unknown_channel");
        return Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_channel",
            "there is no such channel",
        )
        .into_response();
    };
    let policy = channel.channel.policy();
    let opened = match admit(&ingress, &channel, &policy, peer, &parts) {
        Ok(opened) => opened,
        Err(problem) => return problem.into_response(),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(error) => {
            let detail = format!("this address takes WebSocket connections only: {error}");
            return Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade", detail).into_response();
        }
    };
    let frame_bytes_max = policy.frame_bytes_max;
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(frame_bytes_max)
        .max_frame_size(frame_bytes_max)
        .on_upgrade(move |socket| serve(ingress, channel, policy, peer, opened, socket))
}

/// For whom the connection speaks and what it has seen.
struct Opened {
    session: Session,
    address: String,
    after: u64,
    trace: Option<String>,
}

fn admit(
    ingress: &Ingress,
    channel: &OpenChannel,
    policy: &LinkPolicy,
    peer: SocketAddr,
    parts: &Parts,
) -> Result<Opened, Problem> {
    let refuse = |status, code, detail: &str| {
        count(channel.id.as_str(), code);
        Err(Problem::new(status, code, detail))
    };
    if !origin::allowed(
        &policy.origins,
        &ingress.pipeline.public_url,
        &parts.headers,
    ) {
        return refuse(
            StatusCode::FORBIDDEN,
            "origin",
            "this page's origin is not on the channel's list",
        );
    }
    let wire = Wire::Open(HttpIn {
        method: &Method::GET,
        path: "/socket",
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body: &[],
    });
    let trace = trace_of(&parts.headers);
    let mut session = Session::default();
    let read = ingress.pipeline.read(
        channel,
        &mut session,
        Some(peer.ip()),
        trace.as_deref(),
        wire,
    );
    let read = read.map_err(|error: NotTaken| {
        let refusal = Refusal::from(&error);
        count(channel.id.as_str(), refusal.code);
        Problem::from(refusal)
    })?;
    let register = read.asks.into_iter().find_map(|ask| match ask {
        Ask::Register { address, after } => Some((address, after)),
        _ => None,
    });
    let Some((address, after)) = register else {
        return refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "this channel has no sockets",
        );
    };
    Ok(Opened {
        session,
        address,
        after,
        trace,
    })
}

fn trace_of(headers: &HeaderMap) -> Option<String> {
    headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

async fn serve(
    ingress: Arc<Ingress>,
    channel: Arc<OpenChannel>,
    policy: LinkPolicy,
    peer: SocketAddr,
    opened: Opened,
    socket: WebSocket,
) {
    let each_max = policy.connections_per_address;
    let registered = ingress
        .hub
        .register(&channel.id, &opened.address, opened.after, each_max)
        .await;
    let mut line = Line::new(
        &ingress,
        &channel,
        &policy,
        peer,
        opened.session,
        opened.trace,
        socket,
    );
    let reason = match registered {
        Ok(registration) => line.talk(&opened.address, registration).await,
        Err(error) => {
            tracing::debug!(channel = %channel.id, %error, "socket not registered");
            line::End::Refused("unavailable", Some(Duration::from_secs(2)))
        }
    };
    line.finish(reason).await;
}
