//! The order of one lane, without IO: which number is next, what waits in memory, what waits in the
//! store.
//!
//! A lane performs `last + 1` only. While that one is under way or rests in the store, everything
//! behind it is held in memory (if there is room) or parked; a number that was performed, or is
//! known to be waiting, is a repeat.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers known one by one to be parked in a lane; beyond it only "there are more" is known.
const STORED_LISTED_MAX: usize = 1024;

/// One lane. `I` is what is performed.
#[derive(Debug)]
pub(crate) struct Lane<I> {
    /// The number performed next. What is before it is done, though its commit may be on its way.
    next: u64,
    state: State,
    /// Arrived behind the one under way; smaller numbers than `next` never stand here.
    held: BTreeMap<u64, I>,
    stored: Stored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing under way: `next` has not come yet, or waits in the store for its time.
    Idle,
    /// `next` is being performed.
    Running,
    /// `next` is in the store and on its way here.
    Refilling,
}

/// What the store holds of this lane, as far as this session knows.
#[derive(Debug, Default)]
struct Stored {
    listed: BTreeSet<u64>,
    /// There may be more than is listed.
    more: bool,
}

/// What to do with an arrival from the bus.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrive<I> {
    /// Perform it now.
    Start(I),
    /// It is kept here until its turn.
    Held,
    /// Park it as `behind`.
    Park(I),
    /// It is done, under way or waiting already: ack it.
    Repeat(I),
}

/// What to do with a parked one whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Perform it now.
    Start,
    /// It was performed: take it out of the store.
    Stale,
    /// The lane is busy, or an earlier number is missing: nothing now.
    NotYet,
}

/// What comes after one was performed, or after the store was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After<I> {
    /// Perform this one now.
    Start(I),
    /// The next one is in the store: once everything decided so far is committed, ask for it and
    /// call [`Lane::refilled`].
    Refill,
    /// Nothing to do. What was held stands behind a missing number and has to be parked.
    Idle(Vec<I>),
}

impl<I> Lane<I> {
    /// A lane as the store knows it: the last number done, the smallest one parked, and how many.
    pub(crate) fn new(done: u64, first_parked: Option<u64>, parked: u32) -> Self {
        Self {
            next: done + 1,
            state: State::Idle,
            held: BTreeMap::new(),
            stored: Stored {
                listed: first_parked.into_iter().collect(),
                more: parked > 1,
            },
        }
    }

    /// The number performed next.
    #[cfg(test)]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// How many are held in memory.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Nothing is known of it that the store does not know: it may be forgotten.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Idle && self.held.is_empty()
    }

    /// An arrival from the bus; `room` says whether memory allows to hold it.
    pub(crate) fn arrive(&mut self, seq: u64, item: I, room: bool) -> Arrive<I> {
        if seq < self.next || self.held.contains_key(&seq) || self.stored.listed.contains(&seq) {
            return Arrive::Repeat(item);
        }
        match self.state {
            State::Running if seq == self.next => Arrive::Repeat(item),
            State::Idle if seq == self.next => {
                self.state = State::Running;
                Arrive::Start(item)
            }
            // The store may turn out not to have the next one after all.
            State::Refilling if seq == self.next => {
                self.held.insert(seq, item);
                Arrive::Held
            }
            State::Running | State::Refilling if room => {
                self.held.insert(seq, item);
                Arrive::Held
            }
            State::Idle | State::Running | State::Refilling => {
                self.stored.add(seq);
                Arrive::Park(item)
            }
        }
    }

    /// A parked one's time has come.
    pub(crate) fn wake(&mut self, seq: u64) -> Wake {
        if seq < self.next {
            return Wake::Stale;
        }
        if seq > self.next || self.state != State::Idle {
            return Wake::NotYet;
        }
        self.state = State::Running;
        Wake::Start
    }

    /// The one under way is done with: sent, or given up.
    pub(crate) fn performed(&mut self) -> After<I> {
        debug_assert_eq!(
            self.state,
            State::Running,
            "only what runs can be performed"
        );
        self.next += 1;
        self.stored.forget_before(self.next);
        self.go_on()
    }

    /// The one under way cannot go now and rests in the store. What was held has to be parked
    /// behind it, unless it is there already.
    pub(crate) fn rest(&mut self) -> Vec<I> {
        debug_assert_eq!(self.state, State::Running, "only what runs can rest");
        self.stored.add(self.next);
        self.state = State::Idle;
        self.let_go()
    }

    /// What the store had of this lane, smallest first; `complete` if that was all. The second
    /// answer is what was held and turned out to be a repeat.
    pub(crate) fn refilled(&mut self, rows: Vec<(u64, I)>, complete: bool) -> (After<I>, Vec<I>) {
        if self.state != State::Refilling {
            return (After::Idle(Vec::new()), Vec::new());
        }
        if complete {
            self.stored.more = false;
        }
        let mut repeats = Vec::new();
        for (seq, item) in rows {
            self.stored.add(seq);
            if seq >= self.next
                && let Some(repeat) = self.held.insert(seq, item)
            {
                repeats.push(repeat);
            }
        }
        if !self.held.contains_key(&self.next) {
            // It is not there, whatever was believed.
            self.stored.listed.remove(&self.next);
            self.state = State::Idle;
            return (After::Idle(self.let_go()), repeats);
        }
        (self.go_on(), repeats)
    }

    fn go_on(&mut self) -> After<I> {
        if let Some(item) = self.held.remove(&self.next) {
            self.state = State::Running;
            After::Start(item)
        } else if self.stored.may_have(self.next) {
            self.state = State::Refilling;
            After::Refill
        } else {
            self.state = State::Idle;
            After::Idle(self.let_go())
        }
    }

    fn let_go(&mut self) -> Vec<I> {
        let held = std::mem::take(&mut self.held);
        held.into_iter()
            .map(|(seq, item)| {
                self.stored.add(seq);
                item
            })
            .collect()
    }
}

impl Stored {
    fn add(&mut self, seq: u64) {
        self.listed.insert(seq);
        if self.listed.len() > STORED_LISTED_MAX {
            self.listed.pop_last();
            self.more = true;
        }
    }

    fn may_have(&self, seq: u64) -> bool {
        self.more || self.listed.contains(&seq)
    }

    fn forget_before(&mut self, next: u64) {
        while self.listed.first().is_some_and(|first| *first < next) {
            self.listed.pop_first();
        }
    }
}

#[cfg(test)]
mod tests;
