//! One open socket: reads frames, publishes, pushes, keeps the heart beating.

use std::{future::pending, net::SocketAddr, pin::Pin, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use patchbay_message::Envelope;
use patchbay_sdk::{Ask, LinkPolicy, LiveEvent, Reject, Reply, Session, Wire};
use patchbay_sinks::OpenChannel;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    super::{
        Ingress,
        reject::{Refusal, count},
        thread_message,
    },
    standing::Standing,
};
use crate::{
    live::{Push, Registration},
    pipeline::NotTaken,
};

/// Rows of the history read at once.
const PAGE: u32 = 100;
/// A client that takes this long to take a frame is too slow.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Frames that cannot be understood, in a row, before the connection is closed.
const BAD_FRAMES_MAX: u32 = 10;

/// Why a line ends.
pub(super) enum End {
    /// The other side went.
    Gone,
    /// We close; the client may come back after a while.
    Refused(&'static str, Option<Duration>),
}

/// A publish on its way, with what it is about.
type Pending<'a> = Pin<Box<dyn Future<Output = (Vec<Envelope>, Result<(), NotTaken>)> + Send + 'a>>;

pub(super) struct Line<'a> {
    ingress: &'a Ingress,
    channel: &'a OpenChannel,
    policy: &'a LinkPolicy,
    peer: SocketAddr,
    session: Session,
    trace: Option<String>,
    socket: WebSocket,
    heard: Instant,
    bad_frames: u32,
    /// The first message that was refused with "again": nothing later is taken before it.
    first_again: Option<String>,
}

impl<'a> Line<'a> {
    pub(super) fn new(
        ingress: &'a Ingress,
        channel: &'a OpenChannel,
        policy: &'a LinkPolicy,
        peer: SocketAddr,
        session: Session,
        trace: Option<String>,
        socket: WebSocket,
    ) -> Self {
        let heard = Instant::now();
        Self {
            ingress,
            channel,
            policy,
            peer,
            session,
            trace,
            socket,
            heard,
            bad_frames: 0,
            first_again: None,
        }
    }

    /// Talks until one side ends it.
    pub(super) async fn talk(&mut self, address: &str, mut registration: Registration) -> End {
        match self.begin(address, &registration).await {
            Ok(()) => {}
            Err(end) => return end,
        }
        let mut beat = interval(self.policy.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        let mut publish: Option<Pending<'a>> = None;
        loop {
            let step = tokio::select! {
                biased;
                () = self.ingress.stop.cancelled() => {
                    Err(End::Refused("shutdown", Some(Duration::from_millis(500))))
                }
                (envelopes, outcome) = next_publish(&mut publish) => {
                    publish = None;
                    self.published(&envelopes, outcome).await
                }
                push = registration.next() => match push {
                    Some(push) => self.push(push, &mut registration).await,
                    None => Err(End::Gone),
                },
                frame = self.socket.next(), if publish.is_none() => match frame {
                    Some(Ok(frame)) => self.frame(frame, &registration).await.map(|next| publish = next),
                    Some(Err(error)) => Err(self.broken(&error)),
                    None => Err(End::Gone),
                },
                _ = beat.tick() => self.beat(publish.is_some()).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Says goodbye, if there is somebody to say it to.
    pub(super) async fn finish(mut self, end: End) {
        if let End::Refused(reason, reconnect) = end {
            let _ = self.show(&LiveEvent::Bye { reason, reconnect }).await;
            let _ = timeout(
                Duration::from_secs(1),
                self.socket.send(Message::Close(None)),
            )
            .await;
        }
    }

    /// Sends what the client missed, then where it stands.
    async fn begin(&mut self, address: &str, registration: &Registration) -> Result<(), End> {
        self.catch_up(registration).await?;
        let again = |_| End::Refused("unavailable", Some(Duration::from_secs(2)));
        let standing = Standing::of(self.ingress, self.channel, address, registration.thread())
            .await
            .map_err(again)?;
        let ready = LiveEvent::Ready {
            address,
            seq: registration.cursor(),
            delivered: standing.delivered,
            read: standing.read,
            agent_read: standing.agent_read,
            queue: standing.queue,
        };
        self.show(&ready).await
    }

    /// Reads the thread's history from the cursor on and sends it.
    async fn catch_up(&mut self, registration: &Registration) -> Result<(), End> {
        loop {
            let after = registration.cursor();
            let rows = self
                .ingress
                .store
                .history(registration.thread(), after, PAGE)
                .await;
            let rows =
                rows.map_err(|_| End::Refused("unavailable", Some(Duration::from_secs(2))))?;
            let full = rows.len() >= PAGE as usize;
            for row in rows {
                let message = thread_message(row);
                if message.seq != registration.cursor() + 1 {
                    // The store's numbers have no gaps: a later row means the page began too late.
                    tracing::error!(channel = %self.channel.id, seq = message.seq, after, "gap in a thread");
                    return Err(End::Refused("unavailable", Some(Duration::from_secs(2))));
                }
                self.show(&LiveEvent::Message(&message)).await?;
                registration.advance(message.seq);
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Something for the client came from the bus.
    async fn push(&mut self, push: Push, registration: &mut Registration) -> Result<(), End> {
        match push {
            Push::Frame { seq, frame } if seq == registration.cursor() + 1 => {
                registration.advance(seq);
                self.write(frame.to_string()).await
            }
            // A number further on: what lies between has not been sent to this client.
            Push::Frame { seq, .. } | Push::Newest(seq) if seq > registration.cursor() => {
                self.catch_up(registration).await
            }
            // A contact may have several sockets.
            Push::Frame { .. } | Push::Newest(_) | Push::TakenOver(_) => Ok(()),
            Push::Typing { name, on } => {
                self.show(&LiveEvent::Typing {
                    name: name.as_deref(),
                    on,
                })
                .await
            }
            Push::Seen(read) => self.show(&LiveEvent::Seen { read }).await,
            Push::Queue(state) => self.show(&LiveEvent::Queue(&state)).await,
        }
    }

    /// The client sent a frame: reads it and begins to publish.
    async fn frame(
        &mut self,
        frame: Message,
        registration: &Registration,
    ) -> Result<Option<Pending<'a>>, End> {
        self.heard = Instant::now();
        let bytes = match &frame {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes.as_ref(),
            Message::Close(_) => return Err(End::Gone),
            // The library answers pings by itself.
            Message::Ping(_) | Message::Pong(_) => return Ok(None),
        };
        let (ingress, channel) = (self.ingress, self.channel);
        let trace = self.trace.as_deref();
        let wire = Wire::Frame(bytes);
        let read = ingress.pipeline.read(
            channel,
            &mut self.session,
            Some(self.peer.ip()),
            trace,
            wire,
        );
        let read = match read {
            Ok(read) => read,
            Err(error) => return self.refuse(&error, None).await.map(|()| None),
        };
        self.bad_frames = 0;
        for signal in &read.signals {
            ingress.pass_on(channel, signal);
        }
        if let Reply::Frames(frames) = read.confirmed {
            for frame in frames {
                self.write(frame).await?;
            }
        }
        for ask in read.asks {
            match ask {
                Ask::Emit(frame) => self.write(frame).await?,
                Ask::History { .. } => self.catch_up(registration).await?,
                Ask::Pong { at } => {
                    let pong = LiveEvent::Pong {
                        at: at.as_deref(),
                        seq: registration.cursor(),
                    };
                    self.show(&pong).await?;
                }
                Ask::Register { .. }
                | Ask::Upload { .. }
                | Ask::Topics { .. }
                | Ask::Pull { .. } => {}
            }
        }
        let Some(first) = read.envelopes.first() else {
            return Ok(None);
        };
        if let Some(again) = &self.first_again
            && first.external_id.as_ref() != Some(again)
        {
            let id = first.external_id.clone();
            let error =
                patchbay_bus::PublishError::Unavailable(format!("send {again} again first"));
            return self
                .refuse(&error.into(), id.as_deref())
                .await
                .map(|()| None);
        }
        let envelopes = read.envelopes;
        Ok(Some(Box::pin(async move {
            let outcome = ingress.pipeline.publish(&envelopes).await;
            (envelopes, outcome)
        })))
    }

    /// A publish ended: tells the client of every message of it.
    async fn published(
        &mut self,
        envelopes: &[Envelope],
        outcome: Result<(), NotTaken>,
    ) -> Result<(), End> {
        for envelope in envelopes {
            let external_id = envelope.external_id.as_deref().unwrap_or_default();
            match &outcome {
                Ok(()) => {
                    self.first_again = None;
                    self.show(&LiveEvent::Accepted {
                        external_id,
                        id: envelope.id,
                    })
                    .await?;
                }
                Err(error) => {
                    self.first_again
                        .get_or_insert_with(|| external_id.to_owned());
                    self.refuse(error, Some(external_id)).await?;
                }
            }
        }
        Ok(())
    }

    async fn refuse(&mut self, error: &NotTaken, external_id: Option<&str>) -> Result<(), End> {
        let refusal = Refusal::from(error);
        count(self.channel.id.as_str(), refusal.code);
        let from_error = match error {
            NotTaken::TooFast { external_id, .. } => external_id.as_deref(),
            NotTaken::Rejected(Reject::Refused { external_id, .. }) => Some(external_id.as_str()),
            NotTaken::Rejected(Reject::Unauthorized | Reject::Stale) => {
                return Err(End::Refused("expired", Some(Duration::ZERO)));
            }
            _ => None,
        };
        let event = LiveEvent::Refused {
            external_id: external_id.or(from_error),
            code: refusal.code,
            detail: &refusal.detail,
            retry_after: refusal.retry_after,
        };
        self.show(&event).await?;
        if matches!(error, NotTaken::Rejected(_)) {
            self.bad_frames += 1;
            if self.bad_frames >= BAD_FRAMES_MAX {
                return Err(End::Refused("bad_frames", None));
            }
        }
        Ok(())
    }

    async fn beat(&mut self, publishing: bool) -> Result<(), End> {
        // While a publish hangs we do not read, so silence then says nothing about the client.
        if !publishing && self.heard.elapsed() > self.policy.idle {
            count(self.channel.id.as_str(), "idle");
            return Err(End::Refused("idle", None));
        }
        self.show(&LiveEvent::Ping).await
    }

    async fn show(&mut self, event: &LiveEvent<'_>) -> Result<(), End> {
        match self.ingress.frame(self.channel, event) {
            Some(frame) => self.write(frame).await,
            None => Ok(()),
        }
    }

    async fn write(&mut self, frame: String) -> Result<(), End> {
        match timeout(WRITE_TIMEOUT, self.socket.send(Message::Text(frame.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                count(self.channel.id.as_str(), "slow_reader");
                Err(End::Gone)
            }
        }
    }

    fn broken(&self, error: &axum::Error) -> End {
        let text = error.to_string();
        if text.contains("too long") || text.contains("too big") {
            count(self.channel.id.as_str(), "too_large");
            return End::Refused("too_large", None);
        }
        End::Gone
    }
}

/// The publish under way; for ever if there is none.
async fn next_publish(publish: &mut Option<Pending<'_>>) -> (Vec<Envelope>, Result<(), NotTaken>) {
    match publish {
        Some(publish) => publish.await,
        None => pending().await,
    }
}
