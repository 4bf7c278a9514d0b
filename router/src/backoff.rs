//! How long to wait before trying again: twice as long each time, up to a bound, with jitter.

use std::time::Duration;

/// The pauses of one row of failures.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            next: min,
        }
    }

    /// It worked: the next failure waits the shortest time again.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    /// The next pause: between half of the bound reached so far and all of it.
    pub(crate) fn pause(&mut self) -> Duration {
        let bound = self.next;
        self.next = (bound * 2).min(self.max);
        bound.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Waits for the next pause.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.pause()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_bound_and_starts_over() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(35));
        let mut backoff = Backoff::new(min, max);
        for bound in [10, 20, 35, 35] {
            let bound = Duration::from_millis(bound);
            let pause = backoff.pause();
            assert!(
                pause >= bound / 2 && pause <= bound,
                "{pause:?} of {bound:?}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= min);
    }
}
