//! What waits: queue depths and the store's counts, as gauges, every few seconds.

use std::{sync::Arc, time::Duration};

use patchbay_bus::{Bus, Queue};
use patchbay_store::{Gauge, Store};
use tokio_util::sync::CancellationToken;

/// How often.
const EVERY: Duration = Duration::from_secs(10);

/// Counts until `stop`. Every router does it; they all see the same.
pub(crate) async fn watch(
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    partitions: u16,
    shards: u16,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let count = async {
            depth(&*bus, "inbound", (0..partitions).map(Queue::Inbound)).await;
            depth(&*bus, "outbound", (0..shards).map(Queue::Outbound)).await;
            if let Ok(gauges) = store.gauges().await {
                gauges.into_iter().for_each(show);
            }
        };
        stop.run_until_cancelled(count).await;
    }
}

async fn depth(bus: &dyn Bus, kind: &'static str, queues: impl Iterator<Item = Queue>) {
    let mut waiting = 0;
    for queue in queues {
        // A broker that is away shows in `patchbay_bus_reconnects_total`; an old depth would lie.
        let Ok(depth) = bus.depth(queue).await else {
            return;
        };
        waiting += depth;
    }
    #[expect(clippy::cast_precision_loss, reason = "queues are shorter than 2^53")]
    metrics::gauge!("patchbay_bus_depth", "queue" => kind).set(waiting as f64);
}

fn tickets(state: &'static str) -> metrics::Gauge {
    metrics::gauge!("patchbay_tickets", "state" => state)
}

fn show(gauge: Gauge) {
    let channel = gauge.channel.unwrap_or_default();
    let gauge_for = |name: &'static str| match channel.as_str() {
        "" => metrics::gauge!(name),
        channel => metrics::gauge!(name, "channel" => channel.to_owned()),
    };
    let shown = match gauge.name {
        "parked" => gauge_for("patchbay_sink_parked"),
        "oldest_parked_seconds" => gauge_for("patchbay_sink_oldest_parked_seconds"),
        "outbox" => gauge_for("patchbay_router_outbox"),
        "dead" => gauge_for("patchbay_dead_letters"),
        "tickets_waiting" => tickets("waiting"),
        "tickets_processing" => tickets("processing"),
        "tickets_pending_confirmation" => tickets("pending_confirmation"),
        // The assigner shows who waits, as it sees them.
        _ => return,
    };
    shown.set(gauge.value);
}
