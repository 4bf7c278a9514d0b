//! One queue as it stands in memory: what is ready, what is handed over, who consumes.
//!
//! The journal is the truth; this is its front. The tail is kept here up to a bound; past it the
//! queue is read back from the journal when the consumer gets there.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::journal::Left;
use crate::{BusError, Message, PublishError, Queue};

/// A message with its place in the queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) message: Message,
    pub(super) redelivered: bool,
}

/// The bounds a queue obeys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) length_max: usize,
    pub(super) bytes_max: u64,
    pub(super) tail_bytes_max: usize,
    /// Below this many ready messages the next ones are read from the journal.
    pub(super) refill_below: usize,
}

pub(super) struct Cell {
    pub(super) queue: Queue,
    bounds: Bounds,
    state: Mutex<State>,
}

struct State {
    /// All that is in the journal and not acked, and what publishes under way have reserved.
    length: usize,
    bytes: u64,
    reserved: usize,
    /// The next place to give; only the writer moves it.
    next: u64,
    /// Everything below is durable (or never was).
    committed: u64,
    /// Everything below was in the journal before this process: perhaps worked on already.
    redelivered_below: u64,
    ready: VecDeque<Entry>,
    ready_bytes: usize,
    /// Everything below has passed through `ready`.
    read_to: u64,
    refilling: bool,
    open: Open,
    /// The first is active.
    consumers: VecDeque<Waiting>,
    /// The active consumer waits for an ack, being at its prefetch.
    stalled: bool,
    acked: Vec<u64>,
    broken: Option<String>,
}

/// Deliveries handed to the active consumer and not acked, in order. Bounded by its prefetch.
#[derive(Default)]
struct Open {
    entries: VecDeque<(u64, Option<Message>)>,
    n: usize,
}

struct Waiting {
    id: u64,
    wake: Arc<Notify>,
}

/// What a consumer may do next.
pub(super) enum Turn {
    Take(Vec<Entry>),
    /// Nothing now; wait for the wake-up.
    Wait,
    Broken(BusError),
}

impl Open {
    fn push(&mut self, seq: u64, message: Message) {
        self.entries.push_back((seq, Some(message)));
        self.n += 1;
    }

    fn remove(&mut self, seq: u64) -> Option<Message> {
        let at = self
            .entries
            .binary_search_by_key(&seq, |(seq, _)| *seq)
            .ok()?;
        let message = self.entries[at].1.take()?;
        self.n -= 1;
        while matches!(self.entries.front(), Some((_, None))) {
            self.entries.pop_front();
        }
        Some(message)
    }
}

impl Cell {
    pub(super) fn new(queue: Queue, bounds: Bounds, left: Option<&Left>) -> Self {
        let seqs = left.map_or(1..1, |left| left.seqs.clone());
        Self {
            queue,
            bounds,
            state: Mutex::new(State {
                length: left.map_or(0, |left| left.length),
                bytes: left.map_or(0, |left| left.bytes),
                reserved: 0,
                next: seqs.end,
                committed: seqs.end,
                redelivered_below: seqs.end,
                ready: VecDeque::new(),
                ready_bytes: 0,
                read_to: seqs.start,
                refilling: false,
                open: Open::default(),
                consumers: VecDeque::new(),
                stalled: false,
                acked: Vec::new(),
                broken: None,
            }),
        }
    }

    /// Makes room for messages about to be published.
    pub(super) fn reserve(&self, n: usize, bytes: u64) -> Result<(), PublishError> {
        let mut state = self.state.lock();
        let bound = if state.length + n > self.bounds.length_max {
            "queue_length_max"
        } else if state.bytes + bytes > self.bounds.bytes_max {
            "queue_bytes_max"
        } else {
            state.length += n;
            state.reserved += n;
            state.bytes += bytes;
            return Ok(());
        };
        drop(state);
        crate::meter::bound_hit(bound);
        Err(PublishError::Full(self.queue))
    }

    /// Gives back what [`Self::reserve`] took: the publish failed.
    pub(super) fn release(&self, n: usize, bytes: u64) {
        let mut state = self.state.lock();
        state.length -= n;
        state.reserved -= n;
        state.bytes -= bytes;
    }

    /// The next place; for the writer only. A place whose commit failed stays empty.
    pub(super) fn assign(&self) -> u64 {
        let mut state = self.state.lock();
        state.next += 1;
        state.next - 1
    }

    /// Messages became durable, in order; for the writer only.
    pub(super) fn committed(&self, entries: impl Iterator<Item = (u64, Message)>) {
        let mut state = self.state.lock();
        for (seq, message) in entries {
            let caught_up = state.read_to == state.committed;
            state.reserved -= 1;
            state.committed = seq + 1;
            if caught_up && state.ready_bytes + message.body.len() <= self.bounds.tail_bytes_max {
                state.ready_bytes += message.body.len();
                state.read_to = seq + 1;
                state.ready.push_back(Entry {
                    seq,
                    message,
                    redelivered: false,
                });
            }
        }
        state.wake_active();
    }

    /// Messages waiting to be handed over.
    pub(super) fn depth(&self) -> u64 {
        let state = self.state.lock();
        (state.length - state.reserved - state.open.n) as u64
    }

    /// Joins the line. What broke earlier consumers is tried again.
    pub(super) fn subscribe(&self, id: u64, wake: Arc<Notify>) {
        let mut state = self.state.lock();
        state.broken = None;
        state.consumers.push_back(Waiting { id, wake });
    }

    /// The consumer goes; what it had not acked is ready again. Returns how many those are.
    pub(super) fn unsubscribe(&self, id: u64) -> usize {
        let mut state = self.state.lock();
        let was_active = state.is_active(id);
        state.consumers.retain(|waiting| waiting.id != id);
        if !was_active {
            return 0;
        }
        let open = std::mem::take(&mut state.open);
        for (seq, message) in open.entries.into_iter().rev() {
            if let Some(message) = message {
                state.ready_bytes += message.body.len();
                state.ready.push_front(Entry {
                    seq,
                    message,
                    redelivered: true,
                });
            }
        }
        state.wake_active();
        open.n
    }

    /// Hands up to `max` ready messages to the consumer if it is the active one and below its
    /// prefetch. The range, if any, is to be read from the journal and given to [`Self::refill`].
    pub(super) fn take(&self, id: u64, max: usize, prefetch: usize) -> (Turn, Option<Range<u64>>) {
        let mut state = self.state.lock();
        if let Some(problem) = &state.broken {
            return (Turn::Broken(BusError(problem.clone())), None);
        }
        if !state.is_active(id) {
            return (Turn::Wait, None);
        }
        let n = max
            .min(prefetch.saturating_sub(state.open.n))
            .min(state.ready.len());
        let taken: Vec<Entry> = state.ready.drain(..n).collect();
        for entry in &taken {
            state.ready_bytes -= entry.message.body.len();
            state.open.push(entry.seq, entry.message.clone());
        }
        state.stalled = taken.is_empty() && !state.ready.is_empty();
        let refill = state.begin_refill(self.bounds.refill_below);
        let turn = if taken.is_empty() {
            Turn::Wait
        } else {
            Turn::Take(taken)
        };
        (turn, refill)
    }

    /// What was read back from the journal; `read_to` is where the reading ended.
    pub(super) fn refill(&self, found: Vec<(u64, Message)>, read_to: u64) {
        let mut state = self.state.lock();
        state.refilling = false;
        state.read_to = read_to;
        for (seq, message) in found {
            state.ready_bytes += message.body.len();
            let redelivered = seq < state.redelivered_below;
            state.ready.push_back(Entry {
                seq,
                message,
                redelivered,
            });
        }
        state.wake_active();
    }

    /// The queue cannot be read on; every consumer is told.
    pub(super) fn break_off(&self, problem: &str) {
        let mut state = self.state.lock();
        state.refilling = false;
        state.broken = Some(problem.to_owned());
        for waiting in &state.consumers {
            waiting.wake.notify_one();
        }
    }

    /// A delivery is done with. False if it is not the consumer's any more.
    pub(super) fn ack(&self, id: u64, seq: u64) -> bool {
        let mut state = self.state.lock();
        if !state.is_active(id) {
            return false;
        }
        let Some(message) = state.open.remove(seq) else {
            return false;
        };
        state.length -= 1;
        state.bytes -= message.body.len() as u64;
        state.acked.push(seq);
        if std::mem::take(&mut state.stalled) {
            state.wake_active();
        }
        true
    }

    /// What was acked since the last call, to be deleted from the journal.
    pub(super) fn take_acked(&self) -> Vec<u64> {
        std::mem::take(&mut self.state.lock().acked)
    }

    /// The deletion failed: next time.
    pub(super) fn give_back_acked(&self, mut seqs: Vec<u64>) {
        self.state.lock().acked.append(&mut seqs);
    }
}

impl State {
    fn is_active(&self, id: u64) -> bool {
        self.consumers.front().is_some_and(|first| first.id == id)
    }

    fn wake_active(&self) {
        if let Some(active) = self.consumers.front() {
            active.wake.notify_one();
        }
    }

    fn begin_refill(&mut self, below: usize) -> Option<Range<u64>> {
        if self.refilling || self.ready.len() >= below || self.read_to >= self.committed {
            return None;
        }
        self.refilling = true;
        Some(self.read_to..self.committed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use bytes::Bytes;
    use patchbay_message::MessageId;
    use proptest::prelude::*;

    use super::*;

    const BODY_BYTES: usize = 10;
    const BOUNDS: Bounds = Bounds {
        length_max: 30,
        bytes_max: 1000,
        tail_bytes_max: 5 * BODY_BYTES,
        refill_below: 2,
    };
    const REFILL_MAX: usize = 3;
    const PREFETCH: usize = 6;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Publish(usize),
        FailToPublish(usize),
        Subscribe,
        /// The consumer at this place in the line goes.
        Unsubscribe(usize),
        Take(usize),
        /// The open delivery at this place is acked.
        Ack(usize),
        Refill,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1_usize..8).prop_map(Step::Publish),
            1 => (1_usize..4).prop_map(Step::FailToPublish),
            2 => Just(Step::Subscribe),
            1 => (0_usize..4).prop_map(Step::Unsubscribe),
            6 => (1_usize..5).prop_map(Step::Take),
            6 => (0_usize..PREFETCH).prop_map(Step::Ack),
            3 => Just(Step::Refill),
        ]
    }

    /// The queue as it should be, and the journal the cell reads back from.
    #[derive(Default)]
    struct Model {
        journal: BTreeMap<u64, Message>,
        open: BTreeSet<u64>,
        handed_out: BTreeSet<u64>,
        line: Vec<u64>,
        n_subscribed: u64,
        refill: Option<Range<u64>>,
    }

    fn message() -> Message {
        Message {
            id: MessageId::new(),
            kind: "message".into(),
            body: Bytes::from_static(&[b'x'; BODY_BYTES]),
        }
    }

    impl Model {
        fn publish(&mut self, cell: &Cell, n: usize, works: bool) {
            let room = self.journal.len() + n <= BOUNDS.length_max;
            let reserved = cell.reserve(n, (n * BODY_BYTES) as u64);
            assert_eq!(reserved.is_ok(), room);
            if !room {
                return;
            }
            let entries: Vec<_> = (0..n).map(|_| (cell.assign(), message())).collect();
            if works {
                self.journal.extend(entries.iter().cloned());
                cell.committed(entries.into_iter());
            } else {
                cell.release(n, (n * BODY_BYTES) as u64);
            }
        }

        fn take(&mut self, cell: &Cell, max: usize) {
            let Some(active) = self.line.first() else {
                return;
            };
            for standby in &self.line[1..] {
                assert!(matches!(cell.take(*standby, max, PREFETCH).0, Turn::Wait));
            }
            let (turn, refill) = cell.take(*active, max, PREFETCH);
            assert!(refill.is_none() || self.refill.is_none());
            self.refill = self.refill.take().or(refill);
            let Turn::Take(taken) = turn else { return };
            let mut expected = self.journal.keys().filter(|seq| !self.open.contains(seq));
            for entry in &taken {
                assert_eq!(
                    Some(&entry.seq),
                    expected.next(),
                    "in order, nothing left out"
                );
                assert_eq!(entry.message, self.journal[&entry.seq]);
                assert_eq!(entry.redelivered, self.handed_out.contains(&entry.seq));
            }
            let seqs = taken.iter().map(|entry| entry.seq);
            self.open.extend(seqs.clone());
            self.handed_out.extend(seqs);
            assert!(self.open.len() <= PREFETCH);
        }

        fn ack(&mut self, cell: &Cell, at: usize) {
            let (Some(active), Some(seq)) = (self.line.first(), self.open.iter().nth(at)) else {
                return;
            };
            let seq = *seq;
            assert!(!cell.ack(active + 1000, seq), "of another consumer");
            assert!(cell.ack(*active, seq));
            assert!(!cell.ack(*active, seq), "twice");
            self.open.remove(&seq);
            self.journal.remove(&seq);
        }

        fn unsubscribe(&mut self, cell: &Cell, at: usize) {
            if at < self.line.len() {
                let returned = cell.unsubscribe(self.line.remove(at));
                if at == 0 {
                    assert_eq!(returned, self.open.len());
                    self.open.clear();
                }
            }
        }

        /// Reads back as the journal does.
        fn refill(&mut self, cell: &Cell) {
            if let Some(seqs) = self.refill.take() {
                let end = seqs.end;
                let found: Vec<_> = self.journal.range(seqs).take(REFILL_MAX).collect();
                let read_to = match found.last() {
                    Some((last, _)) if found.len() == REFILL_MAX => **last + 1,
                    _ => end,
                };
                let found = found.into_iter().map(|(seq, m)| (*seq, m.clone()));
                cell.refill(found.collect(), read_to);
            }
        }

        fn run(&mut self, cell: &Cell, step: Step) {
            match step {
                Step::Publish(n) => self.publish(cell, n, true),
                Step::FailToPublish(n) => self.publish(cell, n, false),
                Step::Subscribe => {
                    self.n_subscribed += 1;
                    self.line.push(self.n_subscribed);
                    cell.subscribe(self.n_subscribed, Arc::new(Notify::new()));
                }
                Step::Unsubscribe(at) => self.unsubscribe(cell, at),
                Step::Take(max) => self.take(cell, max),
                Step::Ack(at) => self.ack(cell, at),
                Step::Refill => self.refill(cell),
            }
            let n_waiting = self.journal.len() - self.open.len();
            assert_eq!(cell.depth(), n_waiting as u64);
        }
    }

    proptest! {
        #[test]
        fn a_queue_stays_a_queue(steps in prop::collection::vec(step(), 0..150)) {
            let cell = Cell::new(Queue::Inbound(0), BOUNDS, None);
            let mut model = Model::default();
            for step in steps {
                model.run(&cell, step);
            }
            // Whatever happened, the rest can be had.
            model.run(&cell, Step::Subscribe);
            while !model.journal.is_empty() {
                model.run(&cell, Step::Refill);
                model.run(&cell, Step::Take(5));
                model.run(&cell, Step::Ack(0));
            }
        }
    }
}
