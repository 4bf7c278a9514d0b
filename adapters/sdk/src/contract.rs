//! The two traits an adapter fulfils, and what decoding answers.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use patchbay_message::{
    Attributes, Content, Envelope, MessageId, Party, Receipt, ReplyHandle, Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Await, Exchange, Fetched, Link, LinkPolicy, LiveEvent, Manifest, MqttOut, Problem, PullAt,
    Pulled, Reject, Reply, Secret, SendError, Sent, Session, Step, ThreadMessage, Token, TokenName,
    Verified, Wire,
};

/// One kind of channel.
pub trait Adapter: Sync + 'static {
    /// The `[options]` of a channel's file; `#[serde(deny_unknown_fields)]`, every field documented.
    /// Debug may reach a log: a secret is a [`Secret`].
    type Options: DeserializeOwned + JsonSchema + Debug;
    /// An opened channel.
    type Channel: Channel + 'static;
    /// What this kind is and can do.
    const MANIFEST: Manifest;

    /// Checks the options and opens the channel.
    ///
    /// # Errors
    /// Every mistake found, each with the path of its key.
    fn open(options: Self::Options) -> Result<Self::Channel, Vec<Problem>>;
}

/// One configured channel: the translations of its kind with its own options.
pub trait Channel: Send + Sync {
    /// What to hold open for this channel.
    fn links(&self) -> Vec<Link>;

    /// Verifies, then reads what came in. Authenticity is checked on the raw bytes before anything
    /// is parsed.
    ///
    /// # Errors
    /// [`Reject`]: what came in is not taken; the transport answers with the fitting status.
    fn decode(&self, cx: &Cx<'_>, session: &mut Session, wire: Wire<'_>)
    -> Result<Decoded, Reject>;

    /// The next step of sending `outbound`, given the exchanges so far. Called again with one more
    /// exchange after every `Call`, until `Done`.
    ///
    /// # Errors
    /// [`SendError`]: what the sink is to do about it.
    fn send(
        &self,
        cx: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError>;

    /// Whose token it is, `<kind>:<account>[:<family>]`: all processes and channels of one account
    /// share it. `None`: the channel has no such token.
    ///
    /// Where [`Cx::token`] has none, `send` and `fetch` answer [`Step::Need`]; where the provider
    /// refuses the one they used, [`SendError::TokenExpired`]: the driver then has it renewed and
    /// asks again, once.
    fn token_account(&self, _name: TokenName) -> Option<String> {
        None
    }

    /// The next step of fetching a token, given the exchanges so far. With `renew` the provider
    /// refused the present one before its time, and [`Cx::token`] has it: where the provider gives
    /// out another by now, nothing needs to be forced. Without, it has none.
    ///
    /// # Errors
    /// [`SendError`]: what the driver is to do about it.
    fn token(
        &self,
        _cx: &Cx<'_>,
        _name: TokenName,
        _renew: bool,
        _past: &[Exchange],
    ) -> Result<Step<Token>, SendError> {
        Err(SendError::Unsupported)
    }

    /// Whether answers of this channel may wait for a reply: whether `decode` gives any
    /// [`Decoded::slot`].
    fn rides(&self) -> bool {
        false
    }

    /// The next step of writing `outbound` as the answer that `slot` holds back, given the exchanges so
    /// far; nothing but the answer may reach the contact.
    ///
    /// # Errors
    /// [`SendError::Unsupported`] for what cannot ride on an answer: it is sent instead.
    fn ride(
        &self,
        _cx: &Cx<'_>,
        _slot: &Slot,
        _outbound: &Envelope,
        _past: &[Exchange],
    ) -> Result<Step<Reply>, SendError> {
        Err(SendError::Unsupported)
    }

    /// The next step of fetching a file that came in by the provider's handle, given the exchanges so
    /// far: the message's media has the address `provider:<handle>`.
    ///
    /// # Errors
    /// [`SendError`]: what is to be done about it; [`SendError::Gone`] once the provider has it no
    /// more.
    fn fetch(
        &self,
        _cx: &Cx<'_>,
        _handle: &str,
        _past: &[Exchange],
    ) -> Result<Step<Fetched>, SendError> {
        Err(SendError::Unsupported)
    }

    /// The next step of pulling the page after `at` of one of the channel's [`Link::Poll`] lines, given
    /// the exchanges so far. The cursor is saved after everything of the page is durable; after a
    /// crash in between the same page comes again, and its keys tell the repeats.
    ///
    /// # Errors
    /// [`SendError`]: what is to be done about it.
    fn pull(
        &self,
        _cx: &Cx<'_>,
        _at: &PullAt<'_>,
        _past: &[Exchange],
    ) -> Result<Step<Pulled>, SendError> {
        Err(SendError::Unsupported)
    }

    /// For channels with sockets: how something live looks on the wire; `None` if it is not shown.
    fn frame(&self, _cx: &Cx<'_>, _event: &LiveEvent<'_>) -> Option<String> {
        None
    }

    /// For channels with an MQTT listener: how a message of the thread goes to the device that a
    /// connection speaks for, and how long its answer is waited for; `None` if it is not sent.
    fn downlink(
        &self,
        _cx: &Cx<'_>,
        _device: &Party,
        _message: &ThreadMessage,
    ) -> Option<Downlink> {
        None
    }

    /// For channels with sockets and browsers: heartbeat, limits, allowed origins.
    fn policy(&self) -> LinkPolicy {
        LinkPolicy::default()
    }
}

/// What an adapter may know of its surroundings; pinned in fixtures.
pub struct Cx<'a> {
    /// The time now.
    pub now: Time,
    /// Random bytes.
    pub random: &'a dyn Random,
    /// Our configured public address, without a slash at the end.
    pub public_url: &'a str,
    /// The channel's configured id.
    pub channel: &'a str,
    /// Who is at the other end of the connection.
    pub peer: Option<IpAddr>,
    /// Tokens fetched by the driver.
    pub token: &'a dyn Fn(TokenName) -> Option<Secret>,
}

impl Cx<'_> {
    /// A new id for a message, of this time and these random bytes (RFC 9562, version 7).
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        let mut random = [0_u8; 10];
        self.random.fill(&mut random);
        let ms = u64::try_from(self.now.as_ms()).unwrap_or(0);
        MessageId(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
    }
}

/// A source of random bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// What decoding found: what came in, what to answer, what else to do.
#[derive(Debug)]
pub struct Decoded {
    /// How it was verified; made only by [`crate::verify`].
    pub proof: Verified,
    /// What came in, in order.
    pub items: Vec<Inbound>,
    /// What the transport is to do besides.
    pub asks: Vec<Ask>,
    /// Answered after the bus confirmed every durable item.
    pub confirmed: Reply,
    /// Answered when the bus failed or the deadline passed: what this provider retries.
    pub refused: Reply,
    /// An outbound may still ride on this answer.
    pub slot: Option<Slot>,
}

impl Decoded {
    /// Nothing came in; only an answer goes back.
    #[must_use]
    pub fn answer(proof: Verified, confirmed: Reply) -> Self {
        Self {
            proof,
            items: Vec::new(),
            asks: Vec::new(),
            confirmed,
            refused: Reply::unavailable(),
            slot: None,
        }
    }

    /// The same, and this came in.
    #[must_use]
    pub fn with(mut self, item: Inbound) -> Self {
        self.items.push(item);
        self
    }

    /// The same, and this is to be done.
    #[must_use]
    pub fn asking(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }
}

/// One thing that came in.
#[derive(Debug, Clone, PartialEq)]
pub enum Inbound {
    /// Something said, or an event; goes over the bus.
    Message(Box<InboundMessage>),
    /// The provider's word on an outbound; goes over the bus.
    Receipt(Receipt),
    /// Typing or a read mark: short-lived, never on the durable bus.
    Signal(Signal),
}

/// A message as the adapter read it; the normalizer makes an envelope of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InboundMessage {
    /// Our id of it, if the answer must name it; see [`Cx::message_id`]. Made by the normalizer
    /// otherwise.
    pub id: Option<MessageId>,
    /// What the addresses of sender and recipient are.
    pub handles: Handles,
    /// Who said it.
    pub sender: Party,
    /// To which of our handles; none where the channel has one only.
    pub recipient: Option<Party>,
    /// Orders by this instead of by sender: a group chat's id.
    pub group: Option<String>,
    /// The provider's (or client's) id.
    pub external_id: Option<String>,
    /// Same key, same message. Without one the normalizer derives it from the external id.
    pub dedupe_key: Option<String>,
    /// Answers which message, by external id.
    pub in_reply_to: Option<String>,
    /// By the provider's clock.
    pub sent_at: Option<Time>,
    /// What was said.
    pub content: Vec<Content>,
    /// How an answer can ride on it.
    pub reply: Option<ReplyHandle>,
    /// What helps the router to find the thread.
    pub thread_hints: Attributes,
    /// What else travels along.
    pub attributes: Attributes,
}

/// What the addresses of a channel are: tells the normalizer how to write each in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handles {
    /// Ids of the provider's or ours: kept to the byte.
    #[default]
    Opaque,
    /// Phone numbers: `tel:` and E.164. Short codes and names of senders are kept.
    Phone,
    /// Mailboxes: the domain in lower case.
    Mailbox,
}

/// Lossy and short-lived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The contact is typing, or has stopped.
    Typing {
        /// Whose.
        address: String,
        /// Typing or not.
        on: bool,
    },
    /// Everything up to these thread numbers was delivered or read.
    Seen {
        /// Whose.
        address: String,
        /// Watermark of delivery.
        delivered: Option<u64>,
        /// Watermark of reading.
        read: Option<u64>,
    },
}

/// What the transport is to do for the adapter.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Answer with what the thread of `address` has after this number, waiting a while for it.
    History {
        /// Whose thread.
        address: String,
        /// The last number the client has.
        after: u64,
        /// How long to wait for something newer.
        wait: Duration,
    },
    /// Store the request's body as a blob and answer 201 with its media description.
    Upload {
        /// File name for people.
        name: Option<String>,
        /// Bytes allowed.
        bytes_max: u64,
        /// MIME types allowed, `image/*` style.
        types: Vec<String>,
    },
    /// This connection speaks for `address` from now on: send it what it misses after `after`.
    Register {
        /// Whose.
        address: String,
        /// The last number the client has.
        after: u64,
    },
    /// Send this frame back at once.
    Emit(String),
    /// This connection may publish to and subscribe to what these topic filters match, nothing else.
    Topics {
        /// For PUBLISH.
        publish: Vec<String>,
        /// For SUBSCRIBE.
        subscribe: Vec<String>,
    },
    /// There is something to be pulled: the answer is given once that is written down, so that the
    /// provider need not ring again.
    Pull {
        /// Which of the channel's [`Link::Poll`] lines.
        line: String,
        /// What the provider gave for it, see [`PullAt::hint`].
        hint: Option<Secret>,
    },
    /// Answer a client's ping by [`LiveEvent::Pong`]; only the transport knows the newest number.
    Pong {
        /// What the client gave, as JSON.
        at: Option<String>,
    },
}

/// A message on its way to a device that is connected to us.
#[derive(Debug, Clone, PartialEq)]
pub struct Downlink {
    /// What to publish.
    pub out: MqttOut,
    /// The device's answer is the receipt; without one, its PUBACK is.
    pub awaits: Option<Await>,
    /// What the device's answer calls it.
    pub external_id: String,
}

/// An outbound may ride on the answer until `deadline` passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Whose outbound.
    pub address: String,
    /// How long the answer can wait.
    pub deadline: Duration,
    /// The same for every repeat of the same message: a provider that sends again meanwhile waits
    /// for the same outbound, and whichever request still stands carries it, once.
    pub key: String,
    /// Answers of this channel that may wait at the same time; one more is given at once.
    pub held_max: u32,
    /// Whatever the adapter must know to write the answer, see [`Channel::ride`].
    pub memory: serde_json::Map<String, serde_json::Value>,
}
