//! Lines that are pulled: messages that a provider keeps until we come for them, page by page.

use std::{fmt, time::Duration};

use crate::{Inbound, Secret, Verified};

/// A line to be pulled by one owner at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Its name, unique within the channel.
    pub line: String,
    /// It is pulled this often even if nobody rings.
    pub every: Duration,
}

/// Where the next page begins.
#[derive(Clone, Copy)]
pub struct PullAt<'a> {
    /// Which line.
    pub line: &'a str,
    /// What the last page said; none before the first.
    pub cursor: Option<&'a str>,
    /// What the last doorbell gave: a short-lived token of the provider's.
    pub hint: Option<&'a Secret>,
    /// How long ago it rang.
    pub rung_ago: Duration,
}

/// Shows no cursor: with it others could pull.
impl fmt::Debug for PullAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullAt")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// How it was verified, see [`crate::verify::by_answer`].
    pub proof: Verified,
    /// What came, in order.
    pub items: Vec<Inbound>,
    /// Where the next page begins.
    pub cursor: String,
    /// There is more already.
    pub more: bool,
}
