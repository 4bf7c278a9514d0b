//! How everything live looks on the wire: `live.json` is made for every kind with sockets.

use std::time::Duration;

use patchbay_message::{Content, ConversationId, MessageId};
use patchbay_sdk::{From, Kind, Link, LiveEvent, QueueState, ThreadMessage};
use serde_json::{Map, Value, json};

use crate::{
    Report,
    fixture::{Fixtures, LIVE},
    golden, play,
};

const ID: &str = "01937e00-0000-7000-8000-000000000001";

pub(crate) fn compare(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    let place = format!("{}/{LIVE}", kind.manifest.id);
    let channel = match play::open(kind, &fixtures.setting.options) {
        Ok(channel) => channel,
        Err(sentence) => return report.fail(&place, sentence),
    };
    if !channel.links().contains(&Link::Socket) {
        return;
    }
    let surroundings = play::surroundings(&fixtures.setting);
    let messages = messages(fixtures.setting.now);
    let mut shown = Map::new();
    for (name, event) in events(&messages) {
        let frame = surroundings.lend(|cx| channel.frame(cx, &event));
        let frame = frame.map_or(Value::Null, |frame| {
            serde_json::from_str(&frame).unwrap_or(json!(frame))
        });
        shown.insert(name, frame);
    }
    let fresh = golden::pretty(&Value::Object(shown));
    golden::compare_file(&fixtures.folder.join(LIVE), &fresh, &place, report);
}

/// One message per kind of content, and one per kind of sender.
fn messages(at: patchbay_message::Time) -> Vec<(String, ThreadMessage)> {
    let message = |from, content: Vec<Content>| ThreadMessage {
        seq: 7,
        id: ID.parse::<MessageId>().expect("an id"),
        from,
        name: (from != From::System).then(|| "Ann".to_owned()),
        external_id: (from == From::Contact).then(|| "c-1".to_owned()),
        content,
        at,
        conversation_id: "01937e00-0000-7000-8000-0000000000c1"
            .parse::<ConversationId>()
            .expect("an id"),
    };
    let mut messages = vec![
        (
            "message from the contact".to_owned(),
            message(From::Contact, vec![Content::text("hi")]),
        ),
        (
            "message from the system".to_owned(),
            message(From::System, vec![Content::text("hi")]),
        ),
        (
            "message of nothing".to_owned(),
            message(From::Agent, Vec::new()),
        ),
    ];
    for part in parts() {
        let content: Content = serde_json::from_value(part).expect("a part");
        let name = format!("message with {}", content.type_name());
        messages.push((name, message(From::Agent, vec![content])));
    }
    messages
}

fn parts() -> Vec<Value> {
    let media = |kind: &str, mime: &str| {
        json!({ "type": kind, "url": "/media/abc", "mime": mime, "size": 7, "name": "a.bin",
                "caption": "see", "width": 4, "height": 3 })
    };
    vec![
        json!({ "type": "text", "text": "hi", "x_secret_note": "kept inside" }),
        json!({ "type": "html", "html": "<b>hi</b>" }),
        media("image", "image/png"),
        media("audio", "audio/ogg"),
        media("video", "video/mp4"),
        media("file", "application/pdf"),
        json!({ "type": "location", "lat": 39.9, "lon": 116.4, "label": "Beijing" }),
        json!({ "type": "contact", "name": "Bob", "addresses": ["tel:+8613800138000"] }),
        json!({ "type": "choice", "text": "Which?", "options": [
            { "id": "a", "label": "This" }, { "id": "b", "label": "That" } ] }),
        json!({ "type": "card", "title": "T", "text": "D", "url": "https://a.example/" }),
        json!({ "type": "template", "template": "t1", "values": { "name": "Ann" } }),
        json!({ "type": "event", "name": "closed", "value": 1 }),
        json!({ "type": "fault", "device": "f1", "code": "E17", "severity": "major",
                "state": "raised", "occurred_at": "2026-11-20T12:00:00Z" }),
        json!({ "type": "telemetry", "readings": { "t": -18 } }),
        json!({ "type": "command", "name": "reset" }),
        json!({ "type": "reaction", "emoji": "👍", "to": "m1" }),
        json!({ "type": "edit", "of": "m1", "text": "hello" }),
        json!({ "type": "recall", "of": "m1" }),
        json!({ "type": "unsupported", "what": "sticker" }),
        json!({ "type": "x-new", "secret": "of a later version" }),
    ]
}

fn events(messages: &[(String, ThreadMessage)]) -> Vec<(String, LiveEvent<'_>)> {
    let named = [states(), answers(), signals()].into_iter().flatten();
    let messages = messages
        .iter()
        .map(|(name, message)| (name.clone(), LiveEvent::Message(message)));
    named
        .map(|(name, event)| (name.to_owned(), event))
        .chain(messages)
        .collect()
}

fn states() -> Vec<(&'static str, LiveEvent<'static>)> {
    const WAITING: QueueState = QueueState::Waiting(3);
    const ASSIGNED: QueueState = QueueState::Assigned(None);
    const CLOSED: QueueState = QueueState::Closed;
    let ready = |queue| LiveEvent::Ready {
        address: "anon:1",
        seq: 9,
        delivered: 8,
        read: 7,
        agent_read: 6,
        queue,
    };
    vec![
        ("ready", ready(None)),
        ("ready, waiting", ready(Some(WAITING))),
        (
            "ready, assigned",
            ready(Some(QueueState::Assigned(Some("Ann".to_owned())))),
        ),
        ("queue, waiting", LiveEvent::Queue(&WAITING)),
        ("queue, assigned", LiveEvent::Queue(&ASSIGNED)),
        ("queue, closed", LiveEvent::Queue(&CLOSED)),
    ]
}

fn answers() -> Vec<(&'static str, LiveEvent<'static>)> {
    let id = ID.parse::<MessageId>().expect("an id");
    let refused = |external_id, retry_after| LiveEvent::Refused {
        external_id,
        code: "rate_limited",
        detail: "too many messages",
        retry_after,
    };
    vec![
        (
            "accepted",
            LiveEvent::Accepted {
                external_id: "c-1",
                id,
            },
        ),
        (
            "refused",
            refused(Some("c-1"), Some(Duration::from_secs(2))),
        ),
        ("refused for good", refused(None, None)),
        (
            "pong",
            LiveEvent::Pong {
                at: Some("{\"n\":1.50}"),
                seq: 9,
            },
        ),
        ("pong of nothing", LiveEvent::Pong { at: None, seq: 9 }),
    ]
}

fn signals() -> Vec<(&'static str, LiveEvent<'static>)> {
    let reconnect = Some(Duration::from_millis(1500));
    vec![
        (
            "typing",
            LiveEvent::Typing {
                name: Some("Ann"),
                on: true,
            },
        ),
        (
            "typing stopped",
            LiveEvent::Typing {
                name: None,
                on: false,
            },
        ),
        ("seen", LiveEvent::Seen { read: 5 }),
        ("ping", LiveEvent::Ping),
        (
            "bye",
            LiveEvent::Bye {
                reason: "shutdown",
                reconnect,
            },
        ),
        (
            "bye for good",
            LiveEvent::Bye {
                reason: "expired",
                reconnect: None,
            },
        ),
    ]
}
