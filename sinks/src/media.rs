//! Files that came in by the provider's handle: fetched after their message was committed, kept as
//! blobs, put in the handle's place. Nobody waits for it, and nothing of it is in any lane.
//!
//! A message is taken up for a bounded time; whoever dies over it leaves it to the next. What came is
//! written only by the turn that fetched it, so a file is put in place once.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use patchbay_message::{Content, Media, MessageId};
use patchbay_sdk::{Cx, Exchange, Fetched, SendError};
use patchbay_store::{
    Changes, CommitError, MediaFetch, MediaFetched, MessageRow, NewEvent,
    blobs::{BlobError, NewBlob, sniff},
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    Backoff, OpenChannel, SinksOptions, http::HttpOptions, meter, tokens::NoToken, worker::Worker,
};

/// Bounds of fetching files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaOptions {
    /// Bytes of one file; larger ones stay at the provider.
    pub file_bytes_max: usize,
    /// How long the files of one message may take in one turn.
    pub turn_max: Duration,
    /// How long a message is left alone once somebody fetches its files, should they die over it.
    /// Longer than `turn_max`.
    pub claim_ttl: Duration,
    /// How long files are tried, from their message on. No provider keeps one for longer:
    /// `WeChat`'s live three days.
    pub try_for: Duration,
}

impl Default for MediaOptions {
    fn default() -> Self {
        Self {
            file_bytes_max: 32 * 1024 * 1024,
            turn_max: Duration::from_secs(240),
            claim_ttl: Duration::from_secs(300),
            try_for: Duration::from_secs(3 * 24 * 3600),
        }
    }
}

/// Messages whose files are fetched side by side: what they hold in memory is bounded by it, and by
/// [`MediaOptions::file_bytes_max`]. No more are taken up than begin at once, so that none runs out of
/// its time while it waits, and a stop leaves none behind that was not begun.
const FETCHES_AT_ONCE: u32 = 4;
/// Between two looks at what is to be fetched.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks if the store does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(3);
/// Pauses between two turns of one message.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_secs(2),
    max: Duration::from_secs(15 * 60),
    jitter: 0.2,
};
/// The field of a part that says why its file is missing.
const NOTE: &str = "note";

/// How files are fetched: one byte more than is kept tells that there was more.
pub(crate) fn http_options(options: &SinksOptions) -> HttpOptions {
    HttpOptions {
        answer_bytes_max: options.media.file_bytes_max + 1,
        ..options.http.clone()
    }
}

/// What came of one file.
enum File {
    Here(Media),
    /// It will not come: a sentence.
    Never(String),
    Later(Duration),
}

/// Fetches until `stop`.
pub(crate) async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work(&worker) => {}
    }
}

/// Fills the places that are free, so that a slow file keeps no other from beginning.
async fn work(worker: &Worker) {
    let claim_ttl = worker.options.media.claim_ttl;
    let mut under_way = FuturesUnordered::new();
    loop {
        let n_under_way = u32::try_from(under_way.len()).unwrap_or(FETCHES_AT_ONCE);
        let free = FETCHES_AT_ONCE.saturating_sub(n_under_way);
        let pause = if free == 0 {
            Duration::MAX
        } else {
            match worker.store.claim_media(claim_ttl, free).await {
                Ok(claimed) => {
                    under_way.extend(claimed.into_iter().map(|fetch| one(worker, fetch)));
                    LOOK_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "store unavailable, files wait");
                    STORE_PAUSE
                }
            }
        };
        // A place that is free is filled at once; else somebody may have left work meanwhile.
        tokio::select! {
            Some(()) = under_way.next() => {}
            () = sleep(pause) => {}
        }
    }
}

async fn one(worker: &Worker, fetch: MediaFetch) {
    let id = fetch.message;
    match turn(worker, fetch).await {
        Ok(()) => {}
        // Somebody else has taken it up: they end it.
        Err(CommitError::Conflict(why)) => tracing::info!(message = %id, why, "too late"),
        Err(error) => tracing::warn!(message = %id, %error, "files wait for the next turn"),
    }
}

/// One message: every file of it that is missing, then one commit.
async fn turn(worker: &Worker, fetch: MediaFetch) -> Result<(), CommitError> {
    let found = worker.store.message(fetch.message).await;
    let row = found.map_err(CommitError::Store)?;
    let Some(row) = row else {
        // Retention was quicker.
        return end(worker, &fetch, None, None, None).await;
    };
    let mut content = row.content.clone();
    let mut later = None;
    let mut has_changed = false;
    let deadline = Instant::now() + worker.options.media.turn_max;
    for part in &mut content {
        let Content::Known(part) = part else { continue };
        let Some((media, extra)) = part.media_mut() else {
            continue;
        };
        let is_given_up = extra.contains_key(NOTE);
        let Some(handle) = media.handle().filter(|_| !is_given_up).map(str::to_owned) else {
            continue;
        };
        let trying = timeout_at(deadline, file(worker, &fetch, &handle, media));
        let is_over = worker.now().since(row.at) > worker.options.media.try_for;
        match trying.await.unwrap_or(File::Later(Duration::ZERO)) {
            File::Here(here) => *media = here,
            File::Later(pause) if !is_over => {
                later = later.max(Some(pause));
                continue;
            }
            File::Later(_) => {
                let note = "the file could not be fetched in time";
                extra.insert(NOTE.to_owned(), note.into());
            }
            File::Never(note) => {
                tracing::error!(message = %row.id, channel = %fetch.channel, note, "file is lost");
                extra.insert(NOTE.to_owned(), note.into());
            }
        }
        has_changed = true;
    }
    let again = later.map(|pause| {
        let by_backoff = BACKOFF.delay(fetch.attempts, fastrand::f64());
        worker.now().plus(pause.max(by_backoff))
    });
    crash_before_commit();
    let content = has_changed.then_some(content);
    end(worker, &fetch, Some(&row), content, again).await
}

async fn end(
    worker: &Worker,
    fetch: &MediaFetch,
    row: Option<&MessageRow>,
    content: Option<Vec<Content>>,
    again: Option<patchbay_message::Time>,
) -> Result<(), CommitError> {
    let news = row.filter(|_| content.is_some());
    let changes = Changes {
        fetched: vec![MediaFetched {
            message: fetch.message,
            attempts: fetch.attempts,
            content,
            again,
        }],
        events: news.map(event).into_iter().collect(),
        ..Changes::default()
    };
    let committed = worker.store.commit(changes).await?;
    if committed.last_event > 0 {
        worker.nudge_log(committed.last_event);
    }
    Ok(())
}

/// Consoles load the message anew.
fn event(row: &MessageRow) -> NewEvent {
    NewEvent {
        kind: "message",
        conversation_id: Some(row.conversation_id),
        agent_id: row.agent_id,
        data: json!({
            "conversation_id": row.conversation_id,
            "message_id": row.id,
            "pos": row.pos,
            "kind": row.kind,
        }),
    }
}

async fn file(worker: &Worker, fetch: &MediaFetch, handle: &str, media: &Media) -> File {
    let Some(channel) = worker.channels.get(fetch.channel.as_str()) else {
        return File::Later(BACKOFF.max);
    };
    let came = match fetched(worker, &channel, handle).await {
        Ok(fetched) => keep(worker, fetch.message, fetched, media).await,
        Err(NoToken::NotNow { retry_in, .. }) => File::Later(retry_in),
        Err(NoToken::Failed(error)) => judge(&error),
    };
    let outcome = match &came {
        File::Here(_) => "ok",
        File::Later(_) => "retry",
        File::Never(_) => "lost",
    };
    meter::media(channel.kind.id, outcome);
    came
}

async fn fetched(worker: &Worker, channel: &OpenChannel, handle: &str) -> Result<Fetched, NoToken> {
    let ask = |cx: &Cx<'_>, past: &[Exchange]| channel.channel.fetch(cx, handle, past);
    worker.errands.run(channel, &worker.file_http, &ask).await
}

/// What a failure means for a file: the same list as for sending.
fn judge(error: &SendError) -> File {
    match error {
        SendError::Retry(pause) => File::Later(pause.unwrap_or_default()),
        SendError::Throttled(_, pause) => File::Later(*pause),
        SendError::TokenExpired(_) | SendError::Unknown | SendError::Account(_) => {
            File::Later(Duration::ZERO)
        }
        SendError::Gone(_) => File::Never("the provider does not have the file any more".into()),
        other => File::Never(format!("the file cannot be fetched: {other}")),
    }
}

async fn keep(worker: &Worker, id: MessageId, fetched: Fetched, media: &Media) -> File {
    let Fetched { bytes, mime, name } = fetched;
    if bytes.is_empty() {
        return File::Never("the provider's file is empty".to_owned());
    }
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let bytes_max = u64::try_from(worker.options.media.file_bytes_max).unwrap_or(u64::MAX);
    if size > bytes_max {
        return File::Never(format!("the file is larger than {bytes_max} bytes"));
    }
    let found = sniff(&bytes);
    let said = mime.filter(|_| found == "application/octet-stream");
    let new = NewBlob {
        mime: said.map_or_else(|| found.to_owned(), |said| harmless(&said)),
        name: media.name.clone().or(name),
        bytes_max,
    };
    match worker.options.files.keep(bytes, &new).await {
        Ok((token, meta)) => File::Here(Media {
            url: format!("/media/{}", token.as_str()),
            mime: meta.mime,
            size,
            name: meta.name,
            ..media.clone()
        }),
        Err(BlobError::TooLarge(max)) => {
            File::Never(format!("the file is larger than {max} bytes"))
        }
        Err(error) => {
            tracing::warn!(message = %id, %error, "file cannot be kept now");
            File::Later(Duration::ZERO)
        }
    }
}

/// The provider's word for bytes that say nothing themselves, unless a browser would run them.
fn harmless(mime: &str) -> String {
    let kind = mime.split(';').next().unwrap_or_default().trim();
    let is_shown = ["audio/", "video/", "image/"]
        .iter()
        .any(|family| kind.starts_with(family));
    match is_shown && kind != "image/svg+xml" {
        true => kind.to_owned(),
        false => "application/octet-stream".to_owned(),
    }
}

/// Crash tests stop the process here: files are kept, nothing says so.
fn crash_before_commit() {
    fail::fail_point!("sinks::media_commit", |_| std::process::abort());
}
