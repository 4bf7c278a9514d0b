//! The keys that order and deduplicate, ids that are refused, times that cannot be true.

use patchbay_message::{Direction, EnvelopeType, Party, Receipt, ReceiptState};
use patchbay_normalizer::normalize_receipt;
use patchbay_sdk::InboundMessage;

use crate::{cx, from, normalized};

#[test]
fn order_is_kept_per_sender_or_per_group() {
    let envelope = normalized(from("anon:1")).expect("good");
    assert_eq!(envelope.partition_key, "web:anon:1");
    assert_eq!(
        (envelope.kind, envelope.direction),
        (EnvelopeType::Message, Direction::Inbound)
    );
    let group = InboundMessage {
        group: Some("room-7".to_owned()),
        ..from("anon:1")
    };
    assert_eq!(normalized(group).expect("good").partition_key, "web:room-7");
}

#[test]
fn the_same_message_has_the_same_key() {
    let by_id = InboundMessage {
        external_id: Some("m1".to_owned()),
        ..from("a")
    };
    assert_eq!(
        normalized(by_id.clone())
            .expect("good")
            .dedupe_key
            .as_deref(),
        Some("web:m1")
    );
    let own = InboundMessage {
        dedupe_key: Some("k".to_owned()),
        ..by_id
    };
    assert_eq!(
        normalized(own).expect("good").dedupe_key.as_deref(),
        Some("k")
    );
    assert_eq!(normalized(from("a")).expect("good").dedupe_key, None);
}

#[test]
fn two_long_ids_make_a_key_that_still_fits() {
    let long = InboundMessage {
        external_id: Some("m".repeat(512)),
        ..from("a")
    };
    let key = normalized(long).expect("good").dedupe_key.expect("derived");
    assert!(key.starts_with("sha256:") && key.len() == 71, "{key}");
}

#[test]
fn ids_are_refused_and_not_cut() {
    let long = "x".repeat(513);
    let cases = [
        (
            InboundMessage {
                external_id: Some(long.clone()),
                ..from("a")
            },
            "external_id",
        ),
        (
            InboundMessage {
                dedupe_key: Some(long.clone()),
                ..from("a")
            },
            "dedupe_key",
        ),
        (
            InboundMessage {
                external_id: Some("a\u{0}".to_owned()),
                ..from("a")
            },
            "dedupe_key",
        ),
        (from(&"x".repeat(509)), "partition_key"),
        (from("a\u{7}"), "partition_key"),
        (from(""), "sender.address"),
    ];
    for (message, field) in cases {
        let violation = normalized(message).expect_err(field);
        assert!(
            violation.field == field || field == "dedupe_key",
            "{violation}"
        );
    }
}

#[test]
fn a_reference_that_cannot_be_an_id_points_at_nothing() {
    let answer = |to: String| InboundMessage {
        in_reply_to: Some(to),
        ..from("a")
    };
    let of = |message| normalized(message).expect("good").in_reply_to;
    assert_eq!(of(answer("m1".to_owned())).as_deref(), Some("m1"));
    assert_eq!(of(answer("x".repeat(513))), None);
    assert_eq!(of(answer("a\nb".to_owned())), None);
    assert_eq!(of(answer(String::new())), None);
}

#[test]
fn a_clock_that_was_never_set_or_runs_ahead_is_not_believed() {
    let at = |text: &str| {
        let sent_at = Some(text.parse().expect("a time"));
        normalized(InboundMessage {
            sent_at,
            ..from("a")
        })
        .expect("good")
        .sent_at
    };
    assert!(at("2026-11-20T11:59:00+00:00").is_some());
    assert!(
        at("2026-11-21T12:00:00Z").is_some(),
        "a day ahead is a wrong time zone"
    );
    assert_eq!(at("2026-11-21T12:00:00.001Z"), None);
    assert_eq!(at("1999-12-31T23:59:59.999Z"), None);
    assert_eq!(at("1970-01-01T00:00:00Z"), None);
}

#[test]
fn locales_are_tags() {
    let of = |locale: &str| {
        let sender = Party {
            address: "a".to_owned(),
            locale: Some(locale.to_owned()),
            ..Party::default()
        };
        let envelope = normalized(InboundMessage {
            sender,
            ..InboundMessage::default()
        });
        envelope
            .expect("good")
            .sender
            .and_then(|sender| sender.locale)
    };
    assert_eq!(of("zh_CN").as_deref(), Some("zh-CN"));
    assert_eq!(of(" en ").as_deref(), Some("en"));
    for bad in ["", "e n", "abcdefghi", "en--US", "<script>"] {
        assert_eq!(of(bad), None, "{bad}");
    }
}

#[test]
fn receipts_of_one_message_keep_their_order() {
    let receipt = |state| Receipt {
        external_id: "out-1".to_owned(),
        state,
        at: Some("1970-01-01T00:00:00Z".parse().expect("a time")),
        code: Some(" 30\u{0}6\n".to_owned()),
        text: None,
    };
    let first = normalize_receipt(receipt(ReceiptState::Sent), &cx()).expect("good");
    let second = normalize_receipt(receipt(ReceiptState::Failed), &cx()).expect("good");
    assert_eq!(first.partition_key, "web:out-1");
    assert_eq!(first.partition_key, second.partition_key);
    assert_ne!(first.id, second.id);
    let receipt = second.receipt.expect("a receipt");
    assert_eq!((receipt.at, receipt.code.as_deref()), (None, Some("306")));
}
