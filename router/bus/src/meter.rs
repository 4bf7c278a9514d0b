//! What both implementations count, under the same names.
//!
//! Handles are made once, when a bus is opened: the recorder has to be installed before.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::{PublishError, Queue};

/// The two kinds of queue, a closed label set.
const KINDS: [&str; 2] = ["inbound", "outbound"];

fn kind_index(queue: Queue) -> usize {
    match queue {
        Queue::Inbound(_) => 0,
        Queue::Outbound(_) => 1,
    }
}

/// How publishes of one kind of queue ended.
struct Outcomes {
    ok: Counter,
    full: Counter,
    unavailable: Counter,
    refused: Counter,
}

/// The handles of all metrics of one bus.
pub(crate) struct Meter {
    published: [Outcomes; 2],
    delivered: [Counter; 2],
    redelivered: [Counter; 2],
    confirm_seconds: Histogram,
    unacked: Gauge,
    /// Connections made again after a loss.
    pub(crate) reconnects: Counter,
    /// 1 while the broker blocks publishers.
    pub(crate) blocked: Gauge,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let outcome = |kind, outcome| counter!("patchbay_bus_published_total", "queue" => kind, "outcome" => outcome);
        Self {
            published: KINDS.map(|kind| Outcomes {
                ok: outcome(kind, "ok"),
                full: outcome(kind, "full"),
                unavailable: outcome(kind, "unavailable"),
                refused: outcome(kind, "refused"),
            }),
            delivered: KINDS.map(|kind| counter!("patchbay_bus_delivered_total", "queue" => kind)),
            redelivered: KINDS
                .map(|kind| counter!("patchbay_bus_redelivered_total", "queue" => kind)),
            confirm_seconds: histogram!("patchbay_bus_confirm_seconds"),
            unacked: gauge!("patchbay_bus_unacked"),
            reconnects: counter!("patchbay_bus_reconnects_total"),
            blocked: gauge!("patchbay_bus_blocked"),
        }
    }

    /// A batch ended; `by_kind` says how many of it went to inbound and to outbound queues.
    pub(crate) fn published(
        &self,
        by_kind: [u64; 2],
        result: &Result<(), PublishError>,
        took: Duration,
    ) {
        for (outcomes, n) in self.published.iter().zip(by_kind) {
            if n > 0 {
                match result {
                    Ok(()) => outcomes.ok.increment(n),
                    Err(PublishError::Full(_)) => outcomes.full.increment(n),
                    Err(PublishError::Unavailable(_)) => outcomes.unavailable.increment(n),
                    Err(PublishError::Refused(_)) => outcomes.refused.increment(n),
                }
            }
        }
        if result.is_ok() {
            self.confirm_seconds.record(took.as_secs_f64());
        }
    }

    /// Deliveries were handed to a consumer of `queue`.
    pub(crate) fn delivered(&self, queue: Queue, n: usize, n_redelivered: usize) {
        self.delivered[kind_index(queue)].increment(n as u64);
        if n_redelivered > 0 {
            self.redelivered[kind_index(queue)].increment(n_redelivered as u64);
        }
        self.unacked.increment(n as f64);
    }

    /// Deliveries ended: acked, or given back by a consumer that went.
    pub(crate) fn settled(&self, n: usize) {
        self.unacked.decrement(n as f64);
    }
}

/// How many of a batch go to inbound and to outbound queues.
pub(crate) fn count_by_kind<'a>(queues: impl Iterator<Item = &'a Queue>) -> [u64; 2] {
    let mut counts = [0; 2];
    for queue in queues {
        counts[kind_index(*queue)] += 1;
    }
    counts
}

/// A named bound was hit and something was refused or dropped for it.
pub(crate) fn bound_hit(bound: &'static str) {
    counter!("patchbay_bus_bound_hit_total", "bound" => bound).increment(1);
}
