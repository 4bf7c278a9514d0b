//! What taking a push of WeChat costs, from the bytes of a request to the bytes on the bus, beside
//! reading its XML alone.

use std::time::Duration;

use divan::{Bencher, black_box};
use http::{HeaderMap, Method};
use patchbay_message::{Authenticity, ChannelId, ChannelRef, Envelope};
use patchbay_normalizer::{NormalizeCx, normalize_message};
use patchbay_sdk::{
    Channel, Cx, HttpIn, Inbound, Random, Secret, Session, Wire, sealed::SealKey, verify,
};
use serde::Deserialize;
use serde_json::json;

const TOKEN: &str = "FixturesTokenNew01";
const KEY: &str = "Zm9yLXRoZS1maXh0dXJlcy1vZi1wYXRjaGJheS1uZXd";
const APP_ID: &str = "wxba5fad812f8e6fb9";
const NOW_S: &str = "1714112445";
const NONCE: &str = "415670741";
const PUSH: &str = "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\
    <FromUserName><![CDATA[o9AgO5Kd5ggOC-bXrbNODIiE3bGY]]></FromUserName><CreateTime>1714112445</CreateTime>\
    <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[早上好，我的冰柜显示故障代码 E17，一直在响。]]></Content>\
    <MsgId>6054768590064713728</MsgId></xml>";

struct Fixed;

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A push as it stands on the wire.
struct Push {
    channel: Box<dyn Channel>,
    query: String,
    body: String,
}

fn open(mode: &str) -> Box<dyn Channel> {
    let kinds = patchbay_adapters::ALL;
    let wechat = kinds.iter().find(|kind| kind.manifest.id == "wechat");
    (wechat.expect("wechat is a kind").open)(json!({
        "app_id": APP_ID, "app_secret": "app-secret-of-the-fixtures-00001",
        "token": TOKEN, "aes_key": KEY, "mode": mode,
    }))
    .expect("good options")
}

fn signature<const N: usize>(parts: [&str; N]) -> String {
    hex::encode(verify::sorted_sha1(parts.map(str::as_bytes)))
}

fn plain() -> Push {
    let signature = signature([TOKEN, NOW_S, NONCE]);
    Push {
        channel: open("plain"),
        query: format!("signature={signature}&timestamp={NOW_S}&nonce={NONCE}&openid=o9AgO5"),
        body: PUSH.to_owned(),
    }
}

fn safe() -> Push {
    let key = SealKey::parse(&Secret::new(KEY)).expect("a key");
    let sealed = key.seal([7; 16], PUSH.as_bytes(), APP_ID);
    let signature = signature([TOKEN, NOW_S, NONCE, &sealed]);
    Push {
        channel: open("safe"),
        query: format!(
            "signature=0&timestamp={NOW_S}&nonce={NONCE}&openid=o9AgO5&encrypt_type=aes&msg_signature={signature}"
        ),
        body: format!(
            "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
        ),
    }
}

fn envelope(push: &Push) -> Envelope {
    let now = "2024-04-26T06:20:45Z".parse().expect("a time");
    let cx = Cx {
        now,
        random: &Fixed,
        public_url: "https://chat.example",
        channel: "wechat-main",
        peer: None,
        token: &|_| None,
    };
    let request = HttpIn {
        method: &Method::POST,
        path: "",
        query: black_box(&push.query),
        headers: &HeaderMap::new(),
        body: black_box(push.body.as_bytes()),
    };
    let wire = Wire::Http(request);
    let decoded = push.channel.decode(&cx, &mut Session::default(), wire);
    let item = decoded.expect("a good push").items.pop();
    let Some(Inbound::Message(message)) = item else {
        panic!("the push is a message");
    };
    let cx = NormalizeCx {
        channel: ChannelRef {
            id: ChannelId::new("wechat-main").expect("a good id"),
            kind: "wechat".to_owned(),
        },
        received_at: now,
        authenticity: Authenticity::Signature,
        traceparent: None,
        region: None,
    };
    normalize_message(*message, &cx).expect("a good message")
}

/// Signature, parse and envelope, open.
#[divan::bench]
fn plain_push(bencher: Bencher<'_, '_>) {
    let push = plain();
    bencher.bench(|| envelope(&push));
}

/// The same to the bytes on the bus.
#[divan::bench]
fn plain_push_to_bytes(bencher: Bencher<'_, '_>) {
    let push = plain();
    bencher.bench(|| envelope(&push).to_bytes().expect("a small envelope"));
}

/// Signature, unsealing, parse and envelope.
#[divan::bench]
fn safe_push(bencher: Bencher<'_, '_>) {
    let push = safe();
    bencher.bench(|| envelope(&push));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    to_user_name: String,
    from_user_name: String,
    create_time: u64,
    msg_type: String,
    content: String,
    msg_id: String,
}

/// The yardstick: the same XML read by quick-xml's own serde into texts.
#[divan::bench]
fn quick_xml_alone(bencher: Bencher<'_, '_>) {
    bencher.bench(|| {
        let message: Message = quick_xml::de::from_str(black_box(PUSH)).expect("XML");
        assert!(message.create_time > 0 && !message.content.is_empty());
        (
            message.to_user_name,
            message.from_user_name,
            message.msg_type,
            message.msg_id,
            message.content,
        )
    });
}

fn main() {
    divan::Divan::from_args()
        .min_time(Duration::from_millis(200))
        .main();
}
