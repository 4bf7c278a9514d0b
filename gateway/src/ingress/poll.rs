//! The long poll: what a thread has after a number, waiting a while for something newer.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use patchbay_api::Problem;
use patchbay_sdk::LiveEvent;
use patchbay_sinks::OpenChannel;
use patchbay_store::MessageRow;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until};

use super::{Ingress, thread_message};
use crate::live::RegisterError;

/// Frames in one answer.
const FRAMES_MAX: u32 = 200;
/// A poll that waits looks into the store this often, in case its push was lost.
const LOOK: Duration = Duration::from_secs(5);

/// Answers `{"frames":[..],"seq":N}`.
pub(super) async fn history(
    ingress: &Ingress,
    channel: &OpenChannel,
    address: &str,
    after: u64,
    wait: Duration,
) -> Response {
    let deadline = Instant::now() + wait;
    let each_max = channel.channel.policy().connections_per_address;
    // Registered before the first look, so that nothing falls between look and wait.
    let mut registration = match ingress
        .hub
        .register(&channel.id, address, after, each_max)
        .await
    {
        Ok(registration) => registration,
        Err(error) => return refusal(&error).into_response(),
    };
    loop {
        let rows = match ingress
            .store
            .history(registration.thread(), after, FRAMES_MAX)
            .await
        {
            Ok(rows) => rows,
            Err(error) => return Problem::unavailable(error.to_string()).into_response(),
        };
        let now = Instant::now();
        if !rows.is_empty() || now >= deadline || ingress.stop.is_cancelled() {
            return answer(ingress, channel, after, rows);
        }
        tokio::select! {
            _ = registration.next() => {}
            () = sleep_until(deadline.min(now + LOOK)) => {}
            () = ingress.stop.cancelled() => {}
        }
    }
}

fn refusal(error: &RegisterError) -> Problem {
    match error {
        RegisterError::TooMany => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            error.to_string(),
        ),
        RegisterError::Store(error) => Problem::unavailable(error.to_string()),
    }
}

fn answer(ingress: &Ingress, channel: &OpenChannel, after: u64, rows: Vec<MessageRow>) -> Response {
    #[derive(serde::Serialize)]
    struct Answer {
        frames: Vec<Box<RawValue>>,
        seq: u64,
    }
    let mut seq = after;
    let mut frames = Vec::with_capacity(rows.len());
    for row in rows {
        let message = thread_message(row);
        seq = seq.max(message.seq);
        let frame = ingress.frame(channel, &LiveEvent::Message(&message));
        frames.extend(frame.and_then(|frame| RawValue::from_string(frame).ok()));
    }
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    ([no_store], axum::Json(Answer { frames, seq })).into_response()
}
