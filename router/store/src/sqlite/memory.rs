//! What only this process needs to know while it runs: heartbeats and rate buckets.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use patchbay_message::{ChannelId, InstanceId, Time};

use crate::bucket::Bucket;

#[derive(Default)]
pub(super) struct Memory {
    /// Until when an instance counts as alive in a role.
    beats: Mutex<HashMap<(String, InstanceId), Time>>,
    /// One per configured channel.
    buckets: Mutex<HashMap<ChannelId, Bucket>>,
}

impl Memory {
    pub(super) fn beat(&self, instance: &InstanceId, role: &str, ttl: Duration, now: Time) -> u32 {
        let mut beats = self.beats.lock();
        beats.insert((role.to_owned(), instance.clone()), now.plus(ttl));
        beats.retain(|_, until| *until > now);
        let alive = beats.keys().filter(|(of, _)| of == role).count();
        u32::try_from(alive).unwrap_or(u32::MAX)
    }

    pub(super) fn leave(&self, instance: &InstanceId) {
        self.beats.lock().retain(|(_, who), _| who != instance);
    }

    pub(super) fn take(
        &self,
        channel: &ChannelId,
        rate: f64,
        burst: u32,
        n: u32,
        now: Time,
    ) -> (u32, Duration) {
        let mut buckets = self.buckets.lock();
        let bucket = buckets
            .entry(channel.clone())
            .or_insert_with(|| Bucket::full(burst, now));
        bucket.take(rate, burst, n, now)
    }
}
