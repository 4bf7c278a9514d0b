//! Sending, step by step: requests, what became of them, and the one list of send errors.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use patchbay_message::{MessageId, ReceiptState};

use crate::Secret;

/// Names a token the driver fetches for the channel.
pub type TokenName = &'static str;

/// A token as the provider gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Its text.
    pub value: Secret,
    /// How long it is good, counted from the answer that brought it.
    pub expires_in: Duration,
}

/// A file that came in by the provider's handle.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What is in it.
    pub bytes: Bytes,
    /// What the provider calls its type; what the bytes say goes first.
    pub mime: Option<String>,
    /// Its name, for people.
    pub name: Option<String>,
}

/// Shows no byte of the file: it may be anybody's passport.
impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched")
            .field("n_bytes", &self.bytes.len())
            .field("mime", &self.mime)
            .finish_non_exhaustive()
    }
}

/// What to do next on the way to `T`.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<T> {
    /// Fetch this token, then ask again.
    Need(TokenName),
    /// Perform this request, then ask again with what became of it.
    Call(Request),
    /// Perform these, in order, then ask again.
    All(Vec<Request>),
    /// Wait, then ask again.
    Wait(Duration),
    /// Finished.
    Done(T),
}

/// Something for a transport to perform.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// An HTTP request.
    Http(HttpOut),
    /// A push to whoever holds the contact's live connection.
    Live(LiveOut),
    /// A PUBLISH to the channel's broker.
    Mqtt(crate::MqttOut),
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpOut {
    /// Method.
    pub method: Method,
    /// Full address.
    pub url: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// What it does at the provider.
    pub effect: Effect,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// Something for the provider to keep, and to be named by later requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upload {
    /// Under this key it may be used again.
    pub reuse: Option<String>,
    /// A file of ours that the transport puts into the body.
    pub insert: Option<Insert>,
}

/// A file of ours on its way into a request's body, so that no adapter ever holds its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert {
    /// In front of this byte of the body.
    pub at: usize,
    /// Which: `/media/{token}`, as media has it.
    pub media: String,
    /// A larger one is refused before anything is sent.
    pub bytes_max: u64,
}

/// A nudge to the gateways that hold the contact's connections. The store's history is the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOut {
    /// Which message.
    pub id: MessageId,
    /// Whose connection, by address.
    pub address: String,
    /// The message's number in the thread.
    pub seq: u64,
    /// How it looks on the wire.
    pub frame: String,
}

/// What a request does at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing; may be repeated at will.
    Read,
    /// Gives the provider something to keep.
    Upload(Box<Upload>),
    /// Reaches the contact; journaled before it is performed unless the provider takes a key.
    Deliver {
        /// Which part of the message.
        part: u16,
        /// The provider's own idempotency key.
        key: Option<String>,
    },
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Exchange {
    /// There was an answer.
    Answered(Answer),
    /// No byte left us: may be tried again.
    NotSent(String),
    /// Bytes left us and no answer came (also after a crash).
    Unknown(String),
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Over HTTP.
    Http {
        /// Status.
        status: StatusCode,
        /// Headers.
        headers: HeaderMap,
        /// Body, capped by the transport.
        body: Bytes,
    },
    /// From a live push: whether a connection was there. Not being there is no failure.
    Live {
        /// Gateways nudged.
        gateways: u32,
    },
    /// From a broker.
    Mqtt {
        /// PUBACK's reason code (MQTT 5.0, section 3.4.2.1); 0 with 3.1.1 and with QoS 0.
        reason: u8,
    },
}

/// One part was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Which part, from 0.
    pub part: u16,
    /// The provider's id of it; receipts are matched by it.
    pub external_id: Option<String>,
    /// What the provider's answer says of it: accepted, sent ...
    pub state: ReceiptState,
    /// The contact's own answer is the receipt and has to come in time.
    pub awaits: Option<Await>,
}

/// How long an answer is waited for. Needs an `external_id`, which the answer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Await {
    /// From now on.
    pub within: Duration,
    /// What the message is if no answer comes: `unknown` or `expired`.
    pub or_else: ReceiptState,
    /// Waits only as long as nobody knows better: gives way to any other wait, and ends once the
    /// message is `sent`.
    pub fallback: bool,
}

/// What is throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This contact.
    Contact,
    /// The whole channel.
    Channel,
}

/// Why sending failed and what to do about it: one list, used everywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Try again, by backoff or after this long.
    #[error("to be tried again")]
    Retry(Option<Duration>),
    /// Too fast; the scope rests this long.
    #[error("throttled for {1:?}")]
    Throttled(Scope, Duration),
    /// Fetch the token anew and try again, once.
    #[error("token {0} expired")]
    TokenExpired(TokenName),
    /// The contact's reply window is closed.
    #[error("the reply window is closed")]
    WindowClosed,
    /// The window's quota is used up.
    #[error("the reply quota is used up")]
    QuotaUsed,
    /// The address does not exist any more.
    #[error("the address is gone")]
    Gone(String),
    /// The contact does not want our messages.
    #[error("blocked by the contact")]
    Blocked,
    /// The provider does not take this content.
    #[error("content refused: {0}")]
    Payload(String),
    /// Our account is wrong: the channel pauses and a human is told.
    #[error("account problem: {0}")]
    Account(String),
    /// It may or may not have arrived.
    #[error("outcome unknown")]
    Unknown,
    /// This kind of channel cannot send that.
    #[error("not supported by this channel")]
    Unsupported,
}
