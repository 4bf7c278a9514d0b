//! Live pushes: a frame for the gateways that hold a contact's connections.
//!
//! A push is a nudge and may be lost; the store's history is the truth, and every heartbeat of a
//! connection compares its cursor with it.

use bytes::Bytes;
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{ChannelId, InstanceId, ThreadId};
use patchbay_sdk::{Answer, Exchange, LiveNudge, LiveOut, Nudge};

/// Nudges every gateway that holds a connection of the thread. Nobody there is no failure.
pub(crate) fn push(
    bus: &dyn Bus,
    thread_id: ThreadId,
    channel: &ChannelId,
    gateways: &[InstanceId],
    out: LiveOut,
) -> Exchange {
    if !gateways.is_empty() {
        let nudge = Nudge::Live(LiveNudge {
            thread_id,
            channel: channel.clone(),
            address: out.address,
            seq: out.seq,
            id: out.id,
            frame: out.frame,
        });
        let body = serde_json::to_vec(&nudge).expect("strings and numbers are JSON");
        let body = Bytes::from(body);
        for gateway in gateways {
            bus.nudge(&Mailbox::Gateway(gateway.0.clone()), body.clone());
        }
    }
    Exchange::Answered(Answer::Live {
        gateways: u32::try_from(gateways.len()).unwrap_or(u32::MAX),
    })
}
