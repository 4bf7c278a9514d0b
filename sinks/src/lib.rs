//! The sink worker: takes outbound envelopes from the bus, keeps each lane in order, and drives the
//! adapters' `send` by HTTP requests, publishes to brokers and live pushes. What cannot go now waits in the store.
//! It also fetches what a message only names: tokens, and files that are still at the provider.
//!
//! It knows no channel by name and never decides to whom a message goes.

mod ask;
mod backoff;
mod channels;
mod duty;
mod errand;
mod files;
mod gate;
mod http;
mod item;
mod journal;
mod lane;
mod link;
mod media;
mod meter;
mod mqtt;
mod perform;
mod record;
mod ride;
mod sending;
mod shard;
mod tokens;
mod verdict;
mod watch;
mod window;
mod worker;

use std::sync::{Arc, atomic::AtomicU64};

pub use backoff::Backoff;
pub use channels::{
    Channels, IN_FLIGHT_MAX, OnDead, OnUnknown, OpenChannel, RetryPolicy, SendLimits,
};
pub use errand::Errands;
pub use files::Files;
pub use http::{HttpOptions, HttpSetupError};
pub use media::MediaOptions;
use patchbay_bus::Bus;
use patchbay_message::{Clock, InstanceId};
use patchbay_store::Store;
pub use tokens::TokenOptions;
use tokio::sync::{Notify, Semaphore, watch as watch_channel};
use tokio_util::sync::CancellationToken;
pub use worker::{SinksOptions, Status, StatusNow};

/// Runs the sink worker until `stop`; then finishes the calls under way within a bound, leaves the
/// rest where it came from and gives its leases up.
///
/// # Errors
/// [`HttpSetupError`] at start; never later.
pub async fn run(
    options: SinksOptions,
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    channels: Arc<Channels>,
    clock: Arc<dyn Clock>,
    instance: InstanceId,
    stop: CancellationToken,
) -> Result<(), HttpSetupError> {
    let mqtt = mqtt::Mqtt::new(instance.clone(), Arc::clone(&options.status));
    for channel in channels.all() {
        mqtt.connect(&channel);
    }
    let worker = Arc::new(worker::Worker {
        http: http::Http::new(options.http.clone())?,
        file_http: http::Http::new(media::http_options(&options))?,
        mqtt,
        total: Arc::new(Semaphore::new(options.in_flight_max as usize)),
        gates: gate::Gates::default(),
        errands: Errands::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            instance.clone(),
            options.public_url.clone(),
            options.http.clone(),
            options.tokens.clone(),
        )?
        .with_files(options.files.clone()),
        asks: ask::Asks::default(),
        resumed: watch_channel::Sender::new(()),
        newest: AtomicU64::new(0),
        news: Notify::new(),
        options,
        bus,
        store,
        channels,
        clock,
        instance,
    });
    // A channel that is paused must be known to be so before the first message.
    watch::look(&worker).await;
    let duty = duty::run(worker.clone(), stop.clone());
    let work = async {
        tokio::join!(
            duty,
            watch::run(worker.clone(), stop.clone()),
            media::run(worker.clone(), stop),
        )
    };
    tokio::select! {
        _ = work => {}
        () = worker.tell_log() => {}
        () = ask::listen(&worker) => {}
    }
    worker.mqtt.close().await;
    Ok(())
}
