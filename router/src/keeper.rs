//! Which duties this router has: its share of the partitions, and the duties there is one of as far as
//! nobody else has them. Whatever a task tries to commit after its lease is lost is refused by its fence.

use std::sync::Arc;

use patchbay_store::{Keeping, Share, Told, Unrenewed, keep};
use tokio_util::sync::CancellationToken;

use crate::{
    assigner, partition,
    shared::{End, Shared},
    sweeper,
};

/// The role under which routers count each other.
const ROLE: &str = "router";
/// The parts of the status that leases are shown under.
const PARTS: [&str; 2] = ["leases", "leases of single duties"];
/// Duties there is one of; any router may have them. The assigner is the first.
const SINGLE: [&str; 2] = ["assigner", "sweeper"];

/// Keeps duties until told to stop, then gives them up in order.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    tokio::join!(partitions(&shared, stop.clone()), singles(&shared, stop));
}

async fn partitions(shared: &Arc<Shared>, stop: CancellationToken) {
    let all = 0..shared.options.partitions;
    let names = all.map(|p| format!("inbound.{p}")).collect();
    let keeping = keeping(shared, names, Share::Even);
    let work = |p, fence, stop| {
        let p = u16::try_from(p).expect("there are no more partitions than a u16 counts");
        let shared = Arc::clone(shared);
        async move { ended("partition", partition::run(shared, p, fence, stop).await) }
    };
    let tell = |told: Told<'_>| {
        let held = u32::try_from(told.held.len()).unwrap_or(u32::MAX);
        metrics::gauge!("patchbay_lease_held", "duty" => "partition").set(held);
        show(shared, PARTS[0], &told);
    };
    let (leases, instance) = (shared.leases.clone(), shared.instance.clone());
    keep(leases, instance, keeping, work, tell, stop).await;
}

async fn singles(shared: &Arc<Shared>, stop: CancellationToken) {
    let names = SINGLE.map(str::to_owned).into();
    let keeping = keeping(shared, names, Share::AnyFree);
    let work = |at, fence, stop| {
        let shared = Arc::clone(shared);
        async move {
            match at {
                0 => ended(SINGLE[0], assigner::run(shared, fence, stop).await),
                _ => ended(SINGLE[1], sweeper::run(shared, stop).await),
            }
        }
    };
    let tell = |told: Told<'_>| {
        for (at, duty) in SINGLE.into_iter().enumerate() {
            let held = f64::from(u8::from(told.held.contains(&at)));
            metrics::gauge!("patchbay_lease_held", "duty" => duty).set(held);
        }
        show(shared, PARTS[1], &told);
    };
    let (leases, instance) = (shared.leases.clone(), shared.instance.clone());
    keep(leases, instance, keeping, work, tell, stop).await;
}

fn keeping(shared: &Shared, names: Vec<String>, share: Share) -> Keeping {
    Keeping {
        role: ROLE,
        names,
        ttl: shared.options.lease_ttl,
        share,
        unrenewed: Unrenewed::GoesOn,
    }
}

fn ended(duty: &'static str, end: End) {
    tracing::info!(duty, ?end, "duty ended");
}

fn show(shared: &Shared, part: &str, told: &Told<'_>) {
    match told.problem {
        Some(error) => shared.options.status.bad(part, error),
        None => shared.options.status.good(part),
    }
}
