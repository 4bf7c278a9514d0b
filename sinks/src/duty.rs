//! Which shards this process sends for: leases, shared out evenly among the processes that are
//! alive, handed over between two messages of a lane.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use patchbay_store::{Fence, StoreError};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::OWN_HOUSE,
    shard::{End, Shard},
    worker::Worker,
};

/// The role under which processes that send are counted.
const ROLE: &str = "sinks";
/// Leases are renewed this many times within their life.
const RENEWALS: u32 = 3;
/// How long the last calls to the store may take when the worker stops.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// One shard that is ours.
struct Holding {
    fence: Fence,
    stop: CancellationToken,
    work: AbortHandle,
}

/// The shards of this process.
pub(crate) struct Duty {
    worker: Arc<Worker>,
    held: BTreeMap<u16, Holding>,
    /// Answers which shard's work ended, and how.
    work: JoinSet<(u16, End)>,
}

impl Duty {
    pub(crate) fn new(worker: Arc<Worker>) -> Self {
        Self {
            worker,
            held: BTreeMap::new(),
            work: JoinSet::new(),
        }
    }

    /// Holds its share of the shards until `stop`, then finishes what is under way and gives them
    /// up.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let period = self.worker.options.lease_ttl / RENEWALS;
        let mut next = Instant::now();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep_until(next) => {
                    next = Instant::now() + period;
                    self.round().await;
                }
                Some(ended) = self.work.join_next() => {
                    if let Ok((shard, end)) = ended {
                        self.ended(shard, end).await;
                    }
                    // A shard that was given up may be wanted elsewhere, or here again.
                }
            }
        }
        self.leave().await;
    }

    async fn round(&mut self) {
        match self.share_out().await {
            Ok(()) => self.tell(None),
            Err(error) => {
                tracing::warn!(%error, "leases not renewed");
                self.tell(Some(format!("leases cannot be renewed: {error}")));
            }
        }
    }

    fn tell(&self, problem: Option<String>) {
        let shards: Vec<u16> = self.held.keys().copied().collect();
        metrics::gauge!("patchbay_sink_shards").set(f64::from(self.n_held()));
        self.worker.options.status.change(|now| {
            now.ready |= problem.is_none();
            now.shards = shards;
            now.problem = problem;
        });
    }

    async fn share_out(&mut self) -> Result<(), StoreError> {
        let store = self.worker.store.clone();
        let options = &self.worker.options;
        let (ttl, shards) = (options.lease_ttl, options.shards);
        self.renew(ttl).await?;
        let alive = store.beat(&self.worker.instance, ROLE, ttl).await?;
        let share = shards.div_ceil(u16::try_from(alive.max(1)).unwrap_or(u16::MAX));
        for _ in share..self.n_working() {
            self.give_one_away();
        }
        // Everyone begins elsewhere, so that they seldom ask for the same one.
        let first = fastrand::u16(..shards.max(1));
        for offset in 0..shards {
            if self.n_held() >= share {
                break;
            }
            let shard = (first + offset) % shards;
            if self.held.contains_key(&shard) {
                continue;
            }
            let name = format!("outbound.{shard}");
            if let Some(fence) = store.lease(&name, &self.worker.instance, ttl).await? {
                self.begin(shard, fence);
            }
        }
        Ok(())
    }

    async fn renew(&mut self, ttl: Duration) -> Result<(), StoreError> {
        let fences: Vec<Fence> = self.held.values().map(|held| held.fence.clone()).collect();
        if fences.is_empty() {
            return Ok(());
        }
        let still = self.worker.store.renew(&fences, ttl).await?;
        let lost: Vec<u16> = self
            .held
            .iter()
            .filter(|(_, held)| !still.contains(&held.fence))
            .map(|(shard, _)| *shard)
            .collect();
        for shard in lost {
            tracing::warn!(shard, "shard was taken over");
            if let Some(held) = self.held.remove(&shard) {
                held.work.abort();
            }
        }
        Ok(())
    }

    fn begin(&mut self, shard: u16, fence: Fence) {
        tracing::info!(shard, epoch = fence.epoch, "shard taken");
        let stop = CancellationToken::new();
        let work = work(self.worker.clone(), shard, fence.clone(), stop.clone());
        let work = self.work.spawn(work);
        self.held.insert(shard, Holding { fence, stop, work });
    }

    /// Tells one shard to finish; it is released when its work has ended.
    fn give_one_away(&self) {
        let one = self.held.iter().find(|(_, held)| !held.stop.is_cancelled());
        if let Some((shard, held)) = one {
            tracing::info!(shard, "shard is given away");
            held.stop.cancel();
        }
    }

    async fn ended(&mut self, shard: u16, end: End) {
        let Some(held) = self.held.remove(&shard) else {
            return;
        };
        match end {
            End::Fenced => tracing::warn!(shard, "shard was taken over"),
            End::Stopped | End::Broken(_) => {
                if let Err(error) = self.worker.store.release(&[held.fence]).await {
                    tracing::warn!(shard, %error, "lease not released, it runs out by itself");
                }
            }
        }
    }

    fn n_held(&self) -> u16 {
        u16::try_from(self.held.len()).expect("there are no more shards than a u16 counts")
    }

    fn n_working(&self) -> u16 {
        let working = self.held.values().filter(|held| !held.stop.is_cancelled());
        u16::try_from(working.count()).expect("there are no more shards than a u16 counts")
    }

    /// Finishes what is under way and gives everything up.
    async fn leave(mut self) {
        for held in self.held.values() {
            held.stop.cancel();
        }
        while let Some(ended) = self.work.join_next().await {
            if let Ok((shard, end)) = ended {
                let goodbye = self.ended(shard, end);
                if timeout(GOODBYE_MAX, goodbye).await.is_err() {
                    tracing::warn!(shard, "lease not released, it runs out by itself");
                }
            }
        }
        // A beat that is over at once: the others need not wait for it to run out.
        let goodbye = self
            .worker
            .store
            .beat(&self.worker.instance, ROLE, Duration::ZERO);
        if !matches!(timeout(GOODBYE_MAX, goodbye).await, Ok(Ok(_))) {
            tracing::warn!("the others learn late that this process has stopped");
        }
        self.tell(None);
    }
}

/// A shard's work, begun anew when the bus was lost.
async fn work(
    worker: Arc<Worker>,
    shard: u16,
    fence: Fence,
    stop: CancellationToken,
) -> (u16, End) {
    let mut tries = 0;
    loop {
        let begun = Instant::now();
        // A task of its own: should it panic, the shard begins anew.
        let mut task = JoinSet::new();
        task.spawn(Shard::run(
            worker.clone(),
            shard,
            fence.clone(),
            stop.clone(),
        ));
        let end = match task.join_next().await {
            Some(Ok(end)) => end,
            _ => End::Broken("its task ended badly".to_owned()),
        };
        let End::Broken(why) = &end else {
            return (shard, end);
        };
        tracing::warn!(shard, why, "shard begins anew");
        tries = if begun.elapsed() > OWN_HOUSE.max {
            1
        } else {
            tries + 1
        };
        let pause = OWN_HOUSE.delay(tries, fastrand::f64());
        tokio::select! {
            () = stop.cancelled() => return (shard, End::Stopped),
            () = tokio::time::sleep(pause) => {}
        }
    }
}
