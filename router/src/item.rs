//! A delivery's bytes, looked at: what kind of work it is, or why it is none.

use bytes::Bytes;
use patchbay_message::{ChannelId, Command, Direction, Envelope, EnvelopeType, MessageId, Receipt};
use serde_json::Value;

/// One delivery as the router sees it.
#[derive(Debug, Clone)]
pub struct Item {
    /// The bus's message id.
    pub id: MessageId,
    /// What was delivered, kept for a dead letter.
    pub raw: Bytes,
    /// What it is.
    pub work: Work,
}

/// What a delivery asks for.
#[derive(Debug, Clone)]
pub enum Work {
    /// A contact says something.
    Message(Box<Envelope>),
    /// A provider's word on an outbound.
    Receipt(Box<Envelope>, Receipt),
    /// An agent, the API or the system wants something.
    Command(Box<Envelope>, Command),
    /// Nothing this version understands.
    Undecodable {
        /// Why, a sentence. It may quote what it is about: not for logs.
        why: String,
        /// Of which channel, as far as that can be read.
        channel: ChannelId,
    },
}

impl Item {
    /// Looks at the bytes. Never fails: what is not understood is `Undecodable`.
    #[must_use]
    pub fn read(id: MessageId, raw: Bytes) -> Self {
        let work = match Envelope::from_slice(&raw) {
            Ok(envelope) => sort(envelope),
            Err(error) => Work::Undecodable {
                why: format!("not an envelope: {error}"),
                channel: channel_of(&raw),
            },
        };
        Self { id, raw, work }
    }

    /// The word in metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.work {
            Work::Message(_) => "message",
            Work::Receipt(..) => "receipt",
            Work::Command(..) => "command",
            Work::Undecodable { .. } => "other",
        }
    }

    /// The trace it belongs to, for logs.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        match &self.work {
            Work::Message(envelope) | Work::Receipt(envelope, _) | Work::Command(envelope, _) => {
                envelope.traceparent.as_deref()
            }
            Work::Undecodable { .. } => None,
        }
    }
}

fn sort(mut envelope: Envelope) -> Work {
    let undecodable = |envelope: Envelope, why: String| Work::Undecodable {
        why,
        channel: envelope.channel.id,
    };
    if envelope.direction != Direction::Inbound {
        let why = format!("direction `{}` does not belong here", envelope.direction);
        return undecodable(envelope, why);
    }
    match envelope.kind {
        EnvelopeType::Message => match &envelope.sender {
            Some(sender) if !sender.address.is_empty() => Work::Message(Box::new(envelope)),
            _ => undecodable(envelope, "a message without a sender's address".into()),
        },
        EnvelopeType::Receipt => match envelope.receipt.take() {
            Some(receipt) => Work::Receipt(Box::new(envelope), receipt),
            None => undecodable(envelope, "a receipt without `receipt`".into()),
        },
        EnvelopeType::Command => match envelope.command.take() {
            Some(command) => Work::Command(Box::new(envelope), command),
            None => undecodable(envelope, "a command without `command`".into()),
        },
        EnvelopeType::Result | EnvelopeType::Other(_) => {
            let why = format!("type `{}` is not for the router", envelope.kind);
            undecodable(envelope, why)
        }
    }
}

/// The channel named in bytes that are no envelope; `unknown` if there is none.
fn channel_of(raw: &[u8]) -> ChannelId {
    serde_json::from_slice::<Value>(raw)
        .ok()
        .and_then(|value| ChannelId::new(value.pointer("/channel/id")?.as_str()?).ok())
        .unwrap_or_else(|| ChannelId::new("unknown").expect("`unknown` matches the pattern"))
}
