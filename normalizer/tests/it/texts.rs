//! Words are cleaned and cut; files come by reference only.

use patchbay_message::{Attributes, Content, Media, Part, Party};
use patchbay_sdk::InboundMessage;
use serde_json::json;

use crate::{from, normalized, part};

fn text(words: &str) -> (String, Attributes) {
    match part(Part::Text {
        text: words.to_owned(),
        extra: Attributes::new(),
    }) {
        Part::Text { text, extra } => (text, extra),
        other => panic!("{other:?}"),
    }
}

#[test]
fn text_is_nfc_without_control_characters() {
    let cases = [
        ("a\r\nb\rc\td\n", "a\nb\nc\td\n"),
        ("null\u{0}bell\u{7}escape\u{1b}[31m", "nullbellescape[31m"),
        ("e\u{301}", "\u{e9}"),
        ("e\u{0}\u{301}", "\u{e9}"),
        ("\u{85}\u{9b}x\u{7f}", "x"),
        ("早上好 👩‍🔧", "早上好 👩‍🔧"),
        ("", ""),
    ];
    for (given, clean) in cases {
        assert_eq!(text(given).0, clean, "{given:?}");
    }
}

#[test]
fn a_text_too_long_is_cut_between_characters_and_says_so() {
    let (whole, extra) = text(&"é".repeat(32 * 1024));
    assert_eq!((whole.len(), extra.is_empty()), (64 * 1024, true));
    let (cut, extra) = text(&format!("a{}", "é".repeat(32 * 1024)));
    assert_eq!(cut.len(), 64 * 1024 - 1);
    assert_eq!(extra.get("cut"), Some(&json!(true)));
}

#[test]
fn many_texts_leave_an_envelope_within_its_bound() {
    let content = vec![Content::text("\"".repeat(64 * 1024)); 64];
    let envelope = normalized(InboundMessage {
        content,
        ..from("a")
    })
    .expect("good");
    assert_eq!(envelope.content.len(), 64);
    assert!(envelope.to_bytes().is_ok());
}

#[test]
fn parts_past_the_bound_are_counted() {
    let content = vec![Content::text("a"); 70];
    let envelope = normalized(InboundMessage {
        content,
        ..from("a")
    })
    .expect("good");
    assert_eq!(envelope.content.len(), 64);
    let last = serde_json::to_value(&envelope.content[63]).expect("JSON");
    assert_eq!(
        last,
        json!({ "type": "unsupported", "what": "7 more parts" })
    );
}

#[test]
fn names_have_one_line() {
    let sender = Party {
        address: "a".to_owned(),
        name: Some(format!(" Ann\r\n\u{0}Lee {} ", "x".repeat(300))),
        ..Party::default()
    };
    let envelope = normalized(InboundMessage {
        sender,
        ..from("a")
    })
    .expect("good");
    let name = envelope
        .sender
        .and_then(|sender| sender.name)
        .expect("a name");
    assert!(
        name.starts_with("Ann  Lee x") && name.len() <= 256,
        "{name}"
    );
    let sender = Party {
        address: "a".to_owned(),
        name: Some("\u{0} ".to_owned()),
        ..Party::default()
    };
    let envelope = normalized(InboundMessage {
        sender,
        ..from("a")
    })
    .expect("good");
    assert_eq!(envelope.sender.and_then(|sender| sender.name), None);
}

fn image(url: &str) -> Part {
    let media = Media {
        url: url.to_owned(),
        mime: " Image/PNG".to_owned(),
        size: 1,
        name: Some("a\u{0}.png".to_owned()),
        caption: None,
        width: None,
        height: None,
    };
    part(Part::Image {
        media,
        extra: Attributes::new(),
    })
}

#[test]
fn a_file_is_a_reference_we_could_follow() {
    for url in [
        "/media/abc",
        "https://cdn.example/a.png",
        "http://cdn.example/a.png",
    ] {
        let Part::Image { media, .. } = image(url) else {
            panic!("{url}");
        };
        assert_eq!(
            (media.mime.as_str(), media.name.as_deref()),
            ("image/png", Some("a.png"))
        );
    }
    let long = format!("https://cdn.example/{}", "a".repeat(2048));
    for url in [
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "",
        "https://a b",
        &long,
    ] {
        let part = image(url);
        assert_eq!(part.type_name(), "unsupported", "{url}");
    }
}

#[test]
fn free_json_is_clean_too() {
    let attributes = json!({ "a\u{0}": ["x\u{0}\r\ny", { "k": 9_007_199_254_740_993_u64 }] });
    let attributes = attributes.as_object().expect("an object").clone();
    let envelope = normalized(InboundMessage {
        attributes,
        ..from("a")
    })
    .expect("good");
    let clean = json!({ "a": ["x\ny", { "k": 9_007_199_254_740_993_u64 }] });
    assert_eq!(serde_json::Value::Object(envelope.attributes), clean);
}
