//! Points in time: UTC milliseconds, RFC 3339 on the wire; and the clock everyone asks.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339 UTC with
/// milliseconds. Any RFC 3339 offset is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "std::borrow::Cow<'_, str>", into = "String")]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Time(i64);

/// The text is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time between the years 0000 and 9999")]
pub struct BadTime;

/// 0000-01-01T00:00:00Z, the first that RFC 3339 can write, to 9999-12-30T22:00:00Z, the last that
/// has a date within year 9999 at every offset from UTC.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_207_200_000;

impl Time {
    /// From milliseconds since 1970, clamped to what RFC 3339 can write.
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        Self(ms.clamp(*RANGE.start(), *RANGE.end()))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn as_ms(self) -> i64 {
        self.0
    }

    /// This time and `later` more.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self::from_ms(
            self.0
                .saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// This time less `earlier`.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self::from_ms(
            self.0
                .saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The year it lies in (UTC).
    #[must_use]
    pub fn year(self) -> i16 {
        jiff::Timestamp::from_millisecond(self.0)
            .map_or(0, |stamp| stamp.to_zoned(jiff::tz::TimeZone::UTC).year())
    }

    /// How long after `earlier` this is; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{stamp:.3}")
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Time {
    type Err = BadTime;
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let ms = text
            .parse::<jiff::Timestamp>()
            .map_err(|_| BadTime)?
            .as_millisecond();
        if RANGE.contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(BadTime)
        }
    }
}

impl TryFrom<std::borrow::Cow<'_, str>> for Time {
    type Error = BadTime;
    fn try_from(text: std::borrow::Cow<'_, str>) -> Result<Self, BadTime> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

/// Where the time comes from; fixed in fixtures, the system's in service.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Time;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::from_ms(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Time) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let now = Time(self.0.load(Ordering::SeqCst)).plus(by);
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}
