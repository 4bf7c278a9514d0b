//! Frames from a visitor's client.

use std::borrow::Cow;

use patchbay_message::{Content, Party, Time};
use patchbay_sdk::{
    Ask, Cx, Decoded, Inbound, InboundMessage, Reject, Reply, Signal, Verified, parse_object,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Options, PARTS_MAX, part::PartIn};

/// Characters of a client's own id of a message.
const CLIENT_ID_CHARS_MAX: usize = 64;
/// Bytes of what a client wants back with a `pong`.
const AT_BYTES_MAX: usize = 256;

/// Any frame, so that one pass reads it:
/// `{"type":"message","client_id":"c1","content":[{"type":"text","text":"hi"}],"sent_at":".."}`,
/// `{"type":"seen","delivered":4,"read":3}`, `{"type":"typing","on":true}`, `{"type":"ping","at":1}`.
#[derive(Deserialize)]
struct FrameIn<'a> {
    /// Over HTTP the path says what it is.
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(borrow, default)]
    content: Option<Vec<PartIn<'a>>>,
    #[serde(default)]
    sent_at: Option<Time>,
    #[serde(default)]
    delivered: Option<u64>,
    #[serde(default)]
    read: Option<u64>,
    #[serde(default)]
    on: Option<bool>,
    #[serde(borrow, default)]
    at: Option<&'a RawValue>,
}

/// Enough of a broken frame to say which message it was.
#[derive(Deserialize)]
struct Head {
    client_id: String,
}

impl<'a> FrameIn<'a> {
    fn parse(frame: &'a [u8]) -> Result<Self, Reject> {
        parse_object(frame).map_err(|reject| {
            let head = serde_json::from_slice::<Head>(frame).ok();
            match (head.filter(|head| is_client_id(&head.client_id)), reject) {
                (Some(head), Reject::Malformed(detail)) => Reject::Refused {
                    external_id: head.client_id,
                    code: "bad_frame",
                    detail,
                },
                (_, reject) => reject,
            }
        })
    }
}

/// A frame on an open socket.
pub(super) fn decode(
    options: &Options,
    cx: &Cx<'_>,
    proof: Verified,
    party: &Party,
    frame: &[u8],
) -> Result<Decoded, Reject> {
    let frame = FrameIn::parse(frame)?;
    // The transport tells by a frame what was not taken.
    let done = Decoded {
        refused: Reply::silence(),
        ..Decoded::answer(proof, Reply::silence())
    };
    match frame.kind.as_ref() {
        "message" => {
            let message = message_of(options, cx, frame, party.clone())?;
            Ok(done.with(Inbound::Message(Box::new(message))))
        }
        "seen" => Ok(done.with(seen_of(&frame, &party.address)?)),
        "typing" => {
            let on = frame.on.ok_or_else(|| malformed("`on` is missing"))?;
            let address = party.address.clone();
            Ok(done.with(Inbound::Signal(Signal::Typing { address, on })))
        }
        "ping" => Ok(done.asking(Ask::Pong {
            at: ping_of(&frame)?,
        })),
        "pong" => Ok(done),
        _ => Err(malformed(
            "`type` must be `message`, `seen`, `typing`, `ping` or `pong`",
        )),
    }
}

/// A `message` frame over HTTP.
pub(super) fn message(
    options: &Options,
    cx: &Cx<'_>,
    frame: &[u8],
    sender: Party,
) -> Result<InboundMessage, Reject> {
    message_of(options, cx, FrameIn::parse(frame)?, sender)
}

/// A `seen` frame over HTTP.
pub(super) fn seen(frame: &[u8], address: &str) -> Result<Inbound, Reject> {
    seen_of(&FrameIn::parse(frame)?, address)
}

fn message_of(
    options: &Options,
    cx: &Cx<'_>,
    frame: FrameIn<'_>,
    sender: Party,
) -> Result<InboundMessage, Reject> {
    let Some(id) = frame.client_id.filter(|id| is_client_id(id)) else {
        return Err(Reject::Malformed(format!(
            "`client_id` must have 1 to {CLIENT_ID_CHARS_MAX} characters: letters, digits, `.`, `_`, `~`, `-`"
        )));
    };
    let content = match frame.content {
        _ if !matches!(frame.kind.as_ref(), "" | "message") => {
            Err(("bad_frame", "`type` must be `message`".to_owned()))
        }
        None => Err(("bad_frame", "`content` is missing".to_owned())),
        Some(parts) => content(options, &parts),
    };
    match content {
        Err((code, detail)) => Err(Reject::Refused {
            external_id: id,
            code,
            detail,
        }),
        Ok(content) => Ok(InboundMessage {
            id: Some(cx.message_id()),
            // A client id has no colon: the key can be read in one way only.
            dedupe_key: Some(format!("{}:{}:{id}", cx.channel, sender.address)),
            sender,
            external_id: Some(id),
            sent_at: frame.sent_at,
            content,
            ..InboundMessage::default()
        }),
    }
}

fn seen_of(frame: &FrameIn<'_>, address: &str) -> Result<Inbound, Reject> {
    if frame.delivered.is_none() && frame.read.is_none() {
        return Err(malformed("`delivered` or `read` is missing"));
    }
    Ok(Inbound::Signal(Signal::Seen {
        address: address.to_owned(),
        delivered: frame.delivered,
        read: frame.read,
    }))
}

fn ping_of(frame: &FrameIn<'_>) -> Result<Option<String>, Reject> {
    if frame.at.is_some_and(|at| at.get().len() > AT_BYTES_MAX) {
        return Err(Reject::Malformed(format!(
            "`at` must have {AT_BYTES_MAX} bytes at most"
        )));
    }
    Ok(frame.at.map(|at| at.get().to_owned()))
}

fn malformed(sentence: &str) -> Reject {
    Reject::Malformed(sentence.to_owned())
}

fn is_client_id(id: &str) -> bool {
    (1..=CLIENT_ID_CHARS_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
}

fn content(
    options: &Options,
    parts: &[PartIn<'_>],
) -> Result<Vec<Content>, (&'static str, String)> {
    if parts.is_empty() {
        return Err((
            "bad_frame",
            "`content` must have a part at least".to_owned(),
        ));
    }
    if parts.len() > PARTS_MAX {
        return Err((
            "too_large",
            format!("`content` must have {PARTS_MAX} parts at most"),
        ));
    }
    let read = |(i, part): (usize, &PartIn<'_>)| {
        part.read(options.text_bytes_max.in_memory())
            .map_err(|(code, sentence)| (code, format!("`content[{i}]`: {sentence}")))
    };
    parts.iter().enumerate().map(read).collect()
}
