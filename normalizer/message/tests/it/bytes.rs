//! Reading fails with the field that is to blame, and never because of size alone.

use patchbay_message::{BadEnvelope, Content, Envelope, limits::ENVELOPE_BYTES_MAX};
use serde_json::{Value, json};

use crate::roundtrip::least;

fn error_of(change: impl FnOnce(&mut Value)) -> String {
    let mut sent = least();
    change(&mut sent);
    let error = Envelope::from_slice(sent.to_string().as_bytes()).expect_err("not readable");
    error.to_string()
}

type Break = fn(&mut Value);

#[test]
fn errors_name_the_field() {
    let cases: [(&str, &str, Break); 6] = [
        ("`received_at`", "RFC 3339", |e| {
            e["received_at"] = json!("today")
        }),
        ("`channel.id`", "channel id", |e| {
            e["channel"]["id"] = json!("No")
        }),
        ("`sender.verified`", "boolean", |e| {
            e["sender"] = json!({"address": "a", "verified": 1})
        }),
        ("`content[1]`", "`size`", |e| {
            e["content"] = json!([
                { "type": "text", "text": "a" },
                { "type": "image", "url": "u", "mime": "m", "size": "big" },
            ]);
        }),
        ("`content[0]`", "missing field `text`", |e| {
            e["content"] = json!([{ "type": "text" }])
        }),
        ("partition_key", "missing", |e| {
            e.as_object_mut()
                .expect("an object")
                .remove("partition_key");
        }),
    ];
    for (field, sentence, change) in cases {
        let error = error_of(change);
        assert!(error.contains(field) && error.contains(sentence), "{error}");
    }
}

#[test]
fn another_version_is_told_apart_from_a_broken_envelope() {
    let mut sent = least();
    sent["schema"] = json!(2);
    let outcome = Envelope::from_slice(sent.to_string().as_bytes());
    assert_eq!(outcome, Err(BadEnvelope::Version { found: 2 }));
}

#[test]
fn bytes_past_the_bound_are_not_looked_at() {
    let bytes = vec![b'['; ENVELOPE_BYTES_MAX + 1];
    let outcome = Envelope::from_slice(&bytes);
    assert_eq!(outcome, Err(BadEnvelope::TooLarge { found: bytes.len() }));
}

#[test]
fn what_follows_after_the_envelope_is_refused() {
    let sent = format!("{} {{}}", least());
    let error = Envelope::from_slice(sent.as_bytes()).expect_err("two documents");
    assert!(error.to_string().contains("more follows"), "{error}");
}

#[test]
fn an_envelope_past_the_bound_is_not_written() {
    let mut envelope = Envelope::from_slice(least().to_string().as_bytes()).expect("readable");
    envelope.content = vec![Content::text("x".repeat(60 * 1024)); 5];
    let violation = envelope.to_bytes().expect_err("300 KiB");
    assert_eq!(violation.field, "envelope");
    assert!(
        violation.to_string().contains("262144 at most"),
        "{violation}"
    );
}
