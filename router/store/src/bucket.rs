//! The arithmetic of a rate bucket, the same for every backend.

use std::time::Duration;

use patchbay_message::Time;

/// The longest wait that is answered: a rate of zero may be changed meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// A bucket as it was when somebody last took from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// How much is in it.
    pub(crate) level: f64,
    /// When it was looked at.
    pub(crate) at: Time,
}

impl Bucket {
    /// A bucket nobody has taken from.
    pub(crate) fn full(burst: u32, now: Time) -> Self {
        Self {
            level: f64::from(burst),
            at: now,
        }
    }

    /// Fills up for the time since, takes up to `n` whole ones; answers how many, and how long
    /// until there is another one.
    pub(crate) fn take(&mut self, rate: f64, burst: u32, n: u32, now: Time) -> (u32, Duration) {
        let rate = sane(rate);
        let since = now.since(self.at).as_secs_f64();
        self.level = (self.level + since * rate).clamp(0.0, f64::from(burst));
        self.at = now;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between zero and burst, which is a u32"
        )]
        let granted = n.min(self.level.floor() as u32);
        self.level -= f64::from(granted);
        (granted, wait(self.level, rate, burst))
    }
}

/// A rate that can be reckoned with, per second.
pub(crate) fn sane(rate: f64) -> f64 {
    if rate.is_finite() { rate.max(0.0) } else { 0.0 }
}

/// How long until a bucket with this much in it holds a whole one.
pub(crate) fn wait(level: f64, rate: f64, burst: u32) -> Duration {
    let short = (1.0 - level).max(0.0);
    let wait = Duration::try_from_secs_f64(short / rate).unwrap_or(WAIT_MAX);
    // A burst of zero never holds a whole one.
    let wait = if burst == 0 { WAIT_MAX } else { wait };
    wait.min(WAIT_MAX)
}
