//! Answers of this gateway that are held back for a reply: who waits, who has claimed one, what became
//! of it. [`Book`] decides without IO; [`Slots`] tells sinks and the store.

mod book;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{ChannelId, Clock, InstanceId, ThreadId};
use patchbay_sdk::{RideAnswer, Slot, SlotAsk, SlotSaid, SlotWord};
use patchbay_store::LiveChange;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::book::{Arrived, Book, Key, Outcome};
use super::Registrar;

/// A claim comes too late for a request that is answered sooner than this.
const CLAIM_LEFT_MIN: Duration = Duration::from_millis(200);

/// The answers held back by one gateway.
pub struct Slots {
    instance: InstanceId,
    registrar: Registrar,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    book: Mutex<Book<oneshot::Sender<Telling>>>,
}

/// What becomes of a request that may wait.
pub enum Entered {
    /// It does not: there is no room for it, or sinks could not be told.
    No,
    /// It waits.
    Held(Hold),
    /// What an earlier request with the same message was answered.
    Again(Telling),
}

/// A request that waits. Dropping it gives its place up.
pub struct Hold {
    slots: Arc<Slots>,
    key: Key,
    request: u64,
    until: Instant,
    turn: oneshot::Receiver<Telling>,
}

/// An answer on its way into a connection. Dropped before it was taken, nothing of it has left.
pub struct Telling {
    slots: Arc<Slots>,
    key: Key,
    answer: Arc<RideAnswer>,
    taken: bool,
}

impl Slots {
    /// No answer is held back.
    #[must_use]
    pub fn new(
        instance: InstanceId,
        registrar: Registrar,
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            instance,
            registrar,
            bus,
            clock,
            book: Mutex::default(),
        })
    }

    /// A request comes whose answer may wait, from now until the slot's deadline. When this returns,
    /// sinks can find this gateway.
    pub async fn enter(self: &Arc<Self>, channel: &ChannelId, slot: Slot) -> Entered {
        let now = Instant::now();
        let until = now + slot.deadline;
        let thread = ThreadId::of(channel, &slot.address);
        let key: Key = (channel.clone(), slot.key.clone());
        let (waiter, turn) = oneshot::channel();
        let since = self.clock.now();
        let arrived = {
            let mut book = self.book.lock();
            let arrived = book.enter(now, since, &key, thread, slot, waiter);
            meter(channel, arrived.word());
            gauge(channel, book.held(channel));
            arrived
        };
        let request = match arrived {
            Arrived::Full => return Entered::No,
            Arrived::Again(answer) => return Entered::Again(self.telling(key, answer)),
            // The older request is told by the loss of its place.
            Arrived::Held(request) | Arrived::Joined(request, _) => request,
        };
        // From here on dropping it cleans up, whatever happens.
        let hold = Hold {
            slots: Arc::clone(self),
            key,
            request,
            until,
            turn,
        };
        let on = self.registrar.live(self.change(thread, true));
        match timeout_at(until, on).await {
            Ok(Ok(())) => Entered::Held(hold),
            _ => Entered::No,
        }
    }

    /// A sink wants an answer.
    pub(super) fn claim(&self, ask: &SlotAsk) {
        let now = Instant::now();
        let least = now + CLAIM_LEFT_MIN;
        let granted = self.book.lock().claim(least, ask.thread_id, ask.message);
        let said = match granted {
            None => SlotSaid::Refused,
            Some(granted) => {
                meter(&granted.channel, "claimed");
                let left = granted.until.saturating_duration_since(now);
                SlotSaid::Granted {
                    slot: Box::new(granted.slot),
                    left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                    since: granted.since,
                }
            }
        };
        self.say(ask, said);
    }

    /// A sink does not want the answer after all.
    pub(super) fn release(&self, ask: &SlotAsk) {
        self.book.lock().release(ask.thread_id, ask.message);
    }

    /// A sink hands over what is to be written.
    pub(super) fn hand(self: &Arc<Self>, ask: &SlotAsk, answer: RideAnswer) {
        let answer = Arc::new(answer);
        let handed = {
            let mut book = self.book.lock();
            let handed = book.hand(Instant::now(), ask.clone(), Arc::clone(&answer));
            if let Some((key, _)) = &handed {
                self.left(&book, key, ask.thread_id);
            }
            handed
        };
        match handed {
            // Whoever has gone away drops it, which says that nothing was written.
            Some((key, waiter)) => drop(waiter.send(self.telling(key, answer))),
            None => self.say(ask, SlotSaid::NotWritten),
        }
    }

    fn telling(self: &Arc<Self>, key: Key, answer: Arc<RideAnswer>) -> Telling {
        Telling {
            slots: Arc::clone(self),
            key,
            answer,
            taken: false,
        }
    }

    /// A request is given up: answered otherwise, or the provider has gone away.
    fn leave(&self, key: &Key, request: u64, why: &'static str) {
        let mut book = self.book.lock();
        if let Some(thread) = book.leave(key, request) {
            meter(&key.0, why);
            self.left(&book, key, thread);
        }
    }

    /// Under the lock, so that a request that comes at the same time is written after it.
    fn left(&self, book: &Book<oneshot::Sender<Telling>>, key: &Key, thread: ThreadId) {
        gauge(&key.0, book.held(&key.0));
        if !book.waits(thread) {
            self.registrar.gone(self.change(thread, false));
        }
    }

    fn change(&self, thread: ThreadId, on: bool) -> LiveChange {
        LiveChange {
            thread,
            gateway: self.instance.clone(),
            on,
        }
    }

    fn told(&self, key: &Key, written: bool) {
        let outcome = self.book.lock().told(key, written);
        let (ask, said) = match outcome {
            Some(Outcome::Written(ask)) => {
                meter(&key.0, "answered");
                (ask, SlotSaid::Written)
            }
            Some(Outcome::NotWritten(ask)) => (ask, SlotSaid::NotWritten),
            None => return,
        };
        self.say(&ask, said);
    }

    fn say(&self, ask: &SlotAsk, said: SlotSaid) {
        let word = SlotWord {
            ask: ask.ask,
            gateway: self.instance.clone(),
            said,
        };
        let body = serde_json::to_vec(&word).expect("strings and numbers are JSON");
        let mailbox = Mailbox::Sinks(ask.sinks.0.clone());
        self.bus.nudge(&mailbox, body.into());
    }
}

impl Hold {
    /// Waits for a reply; `None` once the time is over, a newer request has taken the place, or we
    /// stop.
    pub async fn wait(mut self, stop: &CancellationToken) -> Option<Telling> {
        let why = tokio::select! {
            biased;
            turn = &mut self.turn => return turn.ok(),
            () = stop.cancelled() => "stopped",
            () = sleep_until(self.until) => "expired",
        };
        self.slots.leave(&self.key, self.request, why);
        self.turn.try_recv().ok()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.slots.leave(&self.key, self.request, "gone");
    }
}

impl Telling {
    /// What goes over the wire; `None` if it is not well-formed.
    #[must_use]
    pub fn parts(&self) -> Option<(StatusCode, HeaderMap, String)> {
        self.answer.parts()
    }

    /// The connection has taken it.
    pub fn taken(&mut self) {
        self.taken = true;
        self.slots.told(&self.key, true);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if !self.taken {
            self.slots.told(&self.key, false);
        }
    }
}

fn meter(channel: &ChannelId, outcome: &'static str) {
    metrics::counter!("patchbay_ingress_slots_total", "channel" => channel.to_string(), "outcome" => outcome)
        .increment(1);
}

fn gauge(channel: &ChannelId, held: u32) {
    metrics::gauge!("patchbay_ingress_slots_held", "channel" => channel.to_string()).set(held);
}
