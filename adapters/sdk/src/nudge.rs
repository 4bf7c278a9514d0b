//! What sinks and gateways tell each other by mailbox. Lossy: whoever needs an answer waits for it for
//! a short, named time and knows what to do without.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use patchbay_message::{ChannelId, InstanceId, MessageId, ThreadId, Time};
use serde::{Deserialize, Serialize};

use crate::{Reply, Slot};

/// Bytes of an answer that a reply rides on; a larger one is sent instead.
pub const RIDE_BYTES_MAX: usize = 16 * 1024;

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
    /// A sink wants an answer of this thread that is held back, for this message alone. Answered by
    /// [`SlotSaid::Granted`] or [`SlotSaid::Refused`].
    Claim(SlotAsk),
    /// The claimed answer is not needed after all.
    Release(SlotAsk),
    /// The claimed answer is to be this. Answered by [`SlotSaid::Written`] or
    /// [`SlotSaid::NotWritten`].
    Hand {
        /// Who hands it over, and for which message.
        ask: SlotAsk,
        /// What is to be written.
        answer: RideAnswer,
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

/// What a sink asks about an answer that is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotAsk {
    /// Whose answer.
    pub thread_id: ThreadId,
    /// The message that wants to ride.
    pub message: MessageId,
    /// Whose mailbox is answered.
    pub sinks: InstanceId,
    /// The sink's number for it, which the answer repeats.
    pub ask: u64,
}

/// What a sink worker finds in its mailbox, as JSON: a gateway's word on a [`SlotAsk`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotWord {
    /// The number that the sink gave.
    pub ask: u64,
    /// Which gateway.
    pub gateway: InstanceId,
    /// What it says.
    pub said: SlotSaid,
}

/// A gateway's word on an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotSaid {
    /// It waits for this message and no other.
    Granted {
        /// What the adapter must know to write it.
        slot: Box<Slot>,
        /// So long it can still be written, milliseconds.
        left_ms: u64,
        /// Since when the request waits: of several, the newest is answered.
        since: Time,
    },
    /// None is held for this thread, or not for this message.
    Refused,
    /// Its bytes went into the connection.
    Written,
    /// None of its bytes left, and none ever will.
    NotWritten,
}

/// An answer over HTTP that a reply rides on: [`Reply::Http`] as text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RideAnswer {
    /// HTTP status.
    status: u16,
    /// Names and values.
    headers: Vec<(String, String)>,
    body: String,
}

/// Shows nothing of what is said.
impl std::fmt::Debug for RideAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RideAnswer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl RideAnswer {
    /// Of what an adapter wrote; `None` for what is no text over HTTP or past [`RIDE_BYTES_MAX`].
    #[must_use]
    pub fn of(reply: Reply) -> Option<Self> {
        let Reply::Http {
            status,
            headers,
            body,
        } = reply
        else {
            return None;
        };
        let pairs = headers
            .iter()
            .map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        (body.len() <= RIDE_BYTES_MAX).then_some(())?;
        Some(Self {
            status: status.as_u16(),
            headers: pairs.collect::<Option<_>>()?,
            body: String::from_utf8(body).ok()?,
        })
    }

    /// What goes over the wire; `None` if it is not well-formed.
    #[must_use]
    pub fn parts(&self) -> Option<(StatusCode, HeaderMap, String)> {
        let pairs = self.headers.iter().map(|(name, value)| {
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::try_from(value).ok()?))
        });
        let headers = pairs.collect::<Option<_>>()?;
        Some((
            StatusCode::from_u16(self.status).ok()?,
            headers,
            self.body.clone(),
        ))
    }
}
