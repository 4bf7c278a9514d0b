//! What a sink tells the gateways that hold a contact's connections: look here, there is something.

use patchbay_message::{ChannelId, MessageId, ThreadId};
use serde::{Deserialize, Serialize};

/// A live push to one gateway's mailbox, as JSON. Lossy: the store's history is the truth, and a
/// gateway that sees a gap in `seq` reads it from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveNudge {
    /// Whose connections.
    pub thread_id: ThreadId,
    /// Of which channel.
    pub channel: ChannelId,
    /// The contact's address on it.
    pub address: String,
    /// The message's number in the thread; a connection that has shown a greater one drops it.
    pub seq: u64,
    /// Which message.
    pub id: MessageId,
    /// The frame, ready for the wire.
    pub frame: String,
}
