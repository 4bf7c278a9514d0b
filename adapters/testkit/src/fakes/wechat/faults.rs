//! What goes wrong on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// One call that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is done and answered late.
    Slow(Duration),
    /// It is done, and the connection reset without an answer.
    ResetTaken,
    /// The body is read, nothing done, and the connection reset.
    ResetLost,
    /// Refused with this errcode: -1 is busy, 45009 the day's quota.
    Refuse(i64),
    /// Every token of the account ends while the call is under way.
    ExpireTokens,
    /// Something in front of the platform answers with this HTTP status and no JSON.
    Gateway(u16),
}

/// By path, in line.
#[derive(Default)]
pub(super) struct Faults {
    by_path: BTreeMap<String, VecDeque<Fault>>,
}

impl Faults {
    pub(super) fn add(&mut self, path: &str, fault: Fault) {
        self.by_path
            .entry(path.to_owned())
            .or_default()
            .push_back(fault);
    }

    pub(super) fn next(&mut self, path: &str) -> Option<Fault> {
        self.by_path.get_mut(path)?.pop_front()
    }
}
