//! How long to wait before trying again: doubling between two bounds, with jitter.

use std::time::Duration;

/// Pauses between tries. One type for channels, brokers, the store and the bus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub min: Duration,
    /// The longest pause.
    pub max: Duration,
    /// By which share of itself a pause may be longer: 0.2 = up to a fifth.
    pub jitter: f64,
}

/// For waits on our own store and bus.
pub(crate) const OWN_HOUSE: Backoff = Backoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(5),
    jitter: 0.5,
};

impl Backoff {
    /// The pause after so many tries; `random` is between 0 and 1.
    #[must_use]
    pub fn delay(&self, tries: u32, random: f64) -> Duration {
        let doublings = tries.saturating_sub(1).min(31);
        let pause = self.min.saturating_mul(1 << doublings).min(self.max);
        pause.mul_f64(1.0 + self.jitter * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_bound() {
        let backoff = Backoff {
            min: Duration::from_secs(1),
            max: Duration::from_secs(300),
            jitter: 0.2,
        };
        let seconds: Vec<u64> = [0, 1, 2, 3, 9, 10, 4_000_000_000]
            .iter()
            .map(|tries| backoff.delay(*tries, 0.0).as_secs())
            .collect();
        assert_eq!(seconds, [1, 1, 2, 4, 256, 300, 300]);
        assert_eq!(backoff.delay(10, 1.0), Duration::from_secs(360));
    }
}
