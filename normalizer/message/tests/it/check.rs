//! Every bound is held, and the field past it is named as it stands on the wire.

use patchbay_message::{Envelope, limits::*};
use serde_json::{Value, json};

use crate::roundtrip::least;

fn checked(pointer: &str, value: Value) -> Result<(), String> {
    let mut sent = least();
    sent["sender"] = json!({ "address": "anon:1", "attributes": {} });
    sent["recipient"] = json!({ "address": "anon:2" });
    sent["receipt"] = json!({ "external_id": "x", "state": "sent" });
    sent["reply"] = json!({ "handle": "h" });
    sent["command"] = json!({
        "id": "0193b1f2-7c1a-7b3e-9c55-0d9a5f6b1c11", "name": "reply", "idempotency_key": "k",
        "conversation_id": "0193b1f2-7c1a-7b3e-9c55-0d9a5f6b1c11",
        "content": [{ "type": "text", "text": "" }],
    });
    sent["content"] = json!([
        { "type": "text", "text": "" },
        { "type": "image", "url": "u", "mime": "m", "size": 1 },
        { "type": "choice", "options": [{ "id": "a", "label": "A" }] },
        { "type": "location", "lat": 0.0, "lon": 0.0 },
        { "type": "fault", "device": "d", "code": "c", "severity": "major", "state": "raised",
          "occurred_at": "2026-11-20T12:00:00Z", "location": { "lat": 0.0, "lon": 0.0 } },
        { "type": "contact", "name": "n", "addresses": ["tel:+1"] },
        { "type": "card", "title": "t" },
        { "type": "poll" },
        { "type": "reaction", "emoji": "+", "to": "x" },
        { "type": "unsupported", "what": "w" },
        { "type": "audio", "url": "u", "mime": "m", "size": 1 },
        { "type": "event", "name": "n" },
        { "type": "edit", "of": "m", "text": "t" },
        { "type": "recall", "of": "m" },
        { "type": "template", "template": "t", "values": {} },
        { "type": "command", "name": "n" },
        { "type": "telemetry", "readings": {} },
    ]);
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = sent.pointer_mut(parent).expect("a place in the envelope");
    match key.parse::<usize>() {
        Ok(index) => parent[index] = value,
        Err(_) => parent[key] = value,
    }
    let envelope = Envelope::from_slice(sent.to_string().as_bytes()).expect("readable");
    envelope.check().map_err(|violation| violation.to_string())
}

fn long(bytes: usize) -> Value {
    Value::String("x".repeat(bytes))
}

/// Where a text stands, what it is called, how long it may be.
type Bound = (&'static str, &'static str, usize);

const OF_THE_ENVELOPE: &[Bound] = &[
    ("/partition_key", "partition_key", KEY_BYTES_MAX),
    ("/lane_key", "lane_key", KEY_BYTES_MAX),
    ("/external_id", "external_id", KEY_BYTES_MAX),
    ("/dedupe_key", "dedupe_key", KEY_BYTES_MAX),
    ("/in_reply_to", "in_reply_to", KEY_BYTES_MAX),
    ("/channel/kind", "channel.kind", NAME_BYTES_MAX),
    ("/sender/address", "sender.address", KEY_BYTES_MAX),
    ("/sender/name", "sender.name", NAME_BYTES_MAX),
    ("/recipient/locale", "recipient.locale", LOCALE_BYTES_MAX),
    ("/receipt/external_id", "receipt.external_id", KEY_BYTES_MAX),
    ("/receipt/code", "receipt.code", NAME_BYTES_MAX),
    ("/receipt/text", "receipt.text", TEXT_BYTES_MAX),
    ("/reply/handle", "reply.handle", URL_BYTES_MAX),
    (
        "/command/idempotency_key",
        "command.idempotency_key",
        KEY_BYTES_MAX,
    ),
    (
        "/command/content/0/text",
        "command.content[0].text",
        TEXT_BYTES_MAX,
    ),
    ("/traceparent", "traceparent", TRACE_BYTES_MAX),
];

const OF_PARTS: &[Bound] = &[
    ("/content/0/text", "content[0].text", TEXT_BYTES_MAX),
    ("/content/1/url", "content[1].url", URL_BYTES_MAX),
    ("/content/1/mime", "content[1].mime", NAME_BYTES_MAX),
    ("/content/1/name", "content[1].name", NAME_BYTES_MAX),
    ("/content/1/caption", "content[1].caption", TEXT_BYTES_MAX),
    (
        "/content/2/options/0/id",
        "content[2].options[0].id",
        KEY_BYTES_MAX,
    ),
    (
        "/content/2/options/0/label",
        "content[2].options[0].label",
        NAME_BYTES_MAX,
    ),
    ("/content/3/label", "content[3].label", NAME_BYTES_MAX),
    ("/content/4/device", "content[4].device", KEY_BYTES_MAX),
    (
        "/content/5/addresses/0",
        "content[5].addresses[0]",
        KEY_BYTES_MAX,
    ),
    ("/content/6/url", "content[6].url", URL_BYTES_MAX),
    ("/content/8/to", "content[8].to", KEY_BYTES_MAX),
    ("/content/9/raw", "content[9].raw", URL_BYTES_MAX),
    (
        "/content/10/transcript",
        "content[10].transcript",
        TEXT_BYTES_MAX,
    ),
    ("/content/5/name", "content[5].name", NAME_BYTES_MAX),
    ("/content/2/text", "content[2].text", TEXT_BYTES_MAX),
    ("/content/2/chosen", "content[2].chosen", KEY_BYTES_MAX),
    ("/content/6/title", "content[6].title", NAME_BYTES_MAX),
    ("/content/6/text", "content[6].text", TEXT_BYTES_MAX),
    ("/content/6/image", "content[6].image", URL_BYTES_MAX),
    (
        "/content/14/template",
        "content[14].template",
        KEY_BYTES_MAX,
    ),
    ("/content/4/code", "content[4].code", KEY_BYTES_MAX),
    ("/content/4/text", "content[4].text", TEXT_BYTES_MAX),
    ("/content/15/name", "content[15].name", NAME_BYTES_MAX),
    ("/content/11/name", "content[11].name", NAME_BYTES_MAX),
    ("/content/8/emoji", "content[8].emoji", NAME_BYTES_MAX),
    ("/content/12/of", "content[12].of", KEY_BYTES_MAX),
    ("/content/12/text", "content[12].text", TEXT_BYTES_MAX),
    ("/content/13/of", "content[13].of", KEY_BYTES_MAX),
    ("/content/9/what", "content[9].what", NAME_BYTES_MAX),
];

#[test]
fn every_text_has_its_bound() {
    for (pointer, field, max) in OF_THE_ENVELOPE.iter().chain(OF_PARTS) {
        assert_eq!(checked(pointer, long(*max)), Ok(()), "{field} at its bound");
        let found = max + 1;
        let sentence = format!("`{field}` is {found} long, {max} at most are allowed");
        assert_eq!(checked(pointer, long(found)), Err(sentence));
    }
}

#[test]
fn free_json_is_weighed_as_a_whole() {
    let heavy = || json!({ "a": "x".repeat(ATTRIBUTES_BYTES_MAX) });
    let cases = [
        ("/attributes", "attributes"),
        ("/thread_hints", "thread_hints"),
        ("/later", "extra"),
        ("/sender/attributes", "sender.attributes"),
        ("/content/0/later", "content[0].extra"),
        ("/content/7/later", "content[7]"),
        ("/content/4/readings", "content[4].readings"),
        ("/content/11/value", "content[11].value"),
        ("/content/14/values", "content[14].values"),
        ("/content/15/arguments", "content[15].arguments"),
        ("/content/16/readings", "content[16].readings"),
    ];
    for (pointer, field) in cases {
        let error = checked(pointer, heavy()).expect_err(field);
        assert!(error.starts_with(&format!("`{field}` is ")), "{error}");
    }
}

#[test]
fn lists_have_a_bound() {
    let part = json!({ "type": "text", "text": "a" });
    assert_eq!(checked("/content", json!(vec![&part; PARTS_MAX])), Ok(()));
    let error = checked("/content", json!(vec![&part; PARTS_MAX + 1])).expect_err("too many");
    assert!(error.starts_with("`content` is 65 long"), "{error}");
    let option = json!({ "id": "a", "label": "A" });
    let error = checked("/content/2/options", json!(vec![&option; CHOICES_MAX + 1]));
    assert!(
        error
            .expect_err("too many")
            .starts_with("`content[2].options` is 65 long")
    );
    let error = checked("/content/5/addresses", json!(vec!["a"; CHOICES_MAX + 1]));
    assert!(
        error
            .expect_err("too many")
            .starts_with("`content[5].addresses` is 65 long")
    );
}

#[test]
fn what_cannot_be_compared_or_stored_is_refused() {
    let cases = [
        ("/partition_key", json!(""), "`partition_key` is missing"),
        (
            "/sender/address",
            json!("a\nb"),
            "`sender.address` has a control character",
        ),
        (
            "/external_id",
            json!("a\u{0}"),
            "`external_id` has a control character",
        ),
        (
            "/content/0/text",
            json!("a\u{0}"),
            "`content[0].text` has a control character",
        ),
        (
            "/attributes",
            json!({ "a": ["\u{0}"] }),
            "`attributes` has a control character",
        ),
        (
            "/attributes",
            json!({ "\u{0}": 1 }),
            "`attributes` has a control character",
        ),
        (
            "/content/7/a",
            json!("\u{0}"),
            "`content[7]` has a control character",
        ),
        (
            "/content/3/lat",
            json!(91),
            "`content[3].lat` must lie between -90 and 90",
        ),
        (
            "/content/4/location/lon",
            json!(-181),
            "`content[4].location.lon` must lie between -180 and 180",
        ),
    ];
    for (pointer, value, sentence) in cases {
        assert_eq!(checked(pointer, value), Err(sentence.to_owned()));
    }
}
