//! A bus that can be shut: what is published meanwhile is refused, as by a broker that is away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use patchbay_bus::{
    Bus, BusError, Consumer, EmbeddedBus, Health, Mailbox, Message, PublishError, Queue,
};
use tokio::sync::mpsc::Receiver;

pub(crate) struct Valve {
    pub(crate) bus: Arc<EmbeddedBus>,
    shut: AtomicBool,
}

impl Valve {
    pub(crate) fn new(bus: Arc<EmbeddedBus>) -> Arc<Self> {
        Arc::new(Self {
            bus,
            shut: AtomicBool::new(false),
        })
    }

    pub(crate) fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::SeqCst);
    }
}

#[async_trait]
impl Bus for Valve {
    async fn publish(&self, batch: Vec<(Queue, Message)>) -> Result<(), PublishError> {
        if self.shut.load(Ordering::SeqCst) {
            return Err(PublishError::Unavailable("the test shut it".into()));
        }
        self.bus.publish(batch).await
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BusError> {
        self.bus.consume(queue, prefetch).await
    }

    fn nudge(&self, mailbox: &Mailbox, body: Bytes) {
        self.bus.nudge(mailbox, body);
    }

    async fn mailbox(&self, mailbox: Mailbox) -> Result<Receiver<Bytes>, BusError> {
        self.bus.mailbox(mailbox).await
    }

    async fn depth(&self, queue: Queue) -> Result<u64, BusError> {
        self.bus.depth(queue).await
    }

    fn health(&self) -> Health {
        self.bus.health()
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}
