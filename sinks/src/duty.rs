//! Which shards this process sends for: leases, shared out evenly among the processes that are
//! alive, handed over between two messages of a lane.

use std::sync::Arc;

use patchbay_store::{Fence, Keeping, Share, Told, Unrenewed, keep};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::OWN_HOUSE,
    shard::{End, Shard},
    worker::Worker,
};

/// The role under which processes that send are counted.
const ROLE: &str = "sinks";

/// Holds its share of the shards until `stop`, then finishes what is under way and gives them up.
pub(crate) async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    let all = 0..worker.options.shards;
    let keeping = Keeping {
        role: ROLE,
        names: all.map(|shard| format!("outbound.{shard}")).collect(),
        ttl: worker.options.lease_ttl,
        share: Share::Even,
        // What a call came to is still to be written down if the store comes back in time.
        unrenewed: Unrenewed::GoesOn,
    };
    let begin = |shard, fence, stop| work(worker.clone(), number(shard), fence, stop);
    let tell = |told: Told<'_>| tell(&worker, &told);
    let instance = worker.instance.clone();
    keep(worker.store.clone(), instance, keeping, begin, tell, stop).await;
}

fn number(shard: usize) -> u16 {
    u16::try_from(shard).expect("there are no more shards than a u16 counts")
}

fn tell(worker: &Worker, told: &Told<'_>) {
    let shards: Vec<u16> = told.held.iter().copied().map(number).collect();
    metrics::gauge!("patchbay_sink_shards").set(f64::from(number(shards.len())));
    let problem = told.problem;
    worker.options.status.change(|now| {
        now.ready |= problem.is_none();
        now.shards = shards;
        now.problem = problem.map(|error| format!("leases cannot be renewed: {error}"));
    });
}

/// A shard's work, begun anew when the bus was lost.
async fn work(worker: Arc<Worker>, shard: u16, fence: Fence, stop: CancellationToken) {
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
        let why = match end {
            End::Stopped => return,
            End::Fenced => return tracing::warn!(shard, "shard was taken over"),
            End::Broken(why) => why,
        };
        tracing::warn!(shard, why, "shard begins anew");
        tries = if begun.elapsed() > OWN_HOUSE.max {
            1
        } else {
            tries + 1
        };
        let pause = OWN_HOUSE.delay(tries, fastrand::f64());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
