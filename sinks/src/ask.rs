//! Questions to gateways about answers they hold back, by the mailboxes that live pushes go by. Every
//! question has a short bound: silence is an answer too.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use patchbay_bus::{BusError, Mailbox};
use patchbay_message::{InstanceId, MessageId, ThreadId, Time};
use patchbay_sdk::{Nudge, RideAnswer, Slot, SlotAsk, SlotSaid, SlotWord};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::worker::Worker;

/// How long gateways may take to say whether they hold an answer.
const CLAIM_WAIT: Duration = Duration::from_millis(500);
/// How long a gateway may take to say what became of an answer that was handed to it.
const HAND_WAIT: Duration = Duration::from_secs(2);
/// Before a mailbox that was lost is opened again.
const REOPEN: Duration = Duration::from_millis(500);

/// Questions that wait for a word: at most one for every message on its way.
#[derive(Default)]
pub(crate) struct Asks {
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, mpsc::Sender<SlotWord>>>,
}

/// One question; dropping it, nobody listens any more.
struct Asking<'a> {
    worker: &'a Worker,
    ask: SlotAsk,
    words: mpsc::Receiver<SlotWord>,
}

/// An answer that waits for one message.
pub(crate) struct Claimed {
    gateway: InstanceId,
    thread: ThreadId,
    message: MessageId,
    pub(crate) slot: Slot,
    /// Written after this, it comes too late.
    pub(crate) until: Instant,
    since: Time,
}

/// What became of an answer that was handed over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Handed {
    Written,
    NotWritten,
    Unknown,
}

/// Passes on what gateways say, for ever.
pub(crate) async fn listen(worker: &Worker) {
    loop {
        let own = Mailbox::Sinks(worker.instance.0.clone());
        match worker.bus.mailbox(own).await {
            Ok(mut bodies) => {
                while let Some(body) = bodies.recv().await {
                    worker.asks.heard(&body);
                }
            }
            Err(BusError(error)) => tracing::debug!(%error, "mailbox not open"),
        }
        tokio::time::sleep(REOPEN).await;
    }
}

impl Asks {
    fn heard(&self, body: &[u8]) {
        let Ok(word) = serde_json::from_slice::<SlotWord>(body) else {
            tracing::warn!(bytes = body.len(), "word of a gateway not understood");
            return;
        };
        // One that comes too late finds nobody.
        if let Some(waiting) = self.waiting.lock().get(&word.ask) {
            let _ = waiting.try_send(word);
        }
    }
}

impl<'a> Asking<'a> {
    fn new(worker: &'a Worker, thread_id: ThreadId, message: MessageId, n_words: usize) -> Self {
        let number = worker.asks.last.fetch_add(1, Ordering::Relaxed);
        let (sender, words) = mpsc::channel(n_words.max(1));
        worker.asks.waiting.lock().insert(number, sender);
        let ask = SlotAsk {
            thread_id,
            message,
            sinks: worker.instance.clone(),
            ask: number,
        };
        Self { worker, ask, words }
    }

    fn tell(&self, gateway: &InstanceId, nudge: &Nudge) {
        let body = serde_json::to_vec(nudge).expect("strings and numbers are JSON");
        let mailbox = Mailbox::Gateway(gateway.0.clone());
        self.worker.bus.nudge(&mailbox, Bytes::from(body));
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.worker.asks.waiting.lock().remove(&self.ask.ask);
    }
}

/// Claims the answer of a thread for one message: of several gateways that hold one, at the one whom the
/// provider asked last. Whoever else has granted it, or says nothing, is told that it is not needed.
pub(crate) async fn claim(
    worker: &Worker,
    thread: ThreadId,
    message: MessageId,
    gateways: &[InstanceId],
) -> Option<Claimed> {
    let mut asking = Asking::new(worker, thread, message, gateways.len());
    let nudge = Nudge::Claim(asking.ask.clone());
    for gateway in gateways {
        asking.tell(gateway, &nudge);
    }
    let deadline = Instant::now() + CLAIM_WAIT;
    let mut best: Option<Claimed> = None;
    let mut others: Vec<InstanceId> = gateways.to_vec();
    for _ in gateways {
        let Ok(Some(word)) = timeout_at(deadline, asking.words.recv()).await else {
            break;
        };
        let SlotSaid::Granted {
            slot,
            left_ms,
            since,
        } = word.said
        else {
            others.retain(|gateway| *gateway != word.gateway);
            continue;
        };
        if best.as_ref().is_none_or(|best| since > best.since) {
            best = Some(Claimed {
                gateway: word.gateway,
                thread,
                message,
                slot: *slot,
                until: Instant::now() + Duration::from_millis(left_ms),
                since,
            });
        }
    }
    let release = Nudge::Release(asking.ask.clone());
    let chosen = best.as_ref().map(|best| &best.gateway);
    for gateway in others.iter().filter(|other| Some(*other) != chosen) {
        asking.tell(gateway, &release);
    }
    best
}

impl Claimed {
    /// The answer is not needed after all.
    pub(crate) fn release(&self, worker: &Worker) {
        let asking = Asking::new(worker, self.thread, self.message, 1);
        asking.tell(&self.gateway, &Nudge::Release(asking.ask.clone()));
    }

    /// Hands the answer over. Silence says nothing about it.
    pub(crate) async fn hand(&self, worker: &Worker, answer: RideAnswer) -> Handed {
        let mut asking = Asking::new(worker, self.thread, self.message, 1);
        let ask = asking.ask.clone();
        asking.tell(&self.gateway, &Nudge::Hand { ask, answer });
        let deadline = Instant::now() + HAND_WAIT;
        match timeout_at(deadline, asking.words.recv()).await {
            Ok(Some(word)) => match word.said {
                SlotSaid::Written => Handed::Written,
                SlotSaid::NotWritten | SlotSaid::Refused => Handed::NotWritten,
                SlotSaid::Granted { .. } => Handed::Unknown,
            },
            Ok(None) | Err(_) => Handed::Unknown,
        }
    }
}
