//! Acks, gathered for some milliseconds: everything before the first open delivery goes with one
//! frame, and what is later than one that stays open for long goes singly.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    options::RabbitOptions,
    wire::{Channel, Frames},
};
use crate::{AckSink, meter::Meter};

/// Gathers the acks of all subscriptions on one connection.
pub(super) struct Acker {
    subscriptions: Mutex<Vec<Weak<Subscription>>>,
    /// There is something to ack.
    wake: Notify,
    /// There is enough of it to be sent now.
    many: Notify,
    interval: Duration,
    batch_max: usize,
    straggler_wait: Duration,
}

impl Acker {
    pub(super) fn new(options: &RabbitOptions) -> Self {
        Self {
            subscriptions: Mutex::default(),
            wake: Notify::new(),
            many: Notify::new(),
            interval: options.ack_interval,
            batch_max: options.ack_batch_max,
            straggler_wait: options.ack_straggler_wait,
        }
    }

    /// Sends acks, as long as it is polled.
    pub(super) async fn run(&self) {
        loop {
            self.wake.notified().await;
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = self.many.notified() => {}
            }
            if self.flush(self.straggler_wait) {
                self.wake.notify_one();
            }
        }
    }

    /// Sends all acks there are.
    pub(super) fn flush_all(&self) {
        self.flush(Duration::ZERO);
    }

    /// True if something is held up by an open delivery.
    fn flush(&self, straggler_wait: Duration) -> bool {
        let mut held_up = false;
        self.subscriptions.lock().retain(|subscription| {
            let Some(subscription) = subscription.upgrade() else {
                return false;
            };
            held_up |= subscription.flush(straggler_wait);
            true
        });
        held_up
    }
}

/// What deliveries know of the subscription they came from.
pub(super) struct Subscription {
    state: Mutex<State>,
    acker: Arc<Acker>,
    meter: Arc<Meter>,
}

struct State {
    /// None once the consumer has gone: its messages belong to the next one.
    channel: Option<Channel>,
    tracker: Tracker,
    held_up_since: Option<Instant>,
}

impl Subscription {
    pub(super) fn new(channel: Channel, acker: Arc<Acker>, meter: Arc<Meter>) -> Arc<Self> {
        let subscription = Arc::new(Self {
            state: Mutex::new(State {
                channel: Some(channel),
                tracker: Tracker::default(),
                held_up_since: None,
            }),
            acker,
            meter,
        });
        let weak = Arc::downgrade(&subscription);
        subscription.acker.subscriptions.lock().push(weak);
        subscription
    }

    /// Deliveries are handed out; those with `foreign` tags go to the broker's dead letters.
    pub(super) fn opened(&self, tags: impl Iterator<Item = u64>, foreign: &[u64]) {
        let mut state = self.state.lock();
        for tag in tags {
            state.tracker.opened(tag);
        }
        if let Some(channel) = &state.channel
            && !foreign.is_empty()
        {
            let mut frames = Frames::default();
            for tag in foreign {
                frames.reject(channel.number(), *tag);
            }
            channel.send(&frames);
        }
    }

    /// The consumer goes. The channel is closed without cancelling first: that would hand the queue
    /// to the next consumer before it has what this one did not ack, so out of order.
    pub(super) fn end(&self) {
        self.flush(Duration::ZERO);
        let mut state = self.state.lock();
        let channel = state.channel.take();
        self.meter.settled(state.tracker.n_open());
        drop(state);
        drop(channel);
    }

    /// Sends what may be acked; what is held up by an open delivery only if it has been for
    /// `straggler_wait`. True if something remains.
    fn flush(&self, straggler_wait: Duration) -> bool {
        let mut state = self.state.lock();
        let State {
            channel: Some(channel),
            tracker,
            held_up_since,
        } = &mut *state
        else {
            return false;
        };
        let mut frames = Frames::default();
        if let Some(tag) = tracker.prefix() {
            frames.ack(channel.number(), tag, true);
        }
        if tracker.n_waiting() > 0 {
            let since = held_up_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= straggler_wait {
                for tag in tracker.singles() {
                    frames.ack(channel.number(), tag, false);
                }
            }
        }
        let held_up = tracker.n_waiting() > 0;
        if !held_up {
            *held_up_since = None;
        }
        if !frames.0.is_empty() {
            channel.send(&frames);
        }
        held_up
    }
}

impl AckSink for Subscription {
    fn ack(&self, tag: u64) {
        let mut state = self.state.lock();
        if state.channel.is_none() || !state.tracker.done(tag) {
            return;
        }
        let n_waiting = state.tracker.n_waiting();
        drop(state);
        self.meter.settled(1);
        if n_waiting == 1 {
            self.acker.wake.notify_one();
        }
        if n_waiting >= self.acker.batch_max {
            self.acker.many.notify_one();
        }
    }
}

/// The acks of one AMQP channel. What it holds is bounded by the channel's prefetch.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// Handed out and not done with.
    open: BTreeSet<u64>,
    /// Done with and not yet acked to the broker.
    waiting: BTreeSet<u64>,
}

impl Tracker {
    /// The delivery is handed out.
    pub(super) fn opened(&mut self, tag: u64) {
        self.open.insert(tag);
    }

    /// The delivery is done with. False if it is not known, or was done with before.
    pub(super) fn done(&mut self, tag: u64) -> bool {
        self.open.remove(&tag) && self.waiting.insert(tag)
    }

    /// Handed out and not done with.
    pub(super) fn n_open(&self) -> usize {
        self.open.len()
    }

    /// Acks not yet sent.
    pub(super) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The tag up to which everything may be acked at once, if there is anything to ack.
    pub(super) fn prefix(&mut self) -> Option<u64> {
        let later = match self.open.first() {
            Some(first) => self.waiting.split_off(first),
            None => BTreeSet::new(),
        };
        std::mem::replace(&mut self.waiting, later).last().copied()
    }

    /// What remains: done with, but later than an open one, so to be acked one by one.
    pub(super) fn singles(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::Tracker;

    #[derive(Debug, Clone)]
    enum Step {
        Deliver,
        Done(u64),
        Prefix,
        Singles,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => Just(Step::Deliver),
            6 => (1_u64..60).prop_map(Step::Done),
            1 => Just(Step::Prefix),
            1 => Just(Step::Singles),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// The broker closes the channel on an ack of an unknown tag, and forgets a message on a
        /// wrong one: each tag is acked once, and only when it is done with.
        #[test]
        fn acks_exactly_what_is_done(steps in steps()) {
            let mut tracker = Tracker::default();
            let (mut last_tag, mut done, mut acked) = (0, HashSet::new(), HashSet::new());
            for step in steps.into_iter().chain([Step::Prefix, Step::Singles]) {
                match step {
                    Step::Deliver => {
                        last_tag += 1;
                        tracker.opened(last_tag);
                    }
                    Step::Done(tag) => {
                        let news = tag <= last_tag && done.insert(tag);
                        prop_assert_eq!(tracker.done(tag), news);
                    }
                    Step::Prefix => {
                        if let Some(last) = tracker.prefix() {
                            prop_assert!(!acked.contains(&last), "the broker refuses that");
                            acked.extend(1..=last);
                        }
                    }
                    Step::Singles => {
                        for tag in tracker.singles() {
                            prop_assert!(acked.insert(tag), "acked twice");
                        }
                    }
                }
                prop_assert!(acked.is_subset(&done));
                prop_assert_eq!(tracker.n_waiting(), done.len() - acked.len());
                prop_assert_eq!(tracker.n_open(), usize::try_from(last_tag).unwrap() - done.len());
            }
            prop_assert_eq!(acked, done);
        }
    }
}
