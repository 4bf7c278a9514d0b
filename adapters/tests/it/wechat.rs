//! WeChat beyond its fixtures: whatever is sealed, said or answered.

use patchbay_message::Envelope;
use patchbay_sdk::{
    Channel, Cx, Decoded, HttpIn, Inbound, Random, Reject, Reply, Secret, Session, Step, Wire,
    sealed::SealKey, tree, verify,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const TOKEN: &str = "FixturesTokenNew01";
const KEY: &str = "Zm9yLXRoZS1maXh0dXJlcy1vZi1wYXRjaGJheS1uZXd";
const APP_ID: &str = "wxba5fad812f8e6fb9";
const NOW_S: &str = "1714112445";

struct Fixed;

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn with_cx<T>(act: impl FnOnce(&Cx<'_>) -> T) -> T {
    act(&Cx {
        now: "2024-04-26T06:20:45Z".parse().expect("a time"),
        random: &Fixed,
        public_url: "https://chat.example",
        channel: "wechat-main",
        peer: None,
        token: &|_| Some(Secret::new("ACCESS-TOKEN")),
    })
}

fn open() -> Box<dyn Channel> {
    let kinds = patchbay_adapters::ALL;
    let wechat = kinds.iter().find(|kind| kind.manifest.id == "wechat");
    (wechat.expect("wechat is a kind").open)(json!({
        "app_id": APP_ID, "app_secret": "app-secret-of-the-fixtures-00001",
        "token": TOKEN, "aes_key": KEY, "passive_reply": {},
    }))
    .expect("good options")
}

fn key() -> SealKey {
    SealKey::parse(&Secret::new(KEY)).expect("a key")
}

/// Pushes what WeChat could have sealed.
fn push(channel: &dyn Channel, message: &[u8]) -> Result<Decoded, Reject> {
    let sealed = key().seal([7; 16], message, APP_ID);
    let parts = [TOKEN, NOW_S, "1", &sealed].map(str::as_bytes);
    let signature = hex::encode(verify::sorted_sha1(parts));
    let query =
        format!("signature=0&timestamp={NOW_S}&nonce=1&encrypt_type=aes&msg_signature={signature}");
    let body = format!("<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>");
    let request = HttpIn {
        method: &http::Method::POST,
        path: "",
        query: &query,
        headers: &http::HeaderMap::new(),
        body: body.as_bytes(),
    };
    with_cx(|cx| channel.decode(cx, &mut Session::default(), Wire::Http(request)))
}

fn text(content: &str) -> String {
    format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>{NOW_S}</CreateTime>\
         <MsgType>text</MsgType><Content><![CDATA[{content}]]></Content><MsgId>1</MsgId></xml>"
    )
}

fn outbound(content: &Value) -> Envelope {
    let envelope = json!({
        "schema": 1, "type": "message", "id": "01937e00-0000-7000-8000-000000000001",
        "direction": "outbound", "channel": { "id": "wechat-main", "kind": "wechat" },
        "partition_key": "p", "received_at": "2026-11-20T12:00:00.000Z", "authenticity": "none",
        "recipient": { "address": "o1" }, "content": content,
    });
    Envelope::from_slice(envelope.to_string().as_bytes()).expect("an envelope")
}

/// Field of an answer that is sealed under our key.
fn answered(reply: &Reply) -> (String, Vec<u8>) {
    let Reply::Http { body, .. } = reply else {
        panic!("an answer by HTTP");
    };
    let answer = tree::parse_xml(body).expect("XML");
    let of = |name| answer.text_of(name).expect("a field");
    let parts = [TOKEN, of("TimeStamp"), of("Nonce"), of("Encrypt")].map(str::as_bytes);
    assert_eq!(of("MsgSignature"), hex::encode(verify::sorted_sha1(parts)));
    let open = key().open(of("Encrypt"), APP_ID).expect("sealed for us");
    let said = tree::parse_xml(&open).expect("XML");
    (
        said.text_of("Content").unwrap_or_default().to_owned(),
        body.clone(),
    )
}

proptest! {
    #[test]
    fn whatever_is_sealed_is_read_or_refused(message in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = push(open().as_ref(), &message);
    }

    #[test]
    fn any_fields_of_a_push_are_read(
        kind in "(text|image|voice|video|location|link|file|event|miniprogrampage|\\PC{0,6})",
        event in "(subscribe|SCAN|CLICK|VIEW|LOCATION|TEMPLATESENDJOBFINISH|subscribe_msg_sent_event|\\PC{0,6})",
        fields in proptest::collection::vec(("(Content|MediaId|Location_X|Location_Y|Title|MsgId|MsgID|Status|EventKey|List|[A-Za-z]{1,6})", "\\PC{0,20}"), 0..8),
    ) {
        let mut message = json!({ "ToUserName": "gh_1", "FromUserName": "o1", "CreateTime": 1_714_112_445,
            "MsgType": kind, "Event": event });
        for (name, value) in &fields {
            message[name] = value.as_str().into();
        }
        let found = push(open().as_ref(), message.to_string().as_bytes());
        prop_assert!(found.is_ok(), "{found:?}");
    }

    #[test]
    fn what_a_contact_writes_comes_in_as_written(content in "[^\\x00-\\x1f\\x7f\\[\\]]{1,80}") {
        let decoded = push(open().as_ref(), text(&content).as_bytes()).expect("taken");
        let [Inbound::Message(message)] = decoded.items.as_slice() else {
            panic!("one message");
        };
        prop_assert_eq!(message.content[0].as_text(), Some(content.as_str()));
    }

    #[test]
    fn what_rides_on_an_answer_is_what_was_said(said in "[^\\x00-\\x1f]{0,40}(]]>)?[^\\x00-\\x1f]{0,40}x") {
        let channel = open();
        let decoded = push(channel.as_ref(), text("hi").as_bytes()).expect("taken");
        let slot = decoded.slot.expect("an answer is waited for");
        let envelope = outbound(&json!([{ "type": "text", "text": said }]));
        let step = with_cx(|cx| channel.ride(cx, &slot, &envelope, &[])).expect("text rides");
        let Step::Done(reply) = step else { panic!("no step is needed") };
        let is_char = |c: &char| !matches!(c, '\u{fffe}' | '\u{ffff}');
        let expected: String = said.trim().chars().filter(is_char).collect();
        prop_assert_eq!(answered(&reply).0, expected);
    }

    #[test]
    fn any_text_is_sent_in_pieces_that_fit(words in "(\\PC|\n){1,9}", n in 1_usize..1000) {
        let (channel, said) = (open(), words.repeat(n));
        let envelope = outbound(&json!([{ "type": "text", "text": said }]));
        if let Ok(Step::Call(patchbay_sdk::Request::Http(out))) = with_cx(|cx| channel.send(cx, &envelope, &[])) {
            let body: Value = serde_json::from_slice(&out.body).expect("JSON");
            let content = body["text"]["content"].as_str().expect("text");
            prop_assert!(content.len() <= 2048 && said.contains(content));
        }
    }
}
