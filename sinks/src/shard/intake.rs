//! How messages come to a shard: from the bus, from the store when they are due, from the store when
//! what was before them is done.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use patchbay_bus::Delivery;
use patchbay_message::ThreadId;
use patchbay_store::{Parked, limits::ROWS_MAX};

use super::{End, Shard};
use crate::{
    item::{Item, Origin},
    lane::{Arrive, Lane, Wake},
    meter,
    perform::is_live,
    record::Unit,
    verdict::PAUSED_RECHECK,
};

/// Parked messages of one lane loaded at once.
const REFILL_MAX: u32 = 32;
/// Lanes refilled side by side.
const REFILLS_AT_ONCE: usize = 8;
/// Messages held in memory behind the one under way of their lane.
const LANE_HELD_MAX: usize = 16;

impl Shard {
    /// A batch from the bus.
    pub(super) async fn take(&mut self, deliveries: Vec<Delivery>) -> Result<(), End> {
        let recorder = self.recorder();
        let mut items = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            match Item::delivered(delivery) {
                Ok(item) => items.push(item),
                Err((delivery, why)) => {
                    tracing::error!(message = %delivery.message.id, "outbound without a lane");
                    self.units.push(recorder.lost(delivery, why));
                }
            }
        }
        self.load_lanes(items.iter().map(|item| item.lane)).await?;
        for item in items {
            self.arrive(item);
        }
        Ok(())
    }

    fn arrive(&mut self, mut item: Item) {
        let Some(lane) = self.lanes.get_mut(&item.lane) else {
            return; // load_lanes has put every one there
        };
        let mut room = false;
        if lane.held() < LANE_HELD_MAX {
            item.room = self.room.clone().try_acquire_owned().ok();
            room = item.room.is_some();
        }
        match lane.arrive(item.seq, item, room) {
            Arrive::Start(item) => self.ready.push(item),
            Arrive::Held => {}
            Arrive::Park(item) => self.park_behind(item),
            Arrive::Repeat(item) => {
                meter::repeated(self.shard);
                if let Origin::Bus(delivery) = item.origin {
                    delivery.ack();
                }
            }
        }
    }

    /// Looks for parked messages that are due.
    pub(super) async fn poll(&mut self) -> Result<(), End> {
        let now = self.worker.now();
        self.dues.looking(now);
        // What is on its way is due as well, as long as its outcome is not committed.
        let options = &self.worker.options;
        let limit = (options.parked_batch_max + options.in_flight_max).min(ROWS_MAX);
        let store = self.worker.store.clone();
        let shard = self.shard;
        let rows = self.patiently(|| store.due(shard, now, limit)).await?;
        if rows.len() >= limit as usize {
            self.dues.look_again();
        }
        self.wake_all(rows).await
    }

    /// A channel may go on. What was parked meanwhile by those who did not know yet may lie in the
    /// commit under way, or in the one after it: two more looks find it.
    pub(super) async fn channel_resumed(&mut self) -> Result<(), End> {
        self.resume_looks = 2;
        self.look_at_paused().await?;
        self.poll().await
    }

    /// Begins what is parked as `paused`, due or not: the pause may be over.
    pub(super) async fn look_at_paused(&mut self) -> Result<(), End> {
        let horizon = self.worker.now().plus(PAUSED_RECHECK);
        let store = self.worker.store.clone();
        let shard = self.shard;
        let mut rows = self
            .patiently(|| store.due(shard, horizon, ROWS_MAX))
            .await?;
        rows.retain(|row| row.reason == "paused");
        self.wake_all(rows).await
    }

    async fn wake_all(&mut self, rows: Vec<Parked>) -> Result<(), End> {
        self.load_lanes(rows.iter().map(|row| row.lane)).await?;
        self.load_journals(&rows).await?;
        for row in rows {
            self.wake(row).await?;
        }
        Ok(())
    }

    /// One that is due: begun if it is its turn. What is on its way already is due as well, until
    /// its outcome is committed.
    async fn wake(&mut self, row: Parked) -> Result<(), End> {
        let Some(lane) = self.lanes.get_mut(&row.lane) else {
            return Ok(());
        };
        match lane.wake(row.out_seq) {
            Wake::Start if row.reason == "hold" => self.look_at_held(row).await?,
            Wake::Start => self.ready.push(Item::parked(row)),
            Wake::Stale => {
                let mut unit = Unit::default();
                unit.changes.unpark.push(row.id);
                self.units.push(unit);
            }
            Wake::NotYet => {}
        }
        Ok(())
    }

    /// A dead message holds its lane: has a human dropped or replayed it?
    async fn look_at_held(&mut self, row: Parked) -> Result<(), End> {
        let store = self.worker.store.clone();
        let id = row.id;
        let letter = self.patiently(|| store.dead_letter(id)).await?;
        let item = Item::parked(row);
        if letter.is_some_and(|letter| letter.status == "dead") {
            self.hold_on(item);
        } else {
            self.released(item);
        }
        Ok(())
    }

    /// Loads what is parked next in these lanes.
    pub(super) async fn refill(&mut self, lanes: Vec<ThreadId>) -> Result<(), End> {
        if lanes.is_empty() {
            return Ok(());
        }
        let this = &*self;
        let found: Vec<(ThreadId, Vec<Parked>)> = stream::iter(lanes)
            .map(|lane| async move {
                let store = &this.worker.store;
                let rows = this.patiently(|| store.parked(lane, REFILL_MAX)).await?;
                Ok::<_, End>((lane, rows))
            })
            .buffer_unordered(REFILLS_AT_ONCE)
            .try_collect()
            .await?;
        for (id, rows) in found {
            self.load_journals(&rows).await?;
            let complete = rows.len() < REFILL_MAX as usize;
            let rows = rows
                .into_iter()
                .map(|row| (row.out_seq, Item::parked(row)))
                .collect();
            let Some(lane) = self.lanes.get_mut(&id) else {
                continue;
            };
            let (after, repeats) = lane.refilled(rows, complete);
            for repeat in repeats {
                if let Origin::Bus(delivery) = repeat.origin {
                    delivery.ack();
                }
            }
            self.after(id, after);
        }
        Ok(())
    }

    /// Loads the lanes not known yet, with the calls begun in them and who holds their connections.
    async fn load_lanes(&mut self, wanted: impl Iterator<Item = ThreadId>) -> Result<(), End> {
        let unknown: HashSet<ThreadId> = wanted
            .filter(|lane| !self.lanes.contains_key(lane))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let keys: Vec<ThreadId> = unknown.into_iter().collect();
        let store = self.worker.store.clone();
        let found = self.patiently(|| store.lanes(&keys)).await?;
        let mut found: HashMap<_, _> = found.into_iter().map(|facts| (facts.lane, facts)).collect();
        for key in keys {
            let Some(facts) = found.remove(&key) else {
                self.lanes.insert(key, Lane::new(0, None, 0));
                continue;
            };
            let lane = Lane::new(facts.done, facts.first_parked, facts.parked);
            self.lanes.insert(key, lane);
            self.gateways.insert(key, facts.gateways);
            self.keep_journals(facts.attempts);
        }
        Ok(())
    }

    /// Loads the calls begun for messages that were tried before.
    async fn load_journals(&mut self, rows: &[Parked]) -> Result<(), End> {
        let keys: HashSet<ThreadId> = rows
            .iter()
            .filter(|row| row.attempts > 0)
            .map(|row| row.lane)
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<ThreadId> = keys.into_iter().collect();
        let store = self.worker.store.clone();
        for facts in self.patiently(|| store.lanes(&keys)).await? {
            self.keep_journals(facts.attempts);
        }
        Ok(())
    }

    fn keep_journals(&mut self, attempts: Vec<patchbay_store::Attempt>) {
        let mut by_message: HashMap<_, Vec<_>> = HashMap::new();
        for attempt in attempts {
            by_message.entry(attempt.message).or_default().push(attempt);
        }
        self.journals.extend(by_message);
    }

    /// Begins what is ready, and what follows from that, until nothing is.
    pub(super) async fn run_ready(&mut self) -> Result<(), End> {
        while !self.ready.is_empty() {
            let ready = std::mem::take(&mut self.ready);
            self.find_gateways(&ready).await?;
            for item in ready {
                self.begin(item);
            }
        }
        self.gateways.clear();
        self.pause_channels().await
    }

    /// Who holds the connections, or the answers, of those whose channels have any: one question for
    /// all of them.
    async fn find_gateways(&mut self, items: &[Item]) -> Result<(), End> {
        let threads: Vec<ThreadId> = items
            .iter()
            .filter(|item| !self.gateways.contains_key(&item.lane))
            .filter(|item| {
                let channel = self.worker.channels.get(item.channel().as_str());
                channel.is_some_and(|channel| is_live(&channel) || channel.channel.rides())
            })
            .map(|item| item.lane)
            .collect();
        if threads.is_empty() {
            return Ok(());
        }
        let store = self.worker.store.clone();
        let found = self.patiently(|| store.live(&threads)).await?;
        for thread in threads {
            self.gateways.insert(thread, Vec::new());
        }
        for (thread, gateway) in found {
            self.gateways.entry(thread).or_default().push(gateway);
        }
        Ok(())
    }
}
