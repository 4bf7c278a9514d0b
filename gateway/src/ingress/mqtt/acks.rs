//! Writes in batches what devices have acknowledged: how far each has everything, and what that
//! means for the messages.

use std::{collections::HashMap, sync::Arc, time::Duration};

use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{LogNudge, ThreadId};
use patchbay_sinks::Backoff;
use patchbay_store::{Changes, CommitError, Expect, ReceiptWord, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Acks in one commit.
const BATCH_MAX: usize = 500;
/// While the store is away.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(5),
    jitter: 0.5,
};

/// A device has everything of its thread up to a number.
#[derive(Debug, Clone)]
pub(super) struct Ack {
    pub(super) thread: ThreadId,
    /// Up to here; 0 = no further than before.
    pub(super) through: u64,
    /// What that says of messages.
    pub(super) words: Vec<ReceiptWord>,
    /// The answers that are expected now.
    pub(super) expects: Vec<Expect>,
}

/// The way to the store.
pub(super) struct Acks(mpsc::Sender<Ack>);

impl Acks {
    /// The way, and the task that writes until `stop` and nothing is left. So many may wait.
    pub(super) fn new(
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        waiting_max: usize,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (tx, rx) = mpsc::channel(waiting_max.max(1));
        (Self(tx), write(store, bus, rx, stop))
    }

    /// Hands over an ack; waits while too many are waiting. One that is lost, by a crash or because
    /// nobody waits for this any more, is made again: the device is sent the message once more.
    pub(super) async fn write(&self, ack: Ack) {
        let _ = self.0.send(ack).await;
    }
}

async fn write(
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    mut rx: mpsc::Receiver<Ack>,
    stop: CancellationToken,
) {
    let mut acks = Vec::new();
    loop {
        tokio::select! {
            n = rx.recv_many(&mut acks, BATCH_MAX) => if n == 0 { return },
            () = stop.cancelled(), if rx.is_empty() => return,
        }
        let changes = gather(acks.drain(..));
        let mut tries = 0;
        loop {
            match store.commit(changes.clone()).await {
                Ok(committed) => {
                    if committed.last_event > 0 {
                        tell_readers(&*bus, committed.last_event);
                    }
                    break;
                }
                Err(CommitError::Store(error)) => {
                    tries += 1;
                    tracing::warn!(%error, "devices' acks wait for the store");
                    tokio::select! {
                        () = tokio::time::sleep(BACKOFF.delay(tries, fastrand::f64())) => {}
                        () = stop.cancelled() => return,
                    }
                }
                // The messages are sent again when the devices come back.
                Err(error) => {
                    tracing::error!(%error, "devices' acks cannot be written");
                    break;
                }
            }
        }
    }
}

fn tell_readers(bus: &dyn Bus, seq: u64) {
    if let Ok(body) = serde_json::to_vec(&LogNudge { seq }) {
        bus.nudge(&Mailbox::Event(LogNudge::MAILBOX.to_owned()), body.into());
    }
}

fn gather(acks: impl Iterator<Item = Ack>) -> Changes {
    let mut through: HashMap<ThreadId, u64> = HashMap::new();
    let mut changes = Changes::default();
    for ack in acks {
        if ack.through > 0 {
            let newest = through.entry(ack.thread).or_default();
            *newest = ack.through.max(*newest);
        }
        changes.receipts.extend(ack.words);
        changes.expects.extend(ack.expects);
    }
    changes.device_acks = through.into_iter().collect();
    changes
}
