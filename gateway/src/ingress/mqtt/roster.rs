//! Who is connected to the listeners of this gateway: one connection per device. Whoever comes later
//! with the same credentials takes over; how often is bounded, so that two that fight for one name
//! wear out nobody else. A device that has gone keeps its place while its will waits.
//!
//! A client id by itself takes over nothing: it is the device's own word, and another device could
//! say the same.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use patchbay_message::{ThreadId, Time};
use tokio_util::sync::CancellationToken;

/// Connections one device may open in a minute, and at once.
const CONNECTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const CONNECTS_BURST: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Devices remembered for that before idle ones are forgotten.
const DEVICES_MAX: usize = 100_000;

/// The devices of this gateway.
pub(super) struct Roster {
    seats: Mutex<HashMap<ThreadId, Seat>>,
    ids: AtomicU64,
    connects: DefaultKeyedRateLimiter<ThreadId>,
}

struct Seat {
    id: u64,
    kick: CancellationToken,
}

/// A device's place; dropping it leaves.
pub(super) struct Place {
    shared: Arc<super::Shared>,
    pub(super) thread: ThreadId,
    id: u64,
    /// By our clock: of two connections at two gateways, the later one stays.
    pub(super) since: Time,
    /// Cancelled when a later connection of the device takes it.
    pub(super) kicked: CancellationToken,
}

impl Default for Roster {
    fn default() -> Self {
        let quota = Quota::per_minute(CONNECTS_PER_MINUTE).allow_burst(CONNECTS_BURST);
        Self {
            seats: Mutex::default(),
            ids: AtomicU64::new(0),
            connects: RateLimiter::keyed(quota),
        }
    }
}

impl Roster {
    /// Whether the device may open one more connection now.
    pub(super) fn may_connect(&self, thread: ThreadId) -> bool {
        if self.connects.len() > DEVICES_MAX {
            self.connects.retain_recent();
        }
        self.connects.check_key(&thread).is_ok()
    }
}

impl Place {
    /// Takes the device's place; the connection that has it is told to go, the will that waits in it
    /// is void.
    pub(super) fn take(shared: &Arc<super::Shared>, thread: ThreadId, since: Time) -> Self {
        let roster = &shared.roster;
        let id = roster.ids.fetch_add(1, Ordering::Relaxed);
        let kicked = CancellationToken::new();
        let kick = kicked.clone();
        let seat = Seat { id, kick };
        if let Some(older) = roster.seats.lock().insert(thread, seat) {
            older.kick.cancel();
        }
        Self {
            shared: Arc::clone(shared),
            thread,
            id,
            since,
            kicked,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut seats = self.shared.roster.seats.lock();
        if seats
            .get(&self.thread)
            .is_some_and(|seat| seat.id == self.id)
        {
            seats.remove(&self.thread);
        }
    }
}
