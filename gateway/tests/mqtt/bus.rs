//! A bus that can be told to fail, or to keep everybody waiting.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use patchbay_bus::{
    Bus, BusError, Consumer, EmbeddedBus, Health, Mailbox, Message, PublishError, Queue,
};
use tokio::sync::{mpsc, watch};

/// An embedded bus with a hand on its throat.
pub(crate) struct Moody {
    pub(crate) inner: Arc<EmbeddedBus>,
    fails: AtomicBool,
    holds: watch::Sender<bool>,
    is_dumb: AtomicBool,
}

impl Moody {
    pub(crate) fn new(inner: Arc<EmbeddedBus>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fails: AtomicBool::new(false),
            holds: watch::Sender::new(false),
            is_dumb: AtomicBool::new(false),
        })
    }

    /// From now on every publish fails, or none does.
    pub(crate) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// From now on every nudge is lost, or none is.
    pub(crate) fn lose_nudges(&self, loses: bool) {
        self.is_dumb.store(loses, Ordering::SeqCst);
    }

    /// From now on every publish waits, or none does.
    pub(crate) fn hold(&self, holds: bool) {
        self.holds.send_replace(holds);
    }
}

#[async_trait]
impl Bus for Moody {
    async fn publish(&self, batch: Vec<(Queue, Message)>) -> Result<(), PublishError> {
        let mut holds = self.holds.subscribe();
        holds.wait_for(|holds| !holds).await.unwrap();
        if self.fails.load(Ordering::SeqCst) {
            return Err(PublishError::Unavailable("not in the mood".to_owned()));
        }
        self.inner.publish(batch).await
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BusError> {
        self.inner.consume(queue, prefetch).await
    }

    fn nudge(&self, mailbox: &Mailbox, body: Bytes) {
        if !self.is_dumb.load(Ordering::SeqCst) {
            self.inner.nudge(mailbox, body);
        }
    }

    async fn mailbox(&self, mailbox: Mailbox) -> Result<mpsc::Receiver<Bytes>, BusError> {
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
