//! Whatever an adapter reads: the same again when normalized again, clean, bounded, no panic.

use patchbay_message::{Attributes, Choice, Content, Envelope, Media, Part, Party, Time};
use patchbay_normalizer::{NormalizeCx, normalize_message};
use patchbay_sdk::{Handles, InboundMessage};
use proptest::{collection::vec, option, prelude::*, sample};
use serde_json::{Value, json};

use crate::cx;

fn words() -> BoxedStrategy<String> {
    let rude = vec(
        sample::select(
            &[
                "\u{0}", "\r", "\n", "e\u{301}", "\u{1b}", "é", "👍", "a", " ", "tel:", "+86", "@B",
            ][..],
        ),
        0..12,
    )
    .prop_map(|pieces| pieces.concat());
    prop_oneof![8 => any::<String>(), 8 => rude, 8 => "[ -~]{0,20}", 1 => Just("x".repeat(70_000))]
        .boxed()
}

fn address() -> BoxedStrategy<String> {
    prop_oneof![
        "(tel:)?[ +]?[0-9()./ -]{0,20}",
        "(tel: ?){0,3}[A-Za-z0-9+@. İΣ]{0,12}",
        "[a-zA-Z0-9:_-]{1,40}",
        words(),
    ]
    .boxed()
}

fn attributes() -> BoxedStrategy<Attributes> {
    vec((words(), words()), 0..2)
        .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k, json!([v]))).collect())
        .boxed()
}

fn content() -> BoxedStrategy<Content> {
    let media = (words(), words(), option::of(words())).prop_map(|(url, mime, name)| Media {
        url: format!("/media/{url}"),
        mime,
        size: 1,
        caption: name.clone(),
        name,
        width: None,
        height: None,
    });
    let choice = (words(), words()).prop_map(|(id, label)| Choice { id, label });
    let part = prop_oneof![
        (words(), attributes()).prop_map(|(text, extra)| Part::Text { text, extra }),
        (words(), attributes()).prop_map(|(html, extra)| Part::Html { html, extra }),
        (media, attributes()).prop_map(|(media, extra)| Part::Image { media, extra }),
        (words(), attributes()).prop_map(|(name, extra)| Part::Event {
            name,
            value: None,
            extra
        }),
        vec(choice, 0..70).prop_map(|options| Part::Choice {
            text: None,
            options,
            chosen: None,
            extra: Attributes::new(),
        }),
        (words(), words(), words()).prop_map(|(title, url, text)| Part::Card {
            title,
            text: Some(text),
            url: Some(url),
            image: None,
            extra: Attributes::new(),
        }),
    ];
    let other = words().prop_map(|text| Content::Other(json!({ "type": "x-new", "text": text })));
    prop_oneof![6 => part.prop_map(Content::Known), 1 => other].boxed()
}

fn message() -> BoxedStrategy<InboundMessage> {
    let handles = sample::select(&[Handles::Opaque, Handles::Phone, Handles::Mailbox][..]);
    let ids = (
        option::of(words()),
        option::of(words()),
        option::of(words()),
    );
    let rest = (
        option::of(any::<i64>()),
        vec(content(), 0..4),
        attributes(),
        handles,
    );
    (address(), option::of(words()), ids, rest)
        .prop_map(
            |(address, name, ids, (sent_at, content, attributes, handles))| InboundMessage {
                id: None,
                handles,
                sender: Party {
                    address,
                    locale: name.clone(),
                    name,
                    ..Party::default()
                },
                external_id: ids.0,
                dedupe_key: ids.1,
                in_reply_to: ids.2,
                sent_at: sent_at.map(Time::from_ms),
                content,
                attributes,
                ..InboundMessage::default()
            },
        )
        .boxed()
}

/// The envelope as an adapter would have read it.
fn again(envelope: &Envelope, handles: Handles) -> InboundMessage {
    let envelope = envelope.clone();
    InboundMessage {
        id: Some(envelope.id),
        handles,
        sender: envelope.sender.expect("a sender"),
        external_id: envelope.external_id,
        dedupe_key: envelope.dedupe_key,
        in_reply_to: envelope.in_reply_to,
        sent_at: envelope.sent_at,
        content: envelope.content,
        attributes: envelope.attributes,
        ..InboundMessage::default()
    }
}

fn is_clean(value: &Value) -> bool {
    match value {
        Value::String(text) => !text
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t'),
        Value::Array(items) => items.iter().all(is_clean),
        Value::Object(map) => map
            .iter()
            .all(|(key, value)| !key.contains('\u{0}') && is_clean(value)),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn envelopes_are_canonical_clean_and_bounded(
        message in message(),
        region in option::of(sample::select(&["CN", "US", "GB", "XX", ""][..])),
    ) {
        let handles = message.handles;
        let cx = NormalizeCx { region: region.map(str::to_owned), ..cx() };
        // Refused is an answer too; it must be one for good reason, see the test below.
        let Ok(envelope) = normalize_message(message, &cx) else {
            return Ok(());
        };
        prop_assert_eq!(envelope.check(), Ok(()));
        let json = serde_json::to_value(&envelope).expect("JSON");
        prop_assert!(is_clean(&json), "{json:?}");
        let twice = normalize_message(again(&envelope, handles), &cx).expect("canonical");
        prop_assert_eq!(twice, envelope);
    }

    #[test]
    fn words_alone_never_refuse_a_message(
        name in words(),
        contents in vec(words(), 0..80),
        sent_at in any::<i64>(),
    ) {
        let message = InboundMessage {
            sender: Party { address: "a".to_owned(), name: Some(name), ..Party::default() },
            sent_at: Some(Time::from_ms(sent_at)),
            content: contents.into_iter().map(Content::text).collect(),
            ..InboundMessage::default()
        };
        let envelope = normalize_message(message, &cx()).expect("taken");
        prop_assert!(envelope.to_bytes().is_ok());
    }
}
