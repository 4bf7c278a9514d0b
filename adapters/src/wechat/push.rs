//! What a push says: who, when, by which key it is known when it comes again, and how it may be
//! answered.

use std::time::Duration;

use patchbay_message::{Party, ReplyHandle, Time, limits::KEY_BYTES_MAX};
use patchbay_sdk::{Cx, Decoded, Inbound, InboundMessage, Reject, Slot, tree::Tree, verify};
use serde_json::Value;

use super::{
    content, event,
    gate::{self, Letter},
    options::{Account, Options},
    passive,
};

/// All that WeChat wants to read of us; anything else, and it sends again.
const SUCCESS: &str = "success";

/// What the contact did opens a window in which we may write, and how often.
///
/// <https://developers.weixin.qq.com/doc/offiaccount/Customer_Service/Customer_Service_Messages.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    length: Duration,
    quota: u32,
}

/// After a message.
pub(super) const MESSAGE: Window = Window {
    length: Duration::from_secs(48 * 3600),
    quota: 5,
};
/// After a menu's button, a scanned code, following.
pub(super) const GESTURE: Window = Window {
    length: Duration::from_secs(60),
    quota: 3,
};
/// After entering a mini-program's customer service.
pub(super) const ENTERED: Window = Window {
    length: Duration::from_secs(60),
    quota: 2,
};

/// Reads a push that was let in.
pub(super) fn decode(
    options: &Options,
    cx: &Cx<'_>,
    letter: &Letter<'_>,
) -> Result<Decoded, Reject> {
    let push = letter.read()?;
    let mut done = Decoded::answer(letter.proof.clone(), gate::plain(SUCCESS));
    // Cloud hosting looks whether the address is there.
    if push.text_of("action") == Some("CheckContainerPath") {
        return Ok(done);
    }
    let to = push.text_of("ToUserName");
    if options
        .original_id
        .as_deref()
        .is_some_and(|own| to != Some(own))
    {
        return Err(Reject::Forbidden("a push for another account".to_owned()));
    }
    let at = time_of(&push);
    if let Some(receipts) = event::receipts(&push, at) {
        done.items = receipts.into_iter().map(Inbound::Receipt).collect();
        return Ok(done);
    }
    let sender = push.text_of("FromUserName");
    let sender = sender.ok_or_else(|| Reject::Malformed("`FromUserName` is missing".to_owned()))?;
    let (parts, window) = match push.text_of("MsgType") {
        Some("event") => event::read(&push),
        kind => (
            content::read(kind.unwrap_or_default(), &push),
            Some(MESSAGE),
        ),
    };
    let key = key_of(cx, sender, &push);
    let reply = window.map(|window| handle(cx, window, &key, at));
    if reply.is_some() {
        done.slot = slot(options, letter, &push, sender, &key);
    }
    let message = InboundMessage {
        sender: Party {
            address: sender.to_owned(),
            ..Party::default()
        },
        external_id: push.text_of("MsgId").map(str::to_owned),
        dedupe_key: Some(key),
        sent_at: at,
        content: parts,
        reply,
        ..InboundMessage::default()
    };
    Ok(done.with(Inbound::Message(Box::new(message))))
}

/// By `MsgId`, else by sender, time, event and its key: two events may come within one second.
pub(crate) fn key_of(cx: &Cx<'_>, sender: &str, push: &Tree<'_>) -> String {
    if let Some(id) = push.text_of("MsgId") {
        return bounded(format!("{}:{id}", cx.channel));
    }
    let words = [
        "CreateTime",
        "MsgType",
        "Event",
        "EventKey",
        "SessionFrom",
        "MsgID",
    ];
    let words = words.map(|name| push.text_of(name).unwrap_or_default());
    bounded(format!("{}:{sender}:{}", cx.channel, words.join(":")))
}

fn bounded(key: String) -> String {
    if key.len() <= KEY_BYTES_MAX && !key.chars().any(char::is_control) {
        return key;
    }
    format!("sha256:{}", hex::encode(verify::digest(key.as_bytes())))
}

pub(crate) fn time_of(push: &Tree<'_>) -> Option<Time> {
    let seconds: i64 = push.text_of("CreateTime")?.parse().ok()?;
    Some(Time::from_ms(seconds.checked_mul(1000)?))
}

fn handle(cx: &Cx<'_>, window: Window, key: &str, at: Option<Time>) -> ReplyHandle {
    // The window runs by WeChat's clock; one that is ahead of ours opens it no longer than ours.
    let opened = at.map_or(cx.now, |at| at.min(cx.now));
    ReplyHandle {
        handle: key.to_owned(),
        expires_at: Some(opened.plus(window.length)),
        quota: Some(window.quota),
    }
}

/// WeChat's request may wait for the answer.
fn slot(
    options: &Options,
    letter: &Letter<'_>,
    push: &Tree<'_>,
    sender: &str,
    key: &str,
) -> Option<Slot> {
    let passive = options.passive_reply?;
    // Whoever enters has asked nothing yet.
    let is_asking =
        options.account == Account::Official || push.text_of("MsgType") != Some("event");
    let memory = passive::Memory {
        from: push.text_of("ToUserName")?.to_owned(),
        is_json: letter.format == gate::Format::Json,
        is_sealed: letter.is_sealed,
    };
    let Ok(Value::Object(memory)) = serde_json::to_value(memory) else {
        return None;
    };
    is_asking.then(|| Slot {
        address: sender.to_owned(),
        deadline: passive.wait.get(),
        key: key.to_owned(),
        held_max: passive.held_max,
        memory,
    })
}
