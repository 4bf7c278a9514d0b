//! What reading and writing an envelope costs, beside a type with the same fields and nothing kept.

use divan::{Bencher, black_box};
use patchbay_message::{Envelope, Time};
use serde::{Deserialize, Serialize};

/// A text message as web chat makes it.
const TEXT: &[u8] = br#"{"schema":1,"type":"message","id":"0193b1f2-7c1a-7b3e-9c55-0d9a5f6b1c11","direction":"inbound","channel":{"id":"web","kind":"webchat"},"partition_key":"web:anon:0123456789abcdef0123456789abcdef","sender":{"address":"anon:0123456789abcdef0123456789abcdef","name":"Alice","locale":"en"},"external_id":"c-1","dedupe_key":"web:anon:0123456789abcdef0123456789abcdef:c-1","sent_at":"2026-11-20T12:00:00.000Z","received_at":"2026-11-20T12:00:00.120Z","content":[{"type":"text","text":"Good morning, my freezer shows code E17 and beeps."}],"authenticity":"token","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#;

/// The least any reader would do: the same fields, unknown ones dropped, texts for enums.
#[derive(Deserialize, Serialize)]
struct Plain {
    schema: u16,
    #[serde(rename = "type")]
    kind: String,
    id: uuid::Uuid,
    direction: String,
    channel: PlainChannel,
    partition_key: String,
    sender: PlainParty,
    external_id: String,
    dedupe_key: String,
    sent_at: String,
    received_at: String,
    content: Vec<PlainPart>,
    authenticity: String,
    traceparent: String,
}

#[derive(Deserialize, Serialize)]
struct PlainChannel {
    id: String,
    kind: String,
}

#[derive(Deserialize, Serialize)]
struct PlainParty {
    address: String,
    name: Option<String>,
    locale: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct PlainPart {
    #[serde(rename = "type")]
    kind: String,
    text: String,
}

#[divan::bench]
fn parse() -> Envelope {
    Envelope::from_slice(black_box(TEXT)).expect("the text is an envelope")
}

#[divan::bench]
fn parse_plain() -> Plain {
    serde_json::from_slice(black_box(TEXT)).expect("the text has the fields")
}

#[divan::bench]
fn serialize(bencher: Bencher<'_, '_>) {
    let envelope = Envelope::from_slice(TEXT).expect("the text is an envelope");
    bencher.bench(|| black_box(&envelope).to_bytes());
}

#[divan::bench]
fn serialize_plain(bencher: Bencher<'_, '_>) {
    let plain: Plain = serde_json::from_slice(TEXT).expect("the text has the fields");
    bencher.bench(|| serde_json::to_vec(black_box(&plain)));
}

#[divan::bench]
fn check(bencher: Bencher<'_, '_>) {
    let envelope = Envelope::from_slice(TEXT).expect("the text is an envelope");
    bencher.bench(|| black_box(&envelope).check());
}

#[divan::bench]
fn parse_time() -> Time {
    black_box("2026-11-20T12:00:00.120Z")
        .parse()
        .expect("a time")
}

#[divan::bench]
fn write_time() -> String {
    black_box(Time::from_ms(1_795_176_000_120)).to_string()
}

fn main() {
    divan::main();
}
