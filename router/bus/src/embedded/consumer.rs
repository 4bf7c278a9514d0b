//! A subscription to one queue of the embedded bus.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{
    Shared,
    cell::{Cell, Turn},
};
use crate::{AckSink, BusError, Consumer, Delivery};

pub(super) struct EmbeddedConsumer {
    subscription: Arc<Subscription>,
    prefetch: usize,
    wake: Arc<Notify>,
}

/// What deliveries know of the consumer they were handed to.
struct Subscription {
    id: u64,
    cell: Arc<Cell>,
    shared: Weak<Shared>,
}

impl EmbeddedConsumer {
    pub(super) fn new(shared: &Arc<Shared>, cell: Arc<Cell>, id: u64, prefetch: u16) -> Self {
        let wake = Arc::new(Notify::new());
        cell.subscribe(id, wake.clone());
        Self {
            subscription: Arc::new(Subscription {
                id,
                cell,
                shared: Arc::downgrade(shared),
            }),
            prefetch: usize::from(prefetch.max(1)),
            wake,
        }
    }
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn recv(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let subscription = &self.subscription;
        let cell = &subscription.cell;
        loop {
            let shared = subscription.shared.upgrade().ok_or_else(Shared::closed)?;
            let (turn, refill) = cell.take(subscription.id, max.max(1), self.prefetch);
            if let Some(seqs) = refill {
                shared.refill(cell, seqs);
            }
            let taken = match turn {
                Turn::Broken(error) => return Err(error),
                Turn::Take(taken) => taken,
                Turn::Wait => {
                    drop(shared);
                    self.wake.notified().await;
                    continue;
                }
            };
            let n_redelivered = taken.iter().filter(|entry| entry.redelivered).count();
            shared
                .meter
                .delivered(cell.queue, taken.len(), n_redelivered);
            return Ok(taken
                .into_iter()
                .map(|entry| {
                    Delivery::new(
                        entry.message,
                        entry.redelivered,
                        entry.seq,
                        subscription.clone(),
                    )
                })
                .collect());
        }
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        let n_returned = self.subscription.cell.unsubscribe(self.subscription.id);
        if let Some(shared) = self.subscription.shared.upgrade() {
            shared.meter.settled(n_returned);
        }
    }
}

impl AckSink for Subscription {
    fn ack(&self, tag: u64) {
        // Without the bus the ack cannot be written; the message comes again.
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        if self.cell.ack(self.id, tag) {
            shared.meter.settled(1);
            shared.intake.acked(&self.cell);
        }
    }
}
