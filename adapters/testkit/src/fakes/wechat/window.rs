//! How much an account may say to a user after the user's last sign of life.
//!
//! <https://developers.weixin.qq.com/doc/offiaccount/Customer_Service/Customer_Service_Messages.html>

use super::errcode::{Refused, USER_QUOTA, WINDOW_CLOSED};

/// A sign of life, and what it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A message: 5 within 48 hours.
    Message,
    /// A menu entry: 3 within a minute.
    Menu,
    /// Following: 3 within a minute.
    Follow,
    /// A QR code scanned: 3 within a minute.
    Scan,
    /// Customer service of a mini-program opened: 2 within a minute.
    Enter,
}

impl Sign {
    /// How many messages, and for how long (ms).
    fn allows(self) -> (u32, i64) {
        match self {
            Self::Message => (5, 48 * 3_600_000),
            Self::Menu | Self::Follow | Self::Scan => (3, 60_000),
            Self::Enter => (2, 60_000),
        }
    }
}

/// What is allowed now, by sign; a new sign begins its own count anew.
#[derive(Default)]
pub(super) struct Window {
    open: Vec<Open>,
}

struct Open {
    sign: Sign,
    until_ms: i64,
    left: u32,
}

impl Window {
    pub(super) fn sign(&mut self, sign: Sign, now_ms: i64) {
        let (left, life_ms) = sign.allows();
        self.open
            .retain(|open| open.sign != sign && open.until_ms > now_ms);
        self.open.push(Open {
            sign,
            until_ms: now_ms + life_ms,
            left,
        });
    }

    /// Takes one message, of what ends first.
    pub(super) fn take(&mut self, now_ms: i64) -> Result<(), Refused> {
        self.open.retain(|open| open.until_ms > now_ms);
        if self.open.is_empty() {
            return Err(Refused::new(
                WINDOW_CLOSED,
                "response out of time limit or subscription is canceled",
            ));
        }
        let left = self.open.iter_mut().filter(|open| open.left > 0);
        let open = left.min_by_key(|open| open.until_ms);
        let open = open.ok_or_else(|| Refused::new(USER_QUOTA, "out of response count limit"))?;
        open.left -= 1;
        Ok(())
    }

    /// Messages that may still be sent now.
    pub(super) fn left(&self, now_ms: i64) -> u32 {
        let open = self.open.iter().filter(|open| open.until_ms > now_ms);
        open.map(|open| open.left).sum()
    }
}
