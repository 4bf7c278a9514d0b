//! Which answers are held back, without IO.
//!
//! One slot per channel and key, however many requests the provider makes with the same message; the
//! newest of them is the one that is answered. A slot is claimed by one message, and gets one answer.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use patchbay_message::{ChannelId, MessageId, ThreadId, Time};
use patchbay_sdk::{RideAnswer, Slot, SlotAsk};
use tokio::time::Instant;

/// An answer is kept this long for repeats: WeChat's last try begins 10 s after the first and ends
/// 5 s later.
const KEPT: Duration = Duration::from_secs(30);
/// Answers kept; past it the oldest is forgotten. With
/// [`RIDE_BYTES_MAX`](patchbay_sdk::RIDE_BYTES_MAX) each they are 16 MiB at most.
const KEPT_MAX: usize = 1024;

/// Channel, and what its adapter calls the message.
pub(super) type Key = (ChannelId, String);

/// All slots of one gateway; `W` is how a waiting request is told.
pub(super) struct Book<W> {
    slots: HashMap<Key, Held<W>>,
    /// Those that wait, by whom they are for, first to last.
    threads: HashMap<ThreadId, Vec<Key>>,
    /// Requests that wait.
    held: HashMap<ChannelId, u32>,
    /// Those with an answer, first to last.
    kept: VecDeque<(Instant, Key)>,
    requests: u64,
}

struct Held<W> {
    thread: ThreadId,
    slot: Slot,
    since: Time,
    until: Instant,
    /// The newest request.
    request: u64,
    state: State<W>,
}

enum State<W> {
    Waits(W, Option<MessageId>),
    Answered {
        answer: Arc<RideAnswer>,
        /// Who is to be told what became of it.
        asker: Option<SlotAsk>,
        /// Connections that have it and have not said what became of it.
        n_out: u32,
        written: bool,
    },
}

/// What becomes of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Arrived<W> {
    /// It waits, by this number.
    Held(u64),
    /// It waits in place of an older one.
    Joined(u64, W),
    /// It gets what an older one got.
    Again(Arc<RideAnswer>),
    /// As many wait as may.
    Full,
}

impl<W> Arrived<W> {
    /// For the metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Held(_) => "held",
            Self::Joined(..) => "joined",
            Self::Again(_) => "again",
            Self::Full => "full",
        }
    }
}

/// A slot that a message has claimed.
#[derive(Debug, PartialEq)]
pub(super) struct Granted {
    pub(super) channel: ChannelId,
    pub(super) slot: Slot,
    pub(super) since: Time,
    pub(super) until: Instant,
}

/// What became of an answer that was handed over, and who wants to know.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Written(SlotAsk),
    NotWritten(SlotAsk),
}

impl<W> Default for Book<W> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            threads: HashMap::new(),
            held: HashMap::new(),
            kept: VecDeque::new(),
            requests: 0,
        }
    }
}

impl<W> Book<W> {
    /// A request comes.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        since: Time,
        key: &Key,
        thread: ThreadId,
        slot: Slot,
        waiter: W,
    ) -> Arrived<W> {
        self.forget(now);
        self.requests += 1;
        let (request, until) = (self.requests, now + slot.deadline);
        if let Some(held) = self.slots.get_mut(key) {
            match &mut held.state {
                State::Answered { answer, n_out, .. } => {
                    *n_out += 1;
                    return Arrived::Again(Arc::clone(answer));
                }
                State::Waits(older, _) => {
                    let older = std::mem::replace(older, waiter);
                    (held.request, held.until, held.since) = (request, until, since);
                    held.slot = slot;
                    return Arrived::Joined(request, older);
                }
            }
        }
        if self.held(&key.0) >= slot.held_max {
            return Arrived::Full;
        }
        *self.held.entry(key.0.clone()).or_default() += 1;
        self.threads.entry(thread).or_default().push(key.clone());
        let held = Held {
            thread,
            slot,
            since,
            until,
            request,
            state: State::Waits(waiter, None),
        };
        self.slots.insert(key.clone(), held);
        Arrived::Held(request)
    }

    /// Gives a message the slot of its thread that ends first, of those that wait until `least` and
    /// are nobody else's; the same one again if it asks again.
    pub(super) fn claim(
        &mut self,
        least: Instant,
        thread: ThreadId,
        message: MessageId,
    ) -> Option<Granted> {
        if let Some(key) = self.claimed(thread, message) {
            return self.granted(&key);
        }
        let keys = self.threads.get(&thread)?;
        let free = keys.iter().filter_map(|key| {
            let held = self.slots.get(key)?;
            let is_free = matches!(held.state, State::Waits(_, None)) && held.until >= least;
            is_free.then_some((held.until, key))
        });
        let key = free.min_by_key(|(until, _)| *until)?.1.clone();
        if let Some(State::Waits(_, claimed)) = self.slots.get_mut(&key).map(|held| &mut held.state)
        {
            *claimed = Some(message);
        }
        self.granted(&key)
    }

    fn granted(&self, key: &Key) -> Option<Granted> {
        let held = self.slots.get(key)?;
        Some(Granted {
            channel: key.0.clone(),
            slot: held.slot.clone(),
            since: held.since,
            until: held.until,
        })
    }

    /// The waiting slot that this message has claimed.
    fn claimed(&self, thread: ThreadId, message: MessageId) -> Option<Key> {
        let mut keys = self.threads.get(&thread)?.iter();
        let is_its = |key: &&Key| {
            let held = self.slots.get(*key);
            held.is_some_and(
                |held| matches!(held.state, State::Waits(_, Some(by)) if by == message),
            )
        };
        keys.find(is_its).cloned()
    }

    /// Another message may claim it.
    pub(super) fn release(&mut self, thread: ThreadId, message: MessageId) {
        if let Some(key) = self.claimed(thread, message)
            && let Some(State::Waits(_, claimed)) =
                self.slots.get_mut(&key).map(|held| &mut held.state)
        {
            *claimed = None;
        }
    }

    /// The message that has claimed it says what is to be answered: whom to tell. `None` if it has
    /// claimed none, or whoever waited has gone.
    pub(super) fn hand(
        &mut self,
        now: Instant,
        asker: SlotAsk,
        answer: Arc<RideAnswer>,
    ) -> Option<(Key, W)> {
        self.forget(now);
        let key = self.claimed(asker.thread_id, asker.message)?;
        let held = self.slots.get_mut(&key)?;
        let answered = State::Answered {
            answer,
            asker: Some(asker),
            n_out: 1,
            written: false,
        };
        let State::Waits(waiter, _) = std::mem::replace(&mut held.state, answered) else {
            return None;
        };
        let thread = held.thread;
        self.no_longer_waits(&key, thread);
        self.kept.push_back((now + KEPT, key.clone()));
        Some((key, waiter))
    }

    /// A connection says whether it took the answer.
    pub(super) fn told(&mut self, key: &Key, is_written: bool) -> Option<Outcome> {
        let State::Answered {
            asker,
            n_out,
            written,
            ..
        } = &mut self.slots.get_mut(key)?.state
        else {
            return None;
        };
        *n_out = n_out.saturating_sub(1);
        *written |= is_written;
        if *written {
            return asker.take().map(Outcome::Written);
        }
        if *n_out > 0 {
            return None;
        }
        // Nothing of it has left, and from here on nothing can.
        let outcome = asker.take().map(Outcome::NotWritten);
        self.slots.remove(key);
        self.kept.retain(|(_, kept)| kept != key);
        outcome
    }

    /// A request is given up: whose, if it was the one that waited.
    pub(super) fn leave(&mut self, key: &Key, request: u64) -> Option<ThreadId> {
        let held = self.slots.get(key)?;
        let is_waiting = matches!(held.state, State::Waits(..)) && held.request == request;
        let thread = is_waiting.then_some(held.thread)?;
        self.slots.remove(key);
        self.no_longer_waits(key, thread);
        Some(thread)
    }

    /// Whether a request of this thread waits.
    pub(super) fn waits(&self, thread: ThreadId) -> bool {
        self.threads.contains_key(&thread)
    }

    /// Requests of a channel that wait.
    pub(super) fn held(&self, channel: &ChannelId) -> u32 {
        self.held.get(channel).copied().unwrap_or_default()
    }

    fn no_longer_waits(&mut self, key: &Key, thread: ThreadId) {
        if let Some(held) = self.held.get_mut(&key.0) {
            *held -= 1;
        }
        if let Some(keys) = self.threads.get_mut(&thread) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.threads.remove(&thread);
            }
        }
    }

    /// Answers that are too old, or too many.
    fn forget(&mut self, now: Instant) {
        while let Some((until, _)) = self.kept.front() {
            if *until > now && self.kept.len() < KEPT_MAX {
                return;
            }
            if let Some((_, key)) = self.kept.pop_front() {
                self.slots.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
