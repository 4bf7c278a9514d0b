//! Live events on a WebSocket: resumed by number without a gap; presence follows the socket.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{
        Query, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use patchbay_message::{AgentId, ConversationId, Time};
use patchbay_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;
use tokio::{sync::broadcast::error::RecvError, time::timeout};

use crate::{
    Api, Problem,
    auth::Who,
    feed::{Frame, PAGE, Replying, frames_of},
};

/// How often a console is asked whether it is there; silence for three times this closes it.
const BEAT: Duration = Duration::from_secs(15);
/// A console that takes this long to take a frame is too slow; it comes back and resumes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Read buffer of a connection and the largest frame taken, bytes.
const FRAME_MAX: usize = 4096;

/// Tickets for live events: a browser cannot send a header with a WebSocket. Signed with a key of
/// the store, so that every gateway takes every ticket.
pub(crate) struct Tickets {
    key: String,
    consoles: Mutex<HashMap<AgentId, usize>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Ticket {
    agent: Option<AgentId>,
    /// SHA-256 of the token that asked for it, as hex; none for the operator. It tells nothing to
    /// whoever has the token, and lets the connection end with it.
    token: Option<String>,
    until: Time,
}

impl Tickets {
    pub(crate) async fn open(store: &dyn Store) -> Result<Self, StoreError> {
        let fresh = hex::encode(rand::random::<[u8; 32]>());
        Ok(Self {
            key: store.setting("ticket_key", &fresh).await?,
            consoles: Mutex::default(),
        })
    }

    pub(crate) fn issue(&self, who: &Who, until: Time) -> String {
        let ticket = Ticket {
            agent: who.agent,
            token: who.sha256.map(hex::encode),
            until,
        };
        let body = BASE64.encode(serde_json::to_vec(&ticket).unwrap_or_default());
        let mac = BASE64.encode(self.mac(&body).finalize().into_bytes());
        format!("{body}.{mac}")
    }

    fn check(&self, text: &str, now: Time) -> Option<Ticket> {
        let (body, mac) = text.split_once('.')?;
        // Constant time, and before anything is parsed.
        self.mac(body)
            .verify_slice(&BASE64.decode(mac).ok()?)
            .ok()?;
        let ticket: Ticket = serde_json::from_slice(&BASE64.decode(body).ok()?).ok()?;
        (ticket.until > now).then_some(ticket)
    }

    fn mac(&self, body: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_bytes())
            .expect("HMAC takes keys of any length (RFC 2104)");
        mac.update(body.as_bytes());
        mac
    }

    /// An agent's console is there until the guard is dropped.
    fn arrive(&self, agent: AgentId) -> Console<'_> {
        *self.consoles.lock().entry(agent).or_default() += 1;
        Console {
            tickets: self,
            agent,
        }
    }

    fn present(&self) -> Vec<AgentId> {
        self.consoles.lock().keys().copied().collect()
    }
}

struct Console<'a> {
    tickets: &'a Tickets,
    agent: AgentId,
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        let mut consoles = self.tickets.consoles.lock();
        if let Some(count) = consoles.get_mut(&self.agent) {
            *count -= 1;
            if *count == 0 {
                consoles.remove(&self.agent);
            }
        }
    }
}

/// Tells the store which agents' consoles are here, well within their grace, for ever.
pub(crate) async fn attend(api: &Api) {
    let grace = api.options.presence_grace;
    let pace = (grace / 3).max(Duration::from_millis(100));
    let mut ticks = tokio::time::interval(pace);
    loop {
        ticks.tick().await;
        let agents = api.tickets.present();
        metrics::gauge!("patchbay_api_consoles")
            .set(u32::try_from(agents.len()).unwrap_or(u32::MAX));
        if agents.is_empty() {
            continue;
        }
        if let Err(error) = api
            .store
            .console_seen(&agents, api.clock.now().plus(grace + pace))
            .await
        {
            tracing::warn!(%error, "presence not written");
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ask {
    ticket: String,
    after: Option<u64>,
}

/// `GET /events?ticket=&after=`.
pub(crate) async fn open(
    State(api): State<Arc<Api>>,
    Query(ask): Query<Ask>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let Some(ticket) = api.tickets.check(&ask.ticket, api.clock.now()) else {
        let detail = "the ticket is wrong or too old: ask for another one";
        return Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response();
    };
    match upgrade {
        Ok(upgrade) => upgrade
            .read_buffer_size(FRAME_MAX)
            .max_message_size(FRAME_MAX)
            .on_upgrade(move |socket| serve(api, ticket, ask.after, socket)),
        Err(error) => {
            Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade", error.to_string()).into_response()
        }
    }
}

async fn serve(api: Arc<Api>, ticket: Ticket, after: Option<u64>, mut socket: WebSocket) {
    let Ok(_place) = api.sockets.try_acquire() else {
        metrics::counter!("patchbay_api_bound_hit_total", "bound" => "sockets").increment(1);
        return;
    };
    let _console = ticket.agent.map(|agent| api.tickets.arrive(agent));
    if let Some(agent) = ticket.agent {
        // At once: a console that goes before the next round must be missed all the same.
        let until = api.clock.now().plus(api.options.presence_grace);
        if api.store.console_seen(&[agent], until).await.is_err() {
            return;
        }
    }
    let mut line = Line {
        api: &api,
        agent: ticket.agent,
        token: ticket.token,
        seq: 0,
        heard: Instant::now(),
    };
    if line.talk(&mut socket, after).await.is_none() {
        let _ = timeout(Duration::from_secs(1), socket.send(Message::Close(None))).await;
    }
}

/// One console's connection.
struct Line<'a> {
    api: &'a Api,
    agent: Option<AgentId>,
    token: Option<String>,
    /// The last number it was sent.
    seq: u64,
    heard: Instant,
}

impl Line<'_> {
    async fn talk(&mut self, socket: &mut WebSocket, after: Option<u64>) -> Option<()> {
        // Subscribed before the log is read: what comes meanwhile is in both, and sent once.
        let mut frames = self.api.feed.subscribe();
        self.begin(socket, after).await?;
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                () = self.api.stop.cancelled() => return None,
                frame = frames.recv() => match frame {
                    Ok(frame) => self.pass(socket, frame).await?,
                    Err(RecvError::Lagged(_)) => self.catch_up(socket).await?,
                    Err(RecvError::Closed) => return None,
                },
                frame = socket.recv() => self.hear(frame?.ok()?)?,
                _ = beat.tick() => {
                    if self.heard.elapsed() > BEAT * 3 {
                        return None;
                    }
                    self.still_valid().await?;
                    write(socket, r#"{"type":"ping"}"#).await?;
                }
            }
        }
    }

    /// Ends the connection of a token that was revoked; a store that is away ends nothing.
    async fn still_valid(&self) -> Option<()> {
        let Some(token) = &self.token else {
            return Some(());
        };
        let mut sha256 = [0; 32];
        hex::decode_to_slice(token, &mut sha256).ok()?;
        match self.api.guard.by_sha256(self.api, sha256).await {
            Ok(None) => None,
            Ok(Some(_)) | Err(_) => Some(()),
        }
    }

    async fn begin(&mut self, socket: &mut WebSocket, after: Option<u64>) -> Option<()> {
        let (newest, oldest) = self.api.store.event_bounds().await.ok()?;
        // Who comes back after what is kept has missed some, and has to load its lists anew.
        let reset = after.is_some_and(|after| after + 1 < oldest || after > newest);
        self.seq = after.filter(|_| !reset).unwrap_or(newest);
        let ready = json!({ "type": "ready", "seq": self.seq, "reset": reset });
        write(socket, &ready.to_string()).await?;
        self.catch_up(socket).await
    }

    async fn catch_up(&mut self, socket: &mut WebSocket) -> Option<()> {
        loop {
            let events = self.api.store.events(self.seq, PAGE).await.ok()?;
            let Some(last) = events.last().map(|event| event.seq) else {
                return Some(());
            };
            let full = events.len() >= PAGE as usize;
            for frame in frames_of(self.api, events).await.ok()? {
                self.pass(socket, frame).await?;
            }
            self.seq = last;
            if !full {
                return Some(());
            }
        }
    }

    async fn pass(&mut self, socket: &mut WebSocket, frame: Frame) -> Option<()> {
        match frame.seq {
            Some(seq) if seq <= self.seq => return Some(()),
            Some(seq) => self.seq = seq,
            None => {}
        }
        write(socket, &frame.text).await
    }

    fn hear(&mut self, frame: Message) -> Option<()> {
        #[derive(Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Heard {
            Replying {
                conversation_id: ConversationId,
                on: bool,
            },
            #[serde(other)]
            Other,
        }
        self.heard = Instant::now();
        let Message::Text(text) = frame else {
            return (!matches!(frame, Message::Close(_))).then_some(());
        };
        if let (
            Ok(Heard::Replying {
                conversation_id,
                on,
            }),
            Some(agent_id),
        ) = (serde_json::from_str(&text), self.agent)
        {
            let api = self.api;
            let name = api.directory.name_now(agent_id);
            api.nudge_replying(&Replying {
                conversation_id,
                agent_id,
                name,
                on,
            });
        }
        Some(())
    }
}

async fn write(socket: &mut WebSocket, text: &str) -> Option<()> {
    timeout(WRITE_TIMEOUT, socket.send(Message::text(text)))
        .await
        .ok()?
        .ok()
}
