//! A bus that does not take what a test tells it not to take.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use patchbay_bus::{
    Bus, BusError, Consumer, EmbeddedBus, Health, Mailbox, Message, PublishError, Queue,
};
use tokio::sync::mpsc::Receiver;

pub(crate) const TAKES: u8 = 0;
/// As a broker out of memory does.
pub(crate) const REFUSES: u8 = 1;
pub(crate) const HANGS: u8 = 2;

/// The embedded bus, with moods.
pub(crate) struct Moody {
    inner: Arc<EmbeddedBus>,
    /// Minded are publishes to this queue only; without one, all.
    only: Option<Queue>,
    mood: AtomicU8,
}

impl Moody {
    pub(crate) fn new(inner: &Arc<EmbeddedBus>, only: Option<Queue>, mood: u8) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            only,
            mood: AtomicU8::new(mood),
        })
    }

    pub(crate) fn feels(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }
}

#[async_trait]
impl Bus for Moody {
    async fn publish(&self, batch: Vec<(Queue, Message)>) -> Result<(), PublishError> {
        let minds = |queue| self.only.is_none_or(|only| only == queue);
        if batch.iter().any(|(queue, _)| minds(*queue)) {
            match self.mood.load(Ordering::SeqCst) {
                REFUSES => return Err(PublishError::Unavailable("refused by the test".into())),
                HANGS => std::future::pending().await,
                _ => {}
            }
        }
        self.inner.publish(batch).await
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BusError> {
        self.inner.consume(queue, prefetch).await
    }

    fn nudge(&self, mailbox: &Mailbox, body: Bytes) {
        self.inner.nudge(mailbox, body);
    }

    async fn mailbox(&self, mailbox: Mailbox) -> Result<Receiver<Bytes>, BusError> {
        self.inner.mailbox(mailbox).await
    }

    async fn depth(&self, queue: Queue) -> Result<u64, BusError> {
        self.inner.depth(queue).await
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
