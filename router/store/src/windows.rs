//! Reply windows: a contact's message lets us answer until some time, and so often.

use patchbay_message::{MessageId, ThreadId, Time};

/// A window that a contact's message opens. Of each thread and quota the one that ends last is kept,
/// of those that end together (or never) the newest: another message of the kind begins the count
/// anew, it does not add to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyWindow {
    /// Whose.
    pub thread: ThreadId,
    /// Which message opened it.
    pub message: MessageId,
    /// Until when; without one, for ever.
    pub ends_at: Option<Time>,
    /// How many messages; without one, as many as we like.
    pub quota: Option<u32>,
}

/// A window, and which calls count against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowNow {
    /// The window.
    pub window: ReplyWindow,
    /// Message and part of each attempt that spends it, see [`crate::AttemptOpen::spends`].
    pub spent: Vec<(MessageId, u16)>,
}

/// How often we may still answer, all windows together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyStanding {
    /// Messages; none = as many as we like.
    pub remaining: Option<u32>,
    /// Until when: the end of the last window with something in it, else of the last one there was.
    /// None: no end.
    pub until: Option<Time>,
}

impl WindowNow {
    /// It has not ended.
    #[must_use]
    pub fn is_open(&self, now: Time) -> bool {
        self.window.ends_at.is_none_or(|end| now < end)
    }

    /// Messages it is still good for; none = as many as we like.
    #[must_use]
    pub fn remaining(&self) -> Option<u32> {
        let spent = u32::try_from(self.spent.len()).unwrap_or(u32::MAX);
        Some(self.window.quota?.saturating_sub(spent))
    }
}

impl ReplyStanding {
    /// Of all windows of a thread; `None` if nothing ever opened one.
    #[must_use]
    pub fn of(windows: &[WindowNow], now: Time) -> Option<Self> {
        let good = |window: &&WindowNow| window.is_open(now) && window.remaining() != Some(0);
        let open: Vec<&WindowNow> = windows.iter().filter(good).collect();
        let mut remaining = open.iter().map(|window| window.remaining());
        // A window without an end is the last one to end.
        let last = |windows: &[&WindowNow]| {
            let ends: Option<Vec<Time>> = windows.iter().map(|now| now.window.ends_at).collect();
            ends.and_then(|ends| ends.into_iter().max())
        };
        let all: Vec<&WindowNow> = windows.iter().collect();
        (!windows.is_empty()).then(|| Self {
            remaining: remaining.try_fold(0_u32, |sum, one| Some(sum.saturating_add(one?))),
            until: last(if open.is_empty() { &all } else { &open }),
        })
    }
}

/// How a quota stands in its column.
pub(crate) fn quota_number(quota: Option<u32>) -> i64 {
    quota.map_or(-1, i64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(ends_ms: Option<i64>, quota: Option<u32>, spent: u16) -> WindowNow {
        WindowNow {
            window: ReplyWindow {
                thread: ThreadId::new(),
                message: MessageId::new(),
                ends_at: ends_ms.map(Time::from_ms),
                quota,
            },
            spent: (0..spent).map(|part| (MessageId::new(), part)).collect(),
        }
    }

    fn standing(windows: &[WindowNow]) -> Option<(Option<u32>, Option<i64>)> {
        let found = ReplyStanding::of(windows, Time::from_ms(100))?;
        Some((found.remaining, found.until.map(Time::as_ms)))
    }

    #[test]
    fn what_is_open_adds_up() {
        assert_eq!(standing(&[]), None);
        let message = || window(Some(900), Some(5), 2);
        let gesture = || window(Some(200), Some(3), 0);
        assert_eq!(standing(&[message()]), Some((Some(3), Some(900))));
        assert_eq!(
            standing(&[gesture(), message()]),
            Some((Some(6), Some(900)))
        );
        let used_up = window(Some(900), Some(5), 5);
        assert_eq!(
            standing(&[gesture(), used_up.clone()]),
            Some((Some(3), Some(200))),
            "what is used up does not say until when"
        );
        assert_eq!(standing(&[used_up]), Some((Some(0), Some(900))));
        let ended = window(Some(100), Some(5), 0);
        assert_eq!(standing(&[ended]), Some((Some(0), Some(100))));
        assert_eq!(
            standing(&[message(), window(Some(300), None, 0)]),
            Some((None, Some(900)))
        );
        assert_eq!(standing(&[window(None, Some(1), 0)]), Some((Some(1), None)));
    }
}
