//! The bus: durable queues with order per key, and lossy mailboxes beside them.
//!
//! One trait, two implementations (`embedded`: a SQLite journal in this process; `rabbitmq`), one
//! conformance suite. The bus transports; the store remembers. It knows envelopes as bytes only.

mod embedded;
mod meter;
mod partition;
mod rabbitmq;

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;
use bytes::Bytes;
pub use embedded::{EmbeddedBus, EmbeddedOptions};
pub use partition::{HASH_NAME, partition_of};
use patchbay_message::{MessageId, limits::ENVELOPE_BYTES_MAX};
pub use rabbitmq::{RabbitBus, RabbitOptions};

/// The largest body the bus takes, bytes: an envelope at its bound and what the router adds to it.
pub const BODY_BYTES_MAX: usize = ENVELOPE_BYTES_MAX + 16 * 1024;

/// A durable queue: one of a fixed number, chosen by hash, see [`partition_of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// Towards the router: `inbound.g1.<p>`.
    Inbound(u16),
    /// Towards the sinks: `outbound.g1.<s>`.
    Outbound(u16),
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inbound(p) => write!(f, "inbound.g1.{p}"),
            Self::Outbound(s) => write!(f, "outbound.g1.{s}"),
        }
    }
}

/// What is published and delivered. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The envelope's id; consumers recognise a repeat by it.
    pub id: MessageId,
    /// The envelope's `type`: `message`, `receipt`, `command`, `result`.
    pub kind: Arc<str>,
    /// The envelope as JSON.
    pub body: Bytes,
}

/// Why a publish did not succeed. In every case some of the batch may have been taken: publish all
/// of it again, consumers recognise repeats.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The queue is at its length bound; wait and try again.
    #[error("queue {0} is full")]
    Full(Queue),
    /// The broker is away, blocked or did not confirm in time.
    #[error("bus unavailable: {0}")]
    Unavailable(String),
    /// The message cannot be published at all (too large).
    #[error("message refused: {0}")]
    Refused(String),
}

/// The consumer is of no use any more; subscribe anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bus unavailable: {0}")]
pub struct BusError(pub String);

/// A lossy address: bounded, dropped when nobody listens or the listener is slow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mailbox {
    /// One gateway's own queue, by instance id.
    Gateway(String),
    /// One sink worker's own queue, by instance id: what gateways answer it.
    Sinks(String),
    /// Everyone bound to `event.<type>`.
    Event(String),
}

/// How the bus is, for `/readyz` and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What is wrong, a sentence; none if all is well.
    pub problem: Option<String>,
    /// Reconnects since start.
    pub reconnects: u64,
}

/// The bus. Implementations reconnect by themselves, for ever, with backoff and jitter.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes a batch and returns when all of it is durable (RabbitMQ: quorum queue, persistent,
    /// mandatory, confirmed; embedded: fsynced). Concurrent calls are pipelined; two calls keep
    /// their order only if the first has returned before the second begins. Never hangs: past the
    /// confirm timeout it is [`PublishError::Unavailable`].
    async fn publish(&self, batch: Vec<(Queue, Message)>) -> Result<(), PublishError>;

    /// Subscribes to a queue with at most `prefetch` deliveries not yet acked. Among several
    /// consumers of one queue a single one is active; when it goes, the next gets every delivery
    /// not acked, in order.
    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BusError>;

    /// Sends to a mailbox without waiting; lossy. `event.*` also goes to strangers' queues.
    fn nudge(&self, mailbox: &Mailbox, body: Bytes);

    /// Opens a mailbox: for `Event`, the type may be `*`. Dropping it closes it.
    async fn mailbox(
        &self,
        mailbox: Mailbox,
    ) -> Result<tokio::sync::mpsc::Receiver<Bytes>, BusError>;

    /// How many messages wait in a queue.
    async fn depth(&self, queue: Queue) -> Result<u64, BusError>;

    /// How the bus is.
    fn health(&self) -> Health;

    /// Waits until every accepted publish is settled, then closes connections.
    async fn close(&self);
}

/// A subscription to one queue. Dropping it returns what was not acked to the queue.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for at least one delivery and returns up to `max` that are there, in queue order.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`BusError`]: the subscription is gone (broker away, consumer cancelled); subscribe anew.
    async fn recv(&mut self, max: usize) -> Result<Vec<Delivery>, BusError>;
}

/// One hand-over. Ended by [`Delivery::ack`]; dropped without it, it stays open until the consumer
/// goes and is then delivered again.
#[derive(Debug)]
pub struct Delivery {
    /// What was published.
    pub message: Message,
    /// It was delivered before, so it may have been worked on.
    pub redelivered: bool,
    acker: Acker,
}

/// How an implementation learns of acks; it may gather them (contiguous ones every few ms).
#[derive(Clone)]
pub struct Acker {
    tag: u64,
    sink: Arc<dyn AckSink>,
}

impl fmt::Debug for Acker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Acker({})", self.tag)
    }
}

/// The implementation's side of [`Delivery::ack`]. Must not block.
pub trait AckSink: Send + Sync {
    /// The delivery with this tag is done with.
    fn ack(&self, tag: u64);
}

impl Delivery {
    /// For implementations of [`Consumer`].
    #[must_use]
    pub fn new(message: Message, redelivered: bool, tag: u64, sink: Arc<dyn AckSink>) -> Self {
        Self {
            message,
            redelivered,
            acker: Acker { tag, sink },
        }
    }

    /// The number the implementation knows it by.
    fn tag(&self) -> u64 {
        self.acker.tag
    }

    /// Ends the hand-over: the message is gone from the queue (soon; a crash before that delivers
    /// it again).
    pub fn ack(self) {
        self.acker.sink.ack(self.acker.tag);
    }
}

/// The text as a shared one, without allocating if it is one of the envelope types.
fn intern_kind(kind: &str) -> Arc<str> {
    static KINDS: LazyLock<[Arc<str>; 4]> =
        LazyLock::new(|| ["message", "receipt", "command", "result"].map(Arc::from));
    match KINDS.iter().find(|known| &***known == kind) {
        Some(known) => known.clone(),
        None => kind.into(),
    }
}

/// Refuses a batch that holds a message past [`BODY_BYTES_MAX`]; nothing of it is published.
fn check_size(batch: &[(Queue, Message)]) -> Result<(), PublishError> {
    match batch
        .iter()
        .find(|(_, message)| message.body.len() > BODY_BYTES_MAX)
    {
        Some((_, message)) => {
            meter::bound_hit("body_bytes_max");
            Err(PublishError::Refused(format!(
                "message {} has {} bytes, {BODY_BYTES_MAX} at most are allowed",
                message.id,
                message.body.len()
            )))
        }
        None => Ok(()),
    }
}
