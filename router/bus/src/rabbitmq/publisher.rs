//! The connection for publishing: one AMQP channel per queue, so that a queue that is slow to
//! confirm holds up no other, all of them written in common batches; and nudges beside them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use amq_protocol::uri::AMQPUri;
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::{Notify, watch};

use super::{
    Shared,
    confirms::{Confirms, Job},
    link::{self, Backoff, Ending, State},
    topology::{self, DeclareError},
    wire::{CallError, Channel, Frames, Port, Properties, Wire},
};
use crate::{Mailbox, Message, PublishError, Queue, meter};

/// How health and logs name this connection.
const ROLE: &str = "publish";

pub(super) struct Publisher {
    state: watch::Sender<State<Arc<Lines>>>,
    /// A queue is missing: declare again.
    missing: Arc<Notify>,
}

/// What publishing needs, for the life of one connection.
pub(super) struct Lines {
    wire: Arc<Wire>,
    lines: HashMap<Queue, Line>,
    nudging: Channel,
}

struct Line {
    name: String,
    channel: Channel,
    confirms: Arc<Confirms>,
}

/// The port of the channel for nudges: without it the connection is not whole.
struct Nudging(std::sync::Weak<Wire>);

impl Port for Nudging {
    fn ended(&self, why: &str) {
        if let Some(wire) = self.0.upgrade() {
            wire.end(why);
        }
    }
}

impl Publisher {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(State::New),
            missing: Arc::default(),
        }
    }

    /// Waits until the first attempt to connect has succeeded or failed.
    pub(super) async fn tried(&self, patience: Duration) {
        let mut watch = self.state.subscribe();
        let tried = watch.wait_for(|state| !matches!(state, State::New));
        let _ = tokio::time::timeout(patience, tried).await;
    }

    /// Keeps the connection up until the bus is closed.
    pub(super) async fn run(&self, shared: &Shared, uri: &AMQPUri) {
        let mut backoff = Backoff::new(shared.options.backoff);
        loop {
            let patience = shared.options.connect_timeout;
            let why = match tokio::time::timeout(patience, self.open(shared, uri)).await {
                Ok(Ok((wire, lines))) => self.serve(shared, &wire, lines, &mut backoff).await,
                Ok(Err(why)) => why,
                Err(_) => "the broker did not answer in time".to_owned(),
            };
            if !link::go_on(shared, ROLE, &self.state, &mut backoff, why).await {
                return;
            }
        }
    }

    async fn open(&self, shared: &Shared, uri: &AMQPUri) -> Result<(Ending, Lines), String> {
        let wire = link::connect(shared, uri, ROLE).await?;
        declare(shared, &wire).await?;
        let failed = |error: CallError| error.to_string();
        let queues = topology::queues(&shared.options);
        let lines = try_join_all(queues.map(|queue| self.open_line(shared, &wire, queue)));
        let nudging = Arc::new(Nudging(Arc::downgrade(&wire)));
        let lines = Lines {
            lines: lines.await.map_err(failed)?.into_iter().collect(),
            nudging: wire.channel(nudging).await.map_err(failed)?,
            wire: wire.clone(),
        };
        Ok((wire, lines))
    }

    async fn open_line(
        &self,
        shared: &Shared,
        wire: &Arc<Wire>,
        queue: Queue,
    ) -> Result<(Queue, Line), CallError> {
        let missing = self.missing.clone();
        let confirms = Arc::new(Confirms::new(queue, &shared.options, missing, wire));
        let channel = wire.channel(confirms.clone()).await?;
        channel.select_confirms().await?;
        let line = Line {
            name: shared.names.queue(queue),
            channel,
            confirms,
        };
        Ok((queue, line))
    }

    async fn serve(
        &self,
        shared: &Shared,
        wire: &Arc<Wire>,
        lines: Lines,
        backoff: &mut Backoff,
    ) -> String {
        backoff.reset();
        tracing::info!(role = ROLE, "bus connected");
        let lines = Arc::new(lines);
        let mut blocked = wire.blocked();
        let why = loop {
            let reason = blocked.borrow_and_update().clone();
            shared.set_blocked(reason.as_deref());
            self.state.send_replace(match reason {
                Some(reason) => State::Blocked(reason),
                None => State::Up(lines.clone()),
            });
            tokio::select! {
                _ = blocked.changed() => {}
                why = wire.ended() => break why,
                why = self.declare_missing(shared, wire) => break why,
                () = shared.closing() => {
                    wire.close(shared.options.connect_timeout).await;
                    break "closed".to_owned();
                }
            }
        };
        shared.set_blocked(None);
        why
    }

    /// Declares again what somebody deleted.
    async fn declare_missing(&self, shared: &Shared, wire: &Arc<Wire>) -> String {
        loop {
            self.missing.notified().await;
            if let Err(why) = declare(shared, wire).await {
                return why;
            }
        }
    }

    /// Publishes and waits for the confirms, as long as the connection is good.
    pub(super) async fn publish(
        &self,
        shared: &Shared,
        batch: &[(Queue, Message)],
    ) -> Result<(), PublishError> {
        let mut watch = self.state.subscribe();
        let lines = ready(&mut watch, shared.options.connect_wait).await?;
        tokio::select! {
            biased;
            result = lines.publish(shared, batch) => result,
            why = not_ready(&mut watch) => Err(PublishError::Unavailable(why)),
        }
    }

    /// Waits until everything is confirmed that was published so far.
    pub(super) async fn settled(&self) {
        let State::Up(lines) = self.state.borrow().clone() else {
            return;
        };
        for line in lines.lines.values() {
            line.confirms.settled().await;
        }
    }

    /// Sends a nudge, or drops it.
    pub(super) fn nudge(&self, shared: &Shared, mailbox: &Mailbox, body: &Bytes) {
        let State::Up(lines) = &*self.state.borrow() else {
            return;
        };
        if lines.wire.backlog() > shared.options.nudge_backlog_bytes_max {
            meter::bound_hit("nudge_backlog_bytes_max");
            return;
        }
        let (exchange, key) = shared.names.route(mailbox);
        let channel = lines.nudging.number();
        let mut frames = Frames::default();
        frames.publish(channel, &exchange, &key, false);
        frames.lossy_content(channel, body, lines.wire.frame_max());
        lines.nudging.send(&frames);
    }
}

/// What of a batch goes to one queue.
struct Part<'a> {
    queue: Queue,
    line: &'a Line,
    frames: Frames,
    messages: Vec<&'a Message>,
    n_bytes: usize,
}

impl Lines {
    async fn publish(
        &self,
        shared: &Shared,
        batch: &[(Queue, Message)],
    ) -> Result<(), PublishError> {
        let parts = self.parts(&shared.options.connection_name, batch);
        let mut reserved = Vec::with_capacity(parts.len());
        for part in &parts {
            let n = part.messages.len();
            reserved.push(part.line.confirms.reserve(n, part.n_bytes).await);
        }
        let (job, outcome) = Job::new(batch.len());
        for (part, reserved) in parts.iter().zip(reserved) {
            let send = || part.line.channel.send(&part.frames);
            let confirms = &part.line.confirms;
            confirms.publish(&part.messages, reserved, &job, send);
        }
        let lost = || PublishError::Unavailable("the connection is lost".to_owned());
        outcome.await.map_err(|_| lost())?
    }

    /// Sorted by queue: everyone waits for room in the same order.
    fn parts<'a>(&'a self, source: &str, batch: &'a [(Queue, Message)]) -> Vec<Part<'a>> {
        let mut parts: Vec<Part<'a>> = Vec::new();
        for (queue, message) in batch {
            let at = parts.iter().position(|part| part.queue == *queue);
            let at = at.unwrap_or_else(|| {
                parts.push(Part {
                    queue: *queue,
                    line: &self.lines[queue],
                    frames: Frames::default(),
                    messages: Vec::new(),
                    n_bytes: 0,
                });
                parts.len() - 1
            });
            parts[at].add(source, message, self.wire.frame_max());
        }
        parts.sort_unstable_by_key(|part| part.queue);
        parts
    }
}

impl<'a> Part<'a> {
    fn add(&mut self, source: &str, message: &'a Message, frame_max: usize) {
        let channel = self.line.channel.number();
        let properties = Properties {
            id: message.id,
            kind: &message.kind,
            source,
        };
        self.frames.publish(channel, "", &self.line.name, true);
        self.frames
            .content(channel, &properties, &message.body, frame_max);
        self.n_bytes += message.body.len();
        self.messages.push(message);
    }
}

async fn declare(shared: &Shared, wire: &Arc<Wire>) -> Result<(), String> {
    topology::declare(wire, &shared.options, &shared.names)
        .await
        .map_err(|error| match error {
            DeclareError::Failed(error) => error.to_string(),
            DeclareError::Differs(sentence) => {
                shared.set_differs(&sentence);
                sentence
            }
        })
}

/// The lines; waits for a connection that is being made, but not for one that is blocked.
async fn ready(
    watch: &mut watch::Receiver<State<Arc<Lines>>>,
    patience: Duration,
) -> Result<Arc<Lines>, PublishError> {
    if let State::Up(lines) = &*watch.borrow_and_update() {
        return Ok(lines.clone());
    }
    let settled = watch.wait_for(|state| !matches!(state, State::New | State::Down(_)));
    let _ = tokio::time::timeout(patience, settled).await;
    let state = watch.borrow_and_update().clone();
    match state {
        State::Up(lines) => Ok(lines),
        other => Err(PublishError::Unavailable(other.why())),
    }
}

/// Waits until the connection is not good any more, and says why.
async fn not_ready(watch: &mut watch::Receiver<State<Arc<Lines>>>) -> String {
    match watch.wait_for(|state| !matches!(state, State::Up(_))).await {
        Ok(state) => state.why(),
        Err(_) => "the bus is closed".to_owned(),
    }
}
