//! What sinks and gateways tell each other by mailbox. Lossy: whoever needs an answer waits for it for
//! a short, named time and knows what to do without.

use patchbay_message::{ChannelId, MessageId, ThreadId, Time};
use serde::{Deserialize, Serialize};

/// What a gateway finds in its mailbox, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "nudge", rename_all = "snake_case")]
pub enum Nudge {
    /// A frame for a contact's connections.
    Live(LiveNudge),
    /// A device that may have one connection only has come to another gateway then.
    TakenOver {
        /// Whose connection.
        thread_id: ThreadId,
        /// A connection from before that ends.
        since: Time,
    },
}

/// A live push. The store's history is the truth, and a gateway that sees a gap in `seq` reads it
/// from there.
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
