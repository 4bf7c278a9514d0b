//! What the gateway relies on: canonical, bounded, harmless, and the same for the same.

mod addresses;
mod keys;
mod properties;
mod texts;

use patchbay_message::{
    Authenticity, ChannelId, ChannelRef, Content, Envelope, Part, Party, Time, Violation,
};
use patchbay_normalizer::{NormalizeCx, normalize_message};
use patchbay_sdk::InboundMessage;

fn cx() -> NormalizeCx {
    NormalizeCx {
        channel: ChannelRef {
            id: ChannelId::new("web").expect("good"),
            kind: "webchat".to_owned(),
        },
        received_at: "2026-11-20T12:00:00Z".parse::<Time>().expect("good"),
        authenticity: Authenticity::Token,
        traceparent: None,
        region: None,
    }
}

fn from(address: &str) -> InboundMessage {
    InboundMessage {
        sender: Party {
            address: address.to_owned(),
            ..Party::default()
        },
        ..InboundMessage::default()
    }
}

fn normalized(message: InboundMessage) -> Result<Envelope, Violation> {
    normalize_message(message, &cx())
}

fn part(part: Part) -> Part {
    let message = InboundMessage {
        content: vec![Content::Known(part)],
        ..from("a")
    };
    let envelope = normalized(message).expect("good");
    match envelope.content.into_iter().next() {
        Some(Content::Known(part)) => part,
        other => panic!("{other:?}"),
    }
}
