//! Wills: published through the same pipeline when a device's connection breaks, at once or after
//! the delay it asked for, unless it is back by then.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use patchbay_sdk::MqttProof;
use patchbay_sinks::Backoff;
use tokio::time::{Instant, sleep};

use super::{
    Shared,
    line::Departed,
    listener::Listener,
    meter,
    roster::Place,
    uplink::{Ended, Uplink},
};

/// Wills that wait for their delay in this gateway; beyond it they are published at once.
const WAITING_MAX: usize = 10_000;
/// The longest delay that is honoured.
const DELAY_MAX: Duration = Duration::from_secs(3600);
/// How long a will is tried while the bus is away.
const TRY_FOR: Duration = Duration::from_secs(60);
const BACKOFF: Backoff = Backoff {
    min: Duration::from_millis(200),
    max: Duration::from_secs(5),
    jitter: 0.5,
};

/// How many wills wait.
#[derive(Default)]
pub(super) struct Wills {
    waiting: AtomicUsize,
}

/// Publishes a device's will when it is due. A gateway that stops publishes none: the device is well
/// and connects to another.
pub(super) async fn publish(listener: &Listener, departed: Departed) {
    let (shared, channel) = (&listener.shared, &listener.channel);
    let Departed {
        mut session,
        place,
        mut will,
    } = departed;
    let delay = Duration::from_secs(will.delay.into()).min(DELAY_MAX);
    if !delay.is_zero() {
        wait(shared, &place, delay).await;
    }
    if shared.stop.is_cancelled() || is_back(shared, &place).await {
        return;
    }
    let end = Instant::now() + TRY_FOR;
    let mut tries = 0;
    // The bus confirms it or it is tried again; there is nobody to answer.
    will.publish.qos = 1;
    loop {
        let mut uplink = Uplink::new(&shared.ingress, channel, None, MqttProof::Session);
        uplink.begin(&mut session, &will.publish, false);
        if uplink.next().await.ended != Ended::Again {
            return;
        }
        tries += 1;
        let pause = BACKOFF.delay(tries, fastrand::f64());
        if Instant::now() + pause > end {
            meter::refused(&channel.id, "will_lost");
            tracing::error!(channel = %channel.id, "a will could not be stored and is lost");
            return;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = place.kicked.cancelled() => return,
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Waits until the will is due; for less if the device is back or we stop.
async fn wait(shared: &Shared, place: &Place, delay: Duration) {
    let waiting = &shared.wills.waiting;
    if waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX {
        tokio::select! {
            () = sleep(delay) => {}
            () = place.kicked.cancelled() => {}
            () = shared.stop.cancelled() => {}
        }
    }
    waiting.fetch_sub(1, Ordering::Relaxed);
}

/// Whether the device has connected again: here since then, whatever became of that connection; or
/// is at another gateway now, whose word that it has taken over may have been lost on its way. Of
/// ourselves the place knows: that a connection has gone may not be registered yet, or never be.
async fn is_back(shared: &Shared, place: &Place) -> bool {
    let live = shared.ingress.store.live(&[place.thread]).await;
    place.kicked.is_cancelled()
        || live.is_ok_and(|all| all.iter().any(|(_, at)| *at != shared.instance))
}
