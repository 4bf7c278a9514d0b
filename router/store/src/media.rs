//! Files of messages that are still at the provider: a queue of its own, since they are fetched by
//! channel and not in the order of any conversation.

use patchbay_message::{ChannelId, Content, MessageId, Time};

/// A message whose files have to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaFetch {
    /// Which.
    pub message: MessageId,
    /// Of which channel.
    pub channel: ChannelId,
    /// When it may be fetched.
    pub due: Time,
    /// How often it was taken up. Names the turn: what another one has taken up since is not ended.
    pub attempts: u32,
}

/// What became of a fetch.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaFetched {
    /// Which.
    pub message: MessageId,
    /// The turn, see [`MediaFetch::attempts`]; another one is a Conflict.
    pub attempts: u32,
    /// The message as it is now, if any of its files came.
    pub content: Option<Vec<Content>>,
    /// What is missing is fetched then; none: that was it.
    pub again: Option<Time>,
}
