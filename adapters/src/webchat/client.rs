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

/// What every frame has, and what is needed to say which message is refused.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    client_id: Option<&'a RawValue>,
}

/// `{"type":"message","client_id":"c1","content":[{"type":"text","text":"hi"}],"sent_at":".."}`
#[derive(Deserialize)]
struct MessageIn<'a> {
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    content: Vec<PartIn<'a>>,
    #[serde(default)]
    sent_at: Option<Time>,
}

/// `{"type":"seen","delivered":4,"read":3}`
#[derive(Deserialize)]
struct SeenIn {
    #[serde(default)]
    delivered: Option<u64>,
    #[serde(default)]
    read: Option<u64>,
}

/// `{"type":"typing","on":true}`
#[derive(Deserialize)]
struct TypingIn {
    on: bool,
}

/// `{"type":"ping","at":123}`
#[derive(Deserialize)]
struct PingIn<'a> {
    #[serde(borrow, default)]
    at: Option<&'a RawValue>,
}

/// A frame on an open socket.
pub(super) fn decode(
    options: &Options,
    cx: &Cx<'_>,
    proof: Verified,
    party: &Party,
    frame: &[u8],
) -> Result<Decoded, Reject> {
    let head: Head<'_> = parse_object(frame)?;
    let done = Decoded::answer(proof, Reply::silence());
    match head.kind.as_ref() {
        "message" => {
            let message = message(options, cx, frame, party.clone())?;
            Ok(done.with(Inbound::Message(Box::new(message))))
        }
        "seen" => Ok(done.with(seen(frame, &party.address)?)),
        "typing" => {
            let TypingIn { on } = parse_object(frame)?;
            let address = party.address.clone();
            Ok(done.with(Inbound::Signal(Signal::Typing { address, on })))
        }
        "ping" => Ok(done.asking(Ask::Pong { at: ping(frame)? })),
        "pong" => Ok(done),
        _ => Err(Reject::Malformed(
            "`type` must be `message`, `seen`, `typing`, `ping` or `pong`".to_owned(),
        )),
    }
}

/// A `message` frame; over HTTP its `type` may be left out.
pub(super) fn message(
    options: &Options,
    cx: &Cx<'_>,
    frame: &[u8],
    sender: Party,
) -> Result<InboundMessage, Reject> {
    let head: Head<'_> = parse_object(frame)?;
    let id = head
        .client_id
        .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let Some(id) = id.filter(|id| is_client_id(id)) else {
        return Err(Reject::Malformed(format!(
            "`client_id` must have 1 to {CLIENT_ID_CHARS_MAX} characters: letters, digits, `.`, `_`, `~`, `-`"
        )));
    };
    let refused = |code, detail| Reject::Refused {
        external_id: id.clone(),
        code,
        detail,
    };
    if !matches!(head.kind.as_ref(), "" | "message") {
        return Err(refused("bad_frame", "`type` must be `message`".to_owned()));
    }
    let message: MessageIn<'_> = parse_object(frame).map_err(|reject| match reject {
        Reject::Malformed(detail) => refused("bad_frame", detail),
        other => other,
    })?;
    let content =
        content(options, &message.content).map_err(|(code, detail)| refused(code, detail))?;
    Ok(InboundMessage {
        id: Some(cx.message_id()),
        // A client id has no colon: the key can be read in one way only.
        dedupe_key: Some(format!(
            "{}:{}:{}",
            cx.channel, sender.address, message.client_id
        )),
        sender,
        external_id: Some(message.client_id.into_owned()),
        sent_at: message.sent_at,
        content,
        ..InboundMessage::default()
    })
}

/// A `seen` frame; over HTTP its `type` may be left out.
pub(super) fn seen(frame: &[u8], address: &str) -> Result<Inbound, Reject> {
    let SeenIn { delivered, read } = parse_object(frame)?;
    if delivered.is_none() && read.is_none() {
        return Err(Reject::Malformed(
            "`delivered` or `read` is missing".to_owned(),
        ));
    }
    let address = address.to_owned();
    Ok(Inbound::Signal(Signal::Seen {
        address,
        delivered,
        read,
    }))
}

fn ping(frame: &[u8]) -> Result<Option<String>, Reject> {
    let PingIn { at } = parse_object(frame)?;
    if at.is_some_and(|at| at.get().len() > AT_BYTES_MAX) {
        return Err(Reject::Malformed(format!(
            "`at` must have {AT_BYTES_MAX} bytes at most"
        )));
    }
    Ok(at.map(|at| at.get().to_owned()))
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
