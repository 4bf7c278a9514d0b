//! Listens to the bus for this gateway's connections, and compares their cursors with the store.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use patchbay_bus::{Bus, BusError, Mailbox};
use patchbay_message::{InstanceId, LiveSignal, SignalBody};
use patchbay_sdk::{LiveNudge, Nudge, QueueState};
use patchbay_store::{Store, Want};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Hub, Push, Slots};

/// Every connection's cursor is compared once in `SLICES` ticks of `TICK`.
const TICK: Duration = Duration::from_secs(1);
const SLICES: u64 = 10;
/// Threads asked for at once.
const ASK_MAX: usize = 500;
/// Before a mailbox that was lost is opened again.
const REOPEN: Duration = Duration::from_millis(500);

/// Passes on pushes, signals and queue positions until `stop`.
pub async fn watch(
    hub: Arc<Hub>,
    slots: Arc<Slots>,
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    instance: InstanceId,
    stop: CancellationToken,
) {
    let own = Mailbox::Gateway(instance.0.clone());
    tokio::select! {
        () = stop.cancelled() => {}
        () = listen(&*bus, own, |body| nudged(&hub, &slots, &body)) => {}
        () = listen(&*bus, Mailbox::Event(LiveSignal::MAILBOX.to_owned()), |body| pass_on(&hub, &body)) => {}
        () = compare(&hub, &*store) => {}
    }
}

/// Reads a mailbox for ever; opens it again when it is lost.
async fn listen(bus: &dyn Bus, mailbox: Mailbox, act: impl Fn(Bytes)) {
    loop {
        match bus.mailbox(mailbox.clone()).await {
            Ok(bodies) => drain(bodies, &act).await,
            Err(BusError(error)) => tracing::debug!(%error, "mailbox not open"),
        }
        tokio::time::sleep(REOPEN).await;
    }
}

async fn drain(mut bodies: mpsc::Receiver<Bytes>, act: &impl Fn(Bytes)) {
    while let Some(body) = bodies.recv().await {
        act(body);
    }
}

fn nudged(hub: &Hub, slots: &Arc<Slots>, body: &[u8]) {
    match serde_json::from_slice::<Nudge>(body) {
        Ok(Nudge::Live(nudge)) => push_frame(hub, nudge),
        Ok(Nudge::TakenOver { thread_id, since }) => {
            hub.push(thread_id, &Push::TakenOver(since));
        }
        Ok(Nudge::Claim(ask)) => slots.claim(&ask),
        Ok(Nudge::Release(ask)) => slots.release(&ask),
        Ok(Nudge::Hand { ask, answer }) => slots.hand(&ask, answer),
        Err(_) => tracing::warn!(bytes = body.len(), "nudge not understood"),
    }
}

fn push_frame(hub: &Hub, nudge: LiveNudge) {
    let reached = hub.push(
        nudge.thread_id,
        &Push::Frame {
            seq: nudge.seq,
            frame: nudge.frame.into(),
        },
    );
    let outcome = if reached > 0 { "reached" } else { "gone" };
    metrics::counter!("patchbay_live_pushes_total", "outcome" => outcome).increment(1);
}

fn pass_on(hub: &Hub, body: &[u8]) {
    let Ok(signal) = serde_json::from_slice::<LiveSignal>(body) else {
        tracing::warn!(bytes = body.len(), "signal not understood");
        return;
    };
    let push = match signal.body {
        SignalBody::Typing { name, on } => Push::Typing { name, on },
        SignalBody::Seen { read } => Push::Seen(read),
        SignalBody::Waiting { position } => Push::Queue(QueueState::Waiting(position)),
        SignalBody::Assigned { agent } => Push::Queue(QueueState::Assigned(agent)),
        SignalBody::Closed => Push::Queue(QueueState::Closed),
    };
    hub.push(signal.thread_id, &push);
}

/// Finds connections whose client is behind the store: a push was lost.
async fn compare(hub: &Hub, store: &dyn Store) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for turn in 0.. {
        ticks.tick().await;
        metrics::gauge!("patchbay_live_connections")
            .set(u32::try_from(hub.connections()).unwrap_or(u32::MAX));
        for members in hub.slice(turn, SLICES).chunks(ASK_MAX) {
            let addresses = members
                .iter()
                .map(|m| (m.channel.clone(), m.address.clone()))
                .collect();
            let Ok(facts) = store
                .facts(&Want {
                    addresses,
                    ..Want::default()
                })
                .await
            else {
                continue;
            };
            for member in members {
                let key = (member.channel.clone(), member.address.clone());
                let newest = facts.threads.get(&key).map_or(0, |thread| thread.last_seq);
                if newest > member.cursor.load(Ordering::Relaxed) {
                    metrics::counter!("patchbay_live_pushes_total", "outcome" => "found_behind")
                        .increment(1);
                    member.tell_newest(newest);
                }
            }
        }
    }
}
