//! What making an envelope costs, beside what reading and writing the same JSON costs anyway.

use divan::{Bencher, black_box};
use patchbay_message::{Authenticity, ChannelId, ChannelRef, Content, Envelope, Party, Time};
use patchbay_normalizer::{NormalizeCx, normalize_message};
use patchbay_sdk::{Channel, Cx, Handles, Inbound, InboundMessage, Random, Session, Wire};
use serde_json::json;

const CHINESE: &str = "早上好，我的冰柜显示故障代码 E17，一直在响。";
const ENGLISH: &str = "Good morning, my freezer shows code E17 and beeps.";
const FRAME: &[u8] = br#"{"type":"message","client_id":"6f0d2a3e-8f58-4c8e-9f5f-2a1f3c4d5e6f","content":[{"type":"text","text":"Good morning, my freezer shows code E17 and beeps."}],"sent_at":"2026-11-20T12:00:00.000Z"}"#;

struct Fixed;

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn cx() -> NormalizeCx {
    NormalizeCx {
        channel: ChannelRef {
            id: ChannelId::new("web").expect("a good id"),
            kind: "webchat".to_owned(),
        },
        received_at: Time::from_ms(1_795_176_000_000),
        authenticity: Authenticity::Token,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        region: Some("CN".to_owned()),
    }
}

fn message(text: &str, address: &str, handles: Handles) -> InboundMessage {
    InboundMessage {
        handles,
        sender: Party {
            address: address.to_owned(),
            name: Some("Alice".to_owned()),
            ..Party::default()
        },
        external_id: Some("c-1".to_owned()),
        content: vec![Content::text(text)],
        ..InboundMessage::default()
    }
}

fn normalize(bencher: Bencher<'_, '_>, message: &InboundMessage) {
    let cx = cx();
    bencher
        .with_inputs(|| message.clone())
        .bench_values(|message| normalize_message(black_box(message), &cx));
}

#[divan::bench]
fn text_in_english(bencher: Bencher<'_, '_>) {
    normalize(
        bencher,
        &message(ENGLISH, "anon:0123456789abcdef", Handles::Opaque),
    );
}

#[divan::bench]
fn text_in_chinese(bencher: Bencher<'_, '_>) {
    normalize(
        bencher,
        &message(CHINESE, "anon:0123456789abcdef", Handles::Opaque),
    );
}

#[divan::bench]
fn text_from_a_phone(bencher: Bencher<'_, '_>) {
    patchbay_normalizer::warm_up();
    normalize(bencher, &message(CHINESE, "13800138000", Handles::Phone));
}

fn chat() -> (Box<dyn Channel>, Session) {
    let kind = patchbay_adapters::ALL
        .iter()
        .find(|kind| kind.manifest.id == "webchat");
    let options = json!({ "token_secrets": "0123456789abcdef0123456789abcdef" });
    let chat = (kind.expect("built in").open)(options).expect("good options");
    let mut session = Session {
        party: Some(Party {
            address: "anon:0123456789abcdef0123456789abcdef".to_owned(),
            ..Party::default()
        }),
        ..Session::default()
    };
    session
        .memory
        .insert("expires_at".to_owned(), json!(i64::MAX));
    (chat, session)
}

fn take(chat: &dyn Channel, session: &mut Session, cx: &NormalizeCx) -> Vec<u8> {
    let surroundings = Cx {
        now: cx.received_at,
        random: &Fixed,
        public_url: "https://chat.example",
        channel: "web",
        peer: None,
        token: &|_| None,
    };
    let decoded = chat.decode(&surroundings, session, Wire::Frame(black_box(FRAME)));
    let item = decoded.expect("a good frame").items.pop();
    let Some(Inbound::Message(message)) = item else {
        panic!("the frame is a message");
    };
    let envelope = normalize_message(*message, cx).expect("a good message");
    envelope.to_bytes().expect("a small envelope")
}

/// From the bytes of a frame to the bytes on the bus.
#[divan::bench]
fn frame_to_bytes(bencher: Bencher<'_, '_>) {
    let (chat, mut session) = chat();
    let cx = cx();
    bencher.bench_local(|| take(chat.as_ref(), &mut session, &cx));
}

/// What reading and writing that envelope costs: the yardstick for the one above.
#[divan::bench]
fn serde_of_it(bencher: Bencher<'_, '_>) {
    let (chat, mut session) = chat();
    let bytes = take(chat.as_ref(), &mut session, &cx());
    bencher.bench(|| {
        let envelope: Envelope = serde_json::from_slice(black_box(&bytes)).expect("an envelope");
        serde_json::to_vec(&envelope)
    });
}

fn main() {
    divan::main();
}
