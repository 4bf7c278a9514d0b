//! Which duties this router has: takes leases, renews them, shares partitions out evenly, and runs a
//! task for each.
//!
//! A lease that is lost ends its task at once. That is tidiness, not safety: whatever a stalled task
//! still tries to commit is refused by its fence.

use std::{collections::HashMap, fmt, sync::Arc};

use patchbay_store::{Fence, StoreError};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    assigner, partition,
    shared::{End, Shared},
    sweeper,
};

/// The role under which routers count each other.
const ROLE: &str = "router";
/// A lease is renewed this many times before it would expire.
const RENEWALS: u32 = 5;
/// The part of the status that leases are shown under.
const PART: &str = "leases";

/// Something that only one router does at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Duty {
    Partition(u16),
    Assigner,
    Sweeper,
}

/// Duties there is one of; any router may have them.
const SINGLE: [Duty; 2] = [Duty::Assigner, Duty::Sweeper];

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(p) => write!(f, "inbound.{p}"),
            Self::Assigner => f.write_str("assigner"),
            Self::Sweeper => f.write_str("sweeper"),
        }
    }
}

struct Held {
    fence: Fence,
    stop: CancellationToken,
    task: AbortHandle,
}

struct Keeper {
    shared: Arc<Shared>,
    held: HashMap<Duty, Held>,
    tasks: JoinSet<(Duty, End)>,
    /// Where this router begins to look for free partitions, so that several do not fight for one.
    first: u16,
}

/// Keeps duties until told to stop, then gives them up in order.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let first = fastrand::u16(..shared.options.partitions.max(1));
    let mut keeper = Keeper {
        shared,
        held: HashMap::new(),
        tasks: JoinSet::new(),
        first,
    };
    let mut tick = tokio::time::interval(keeper.shared.options.lease_ttl / RENEWALS);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = tick.tick() => match keeper.tick().await {
                Ok(()) => keeper.shared.options.status.good(PART),
                Err(error) => {
                    tracing::warn!(%error, "leases cannot be kept");
                    keeper.shared.options.status.bad(PART, &error);
                }
            },
            Some(ended) = keeper.tasks.join_next_with_id() => keeper.ended(ended).await,
        }
        keeper.show();
    }
    keeper.leave().await;
}

impl Keeper {
    async fn tick(&mut self) -> Result<(), StoreError> {
        let ttl = self.shared.options.lease_ttl;
        let partitions = self.shared.options.partitions;
        let instance = &self.shared.instance;
        let alive = self.shared.leases.beat(instance, ROLE, ttl).await?;
        self.renew().await?;
        let share = usize::from(partitions).div_ceil(alive.max(1) as usize);
        let mine: Vec<Duty> = (self.held.iter())
            .filter(|(duty, held)| matches!(duty, Duty::Partition(_)) && !held.stop.is_cancelled())
            .map(|(duty, _)| *duty)
            .collect();
        for duty in mine.iter().skip(share) {
            tracing::info!(%duty, alive, share, "handing over");
            self.held[duty].stop.cancel();
        }
        let mut room = share.saturating_sub(mine.len());
        for offset in 0..partitions {
            if room == 0 {
                break;
            }
            let p = (self.first + offset) % partitions;
            room -= usize::from(self.take(Duty::Partition(p)).await?);
        }
        for duty in SINGLE {
            self.take(duty).await?;
        }
        Ok(())
    }

    /// Renews what is held; drops what is not any more.
    async fn renew(&mut self) -> Result<(), StoreError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let fences: Vec<Fence> = self.held.values().map(|held| held.fence.clone()).collect();
        let ttl = self.shared.options.lease_ttl;
        let kept = self.shared.leases.renew(&fences, ttl).await?;
        self.held.retain(|duty, held| {
            let keep = kept.contains(&held.fence);
            if !keep {
                tracing::warn!(%duty, epoch = held.fence.epoch, "lease lost");
                held.task.abort();
            }
            keep
        });
        Ok(())
    }

    /// Takes a duty if nobody has it; answers whether we have it now and had not before.
    async fn take(&mut self, duty: Duty) -> Result<bool, StoreError> {
        if self.held.contains_key(&duty) {
            return Ok(false);
        }
        let ttl = self.shared.options.lease_ttl;
        let name = duty.to_string();
        let lease = self.shared.leases.lease(&name, &self.shared.instance, ttl);
        let Some(fence) = lease.await? else {
            return Ok(false);
        };
        tracing::info!(%duty, epoch = fence.epoch, "lease taken");
        let stop = CancellationToken::new();
        let work = work(self.shared.clone(), duty, fence.clone(), stop.clone());
        let task = self.tasks.spawn(async move { (duty, work.await) });
        self.held.insert(duty, Held { fence, stop, task });
        Ok(true)
    }

    /// A task is over: its lease is given up, or is somebody else's already.
    async fn ended(&mut self, ended: Result<(Id, (Duty, End)), JoinError>) {
        let (id, end) = match ended {
            Ok((id, (duty, end))) => {
                tracing::info!(%duty, ?end, "duty ended");
                (id, end)
            }
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a duty's task failed; the duty is taken up anew");
                }
                (error.id(), End::Stopped)
            }
        };
        let duty = (self.held.iter())
            .find(|(_, held)| held.task.id() == id)
            .map(|(duty, _)| *duty);
        let Some(held) = duty.and_then(|duty| self.held.remove(&duty)) else {
            return;
        };
        if end == End::Stopped
            && let Err(error) = self.shared.leases.release(&[held.fence]).await
        {
            tracing::warn!(%error, "lease not given up; it expires");
        }
    }

    fn show(&self) {
        let partitions = (self.held.keys())
            .filter(|duty| matches!(duty, Duty::Partition(_)))
            .count();
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
        let has = |duty| f64::from(u8::from(self.held.contains_key(&duty)));
        metrics::gauge!("patchbay_lease_held", "duty" => "partition").set(partitions);
        metrics::gauge!("patchbay_lease_held", "duty" => "assigner").set(has(Duty::Assigner));
        metrics::gauge!("patchbay_lease_held", "duty" => "sweeper").set(has(Duty::Sweeper));
    }

    /// Every task ends in its own order; then the leases go, and we count no longer.
    async fn leave(mut self) {
        for held in self.held.values() {
            held.stop.cancel();
        }
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended).await;
        }
        self.show();
        let left = (self.shared.leases)
            .beat(&self.shared.instance, ROLE, std::time::Duration::ZERO)
            .await;
        if let Err(error) = left {
            tracing::warn!(%error, "others count this router until its heartbeat expires");
        }
    }
}

async fn work(shared: Arc<Shared>, duty: Duty, fence: Fence, stop: CancellationToken) -> End {
    match duty {
        Duty::Partition(p) => partition::run(shared, p, fence, stop).await,
        Duty::Assigner => assigner::run(shared, fence, stop).await,
        Duty::Sweeper => sweeper::run(shared, stop).await,
    }
}
