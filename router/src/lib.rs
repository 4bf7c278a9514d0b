//! The router: takes what comes in from the bus, decides what it changes, commits that at once, and
//! relays what goes out.
//!
//! Deciding is pure (`decide`, `assign`, `states`, `ticket_states`); IO stands around it. It knows neither adapters
//! nor sinks.

pub mod assign;
mod assigner;
mod backoff;
pub mod decide;
mod desk;
pub mod item;
mod keeper;
mod meter;
mod options;
mod partition;
mod relay;
mod shared;
mod silence;
pub mod states;
mod status;
mod sweeper;
mod ticket_moves;
pub mod ticket_states;

use std::sync::{Arc, atomic::AtomicU64};

use patchbay_bus::Bus;
use patchbay_message::{Clock, InstanceId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::{options::RouterOptions, shared::Stores, status::Status};

/// Routes until `stop` is cancelled, then ends in order: no new batches, what is committed goes out
/// (as far as the bus lets it within `drain_max`), leases are given up.
///
/// Owns every task it starts. Dropping the future ends all of them at once, and nothing is lost by
/// that either: what was not acked comes again, what was not relayed is in the outbox.
pub async fn run(
    options: RouterOptions,
    bus: Arc<dyn Bus>,
    store: impl Into<Stores>,
    clock: Arc<dyn Clock>,
    instance: InstanceId,
    stop: CancellationToken,
) {
    let Stores {
        leases,
        journal,
        desk,
    } = store.into();
    let shared = Arc::new(shared::Shared {
        options,
        bus,
        leases,
        journal,
        desk,
        clock,
        instance,
        newest: AtomicU64::new(0),
        news: Notify::new(),
    });
    tokio::select! {
        () = keeper::run(Arc::clone(&shared), stop) => {}
        () = shared.tell_log() => {}
    }
}
