//! Parts as text, for channels that can show nothing else.

use patchbay_message::Content;
use patchbay_sdk::plain_text;
use serde_json::{Value, json};

fn text(part: Value) -> Option<String> {
    plain_text(&serde_json::from_value::<Content>(part).expect("a part"))
}

#[test]
fn what_can_be_read_is_text() {
    let cases = [
        (json!({ "type": "text", "text": "hi" }), "hi"),
        (
            json!({ "type": "edit", "of": "m", "text": "hello" }),
            "hello",
        ),
        (
            json!({ "type": "image", "url": "/media/a", "mime": "image/png", "size": 1, "caption": "see" }),
            "see\n/media/a",
        ),
        (
            json!({ "type": "location", "lat": 1.5, "lon": -2.0, "label": "" }),
            "1.5, -2",
        ),
        (
            json!({ "type": "choice", "options": [{ "id": "a", "label": "This" }, { "id": "b", "label": "That" }] }),
            "1. This\n2. That",
        ),
        (
            json!({ "type": "card", "title": "T", "url": "https://a.example/" }),
            "T\nhttps://a.example/",
        ),
    ];
    for (part, expected) in cases {
        assert_eq!(text(part.clone()).as_deref(), Some(expected), "{part}");
    }
}

#[test]
fn what_has_nothing_to_read_is_nothing() {
    for part in [
        json!({ "type": "html", "html": "<b>hi</b>" }),
        json!({ "type": "recall", "of": "m" }),
        json!({ "type": "telemetry", "readings": { "t": 1 } }),
        json!({ "type": "x-new", "text": "who knows" }),
    ] {
        assert_eq!(text(part.clone()), None, "{part}");
    }
}
