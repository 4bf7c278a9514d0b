//! What is written is read back, whatever a later version puts in.

use patchbay_message::{Content, Envelope, EnvelopeType, Part, Time};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::arbitrary;

proptest! {
    #[test]
    fn every_envelope_is_read_back_as_it_was_written(envelope in arbitrary::envelope()) {
        let bytes = envelope.to_bytes().expect("small enough");
        let back = Envelope::from_slice(&bytes).expect("what we wrote can be read");
        prop_assert_eq!(&back, &envelope);
        prop_assert_eq!(back.to_bytes().expect("small enough"), bytes);
    }

    #[test]
    fn every_part_is_read_back_as_it_was_written(part in arbitrary::part()) {
        let text = serde_json::to_string(&part).expect("a part is JSON");
        prop_assert_eq!(serde_json::from_str::<Part>(&text).expect("what we wrote"), part);
    }

    #[test]
    fn every_time_is_read_back_to_the_millisecond(ms in any::<i64>()) {
        // Mostly far out of range: the ends count.
        let time = Time::from_ms(ms);
        prop_assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::from_slice(&bytes);
    }
}

pub(crate) fn least() -> Value {
    json!({
        "schema": 1,
        "type": "message",
        "id": "0193b1f2-7c1a-7b3e-9c55-0d9a5f6b1c11",
        "direction": "inbound",
        "channel": { "id": "web", "kind": "webchat" },
        "partition_key": "web:anon:1",
        "received_at": "2026-11-20T12:00:00.000Z",
        "authenticity": "token",
    })
}

#[test]
fn a_later_version_loses_nothing_by_passing_through() {
    let mut sent = least();
    sent["type"] = json!("summary");
    sent["priority"] = json!({ "level": 3 });
    sent["content"] = json!([
        { "type": "poll", "question": "?", "options": [1, 2] },
        { "type": "text", "text": "hi", "markup": "bold" },
        { "no_type": true },
    ]);
    let envelope = Envelope::from_slice(sent.to_string().as_bytes()).expect("readable");
    assert_eq!(envelope.kind, EnvelopeType::Other("summary".into()));
    assert_eq!(envelope.content[0].type_name(), "poll");
    assert_eq!(envelope.content[1].as_text(), Some("hi"));
    let back: Value = serde_json::from_slice(&envelope.to_bytes().expect("small")).expect("JSON");
    assert_eq!(back, sent);
}

#[test]
fn numbers_above_two_to_the_53_survive() {
    let big = 9_007_199_254_740_993_u64;
    let mut sent = least();
    sent["attributes"] = json!({ "message_token": big, "max": u64::MAX, "min": i64::MIN });
    sent["content"] = json!([{ "type": "event", "name": "x", "value": big, "token": big }]);
    sent["unknown"] = json!(big);
    let envelope = Envelope::from_slice(sent.to_string().as_bytes()).expect("readable");
    let back: Value = serde_json::from_slice(&envelope.to_bytes().expect("small")).expect("JSON");
    assert_eq!(back, sent);
}

#[test]
fn a_field_given_twice_is_refused() {
    for part in [
        r#"{"type":"text","text":"a","text":"b"}"#,
        r#"{"type":"text","type":"html","text":"b"}"#,
        r#"{"text":"b","type":5,"type":"text"}"#,
    ] {
        let error = serde_json::from_str::<Content>(part).expect_err("two meanings");
        assert!(error.to_string().contains("duplicate field"), "{error}");
    }
}

#[test]
fn offsets_are_read_and_written_as_utc() {
    let time: Time = "2026-11-20T20:00:00.5+08:00".parse().expect("RFC 3339");
    assert_eq!(time.to_string(), "2026-11-20T12:00:00.500Z");
    for bad in ["2026-11-20", "2026-11-20T12:00:00", "yesterday", ""] {
        assert!(bad.parse::<Time>().is_err(), "{bad}");
    }
}
