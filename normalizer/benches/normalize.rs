//! What making an envelope costs, beside what writing it as JSON costs.

use divan::{Bencher, black_box};
use patchbay_message::{Authenticity, ChannelId, ChannelRef, Content, Party, Time};
use patchbay_normalizer::{NormalizeCx, normalize_message};
use patchbay_sdk::{Handles, InboundMessage};

const CHINESE: &str = "早上好，我的冰柜显示故障代码 E17，一直在响。";
const ENGLISH: &str = "Good morning, my freezer shows code E17 and beeps.";

fn cx() -> NormalizeCx {
    NormalizeCx {
        channel: ChannelRef {
            id: ChannelId::new("web").expect("a good id"),
            kind: "webchat".to_owned(),
        },
        received_at: Time::from_ms(1_795_176_000_000),
        authenticity: Authenticity::Token,
        traceparent: None,
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
fn web_chat(bencher: Bencher<'_, '_>) {
    normalize(
        bencher,
        &message(ENGLISH, "anon:0123456789abcdef", Handles::Opaque),
    );
}

#[divan::bench]
fn web_chat_in_chinese(bencher: Bencher<'_, '_>) {
    normalize(
        bencher,
        &message(CHINESE, "anon:0123456789abcdef", Handles::Opaque),
    );
}

#[divan::bench]
fn text_message(bencher: Bencher<'_, '_>) {
    normalize(bencher, &message(CHINESE, "13800138000", Handles::Phone));
}

#[divan::bench]
fn json_of_it(bencher: Bencher<'_, '_>) {
    let envelope = normalize_message(
        message(ENGLISH, "anon:0123456789abcdef", Handles::Opaque),
        &cx(),
    );
    let envelope = envelope.expect("a good message");
    bencher.bench(|| black_box(&envelope).to_bytes());
}

fn main() {
    divan::main();
}
