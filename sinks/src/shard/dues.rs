//! When to look for parked messages that are due: at the times known here, and every now and then.

use std::{collections::BTreeSet, time::Duration};

use patchbay_message::Time;
use tokio::time::Instant;

/// Times remembered; beyond it the farthest are left to the regular look.
const TIMES_MAX: usize = 4096;
/// Times this close together count as one, and two looks are at least this far apart.
const GRAIN_MS: i64 = 20;

#[derive(Debug)]
pub(super) struct Dues {
    times: BTreeSet<i64>,
    looked: Instant,
    again: bool,
    /// How long a look without a reason is put off.
    tick: Duration,
}

impl Dues {
    pub(super) fn new(tick: Duration) -> Self {
        Self {
            times: BTreeSet::new(),
            looked: Instant::now(),
            again: false,
            tick,
        }
    }

    /// Something is due then.
    pub(super) fn add(&mut self, due: Time) {
        let grain = due.as_ms().div_euclid(GRAIN_MS) + 1;
        self.times.insert(grain * GRAIN_MS);
        if self.times.len() > TIMES_MAX {
            self.times.pop_last();
        }
    }

    /// A look at `now` begins.
    pub(super) fn looking(&mut self, now: Time) {
        self.times = self.times.split_off(&(now.as_ms() + 1));
        self.looked = Instant::now();
        self.again = false;
    }

    /// The look did not see everything: look again soon.
    pub(super) fn look_again(&mut self) {
        self.again = true;
    }

    /// When to look next.
    pub(super) fn next_poll(&self, now: Time) -> Instant {
        let grain = Duration::from_millis(GRAIN_MS.unsigned_abs());
        if self.again {
            return self.looked + grain;
        }
        let regular = self.looked + self.tick;
        let Some(first) = self.times.first() else {
            return regular;
        };
        let first = Instant::now() + Time::from_ms(*first).since(now);
        regular.min(first).max(self.looked + grain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_when_something_is_due_and_every_now_and_then() {
        let now = Time::from_ms(1_000_000);
        let start = Instant::now();
        let tick = Duration::from_secs(1);
        let mut dues = Dues::new(tick);
        assert_eq!(dues.next_poll(now), start + tick);
        dues.add(now.plus(Duration::from_millis(300)));
        let next = dues.next_poll(now) - start;
        assert!((300..=320).contains(&next.as_millis()), "{next:?}");
        dues.looking(now.plus(Duration::from_millis(320)));
        assert_eq!(dues.next_poll(now), start + tick);
    }
}
