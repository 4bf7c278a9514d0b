//! Which delivery tags may be acked, and how: everything before the first open one with one frame.

use std::collections::BTreeSet;

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
