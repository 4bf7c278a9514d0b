//! MQTT beyond its fixtures: whatever devices send and whatever they are called.

use std::{net::IpAddr, time::Duration};

use patchbay_message::{ChannelId, ChannelRef, Envelope, Time};
use patchbay_sdk::{
    Channel, Cx, Decoded, Exchange, Inbound, Link, MqttIn, MqttOut, MqttProof, Random, Reject,
    Request, SendError, Session, Step, Wire,
};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Fixed;

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn with_cx<T>(act: impl FnOnce(&Cx<'_>) -> T) -> T {
    let peer: Option<IpAddr> = None;
    act(&Cx {
        now: "2026-11-20T12:00:00Z".parse().expect("a time"),
        random: &Fixed,
        public_url: "https://chat.example",
        channel: "freezers",
        peer,
        token: &|_| None,
    })
}

fn open(options: Value) -> Box<dyn Channel> {
    let kinds = patchbay_adapters::ALL;
    let mqtt = kinds.iter().find(|kind| kind.manifest.id == "mqtt");
    (mqtt.expect("mqtt is a kind").open)(options).expect("good options")
}

/// A broker whose every topic is read, by rules that look at everything.
fn broker() -> Box<dyn Channel> {
    open(json!({
        "url": "mqtts://broker.example", "client_id": "p", "username": "u",
        "address": "=topic.site + '/' + topic.device",
        "offline": { "after": "1h" },
        "tables": { "level": { "1": "critical", "*": "warning" } },
        "up": [
            { "topic": "{site}/{device}/fault", "each": "=body",
              "sent_at": { "value": "=item.ts", "unit": "ms" }, "dedupe": "=item.id",
              "fault": { "code": "=item.code", "state": "=item.on ? 'raised' : 'cleared'",
                         "severity": "=level[item.lvl]", "sequence": "=item.seq", "text": "=item.text",
                         "lat": "=item.lat", "lon": "=item.lon", "readings": "=item.readings" } },
            { "topic": "{site}/{device}/answer",
              "receipt": { "external_id": "=body.id", "state": "=body.state", "code": "=body.code" } },
            { "topic": "{site}/{device}/#", "when": "=text != null && text.size() % 2 == 0",
              "name": "=text", "message": {}, "event": { "name": "=topic.rest", "value": "=body" } },
            { "topic": "{site}/{device}/#", "telemetry": {} },
        ],
        "down": {
            "command": { "topic": "to/{site}/{device}/{command}/{id}",
                         "json": { "cmd": "=command.name", "args": "=command.arguments" } },
            "text": { "topic": "to/{device}/say", "response_topic": "from/{site}/{device}" },
        },
    }))
}

fn publish(channel: &dyn Channel, topic: &str, payload: &[u8]) -> Result<Decoded, Reject> {
    let given = MqttIn {
        topic,
        payload,
        qos: 1,
        retained: false,
        response_topic: None,
        correlation: None,
        content_type: None,
        user_properties: &[],
        link: MqttProof::Tls,
    };
    with_cx(|cx| channel.decode(cx, &mut Session::default(), Wire::Mqtt(given)))
}

fn to(address: &str, part: &Value) -> Envelope {
    let channel = ChannelRef {
        id: ChannelId::new("freezers").expect("an id"),
        kind: "mqtt".to_owned(),
    };
    let envelope = json!({
        "schema": 1, "type": "message", "id": "01937e00-0000-7000-8000-000000000001",
        "direction": "outbound", "channel": channel, "partition_key": "p",
        "received_at": "2026-11-20T12:00:00.000Z", "authenticity": "none",
        "recipient": { "address": "-" }, "content": [part],
    });
    let bytes = envelope.to_string();
    let mut envelope = Envelope::from_slice(bytes.as_bytes()).expect("an envelope");
    // What no envelope from outside may have, code of ours might still hand over.
    envelope.recipient.as_mut().expect("just made").address = address.to_owned();
    envelope
}

fn sending(channel: &dyn Channel, envelope: &Envelope) -> Result<MqttOut, SendError> {
    let step = with_cx(|cx| channel.send(cx, envelope, &[] as &[Exchange]))?;
    match step {
        Step::Call(Request::Mqtt(out)) => Ok(out),
        other => panic!("{other:?}"),
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!(1_795_176_000_000_i64)),
        Just(json!("E17")),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof![
            "(ts|id|code|on|lvl|seq|text|lat|lon|readings|state)",
            "[a-z]{1,3}"
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..10)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Nothing that comes in makes the adapter panic, and whoever is named as its sender is the
    /// device of the topic.
    #[test]
    fn any_bytes_on_any_topic_are_somebodys_or_refused(
        topic in prop_oneof!["[a-c+#$/é\\x00-\\x20%]{0,12}(/fault|/answer)?", "[a-c]{1,3}/[a-c]{1,3}/(fault|answer|x)"],
        payload in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..120),
            json_value().prop_map(|value| value.to_string().into_bytes()),
        ],
    ) {
        let channel = broker();
        let Ok(decoded) = publish(channel.as_ref(), &topic, &payload) else {
            return Ok(());
        };
        let mut levels = topic.splitn(3, '/');
        let address = levels.next().zip(levels.next()).map(|(site, device)| format!("{site}/{device}"));
        for item in &decoded.items {
            if let Inbound::Message(message) = item {
                prop_assert_eq!(Some(&message.sender.address), address.as_ref());
                prop_assert!(!message.content.is_empty());
            }
        }
    }

    /// The same bytes are the same message, also a while later.
    #[test]
    fn a_repeat_has_the_same_keys(value in json_value()) {
        let channel = broker();
        let payload = value.to_string().into_bytes();
        let keys = || {
            let decoded = publish(channel.as_ref(), "s/d/fault", &payload).expect("a device's topic");
            let keys = decoded.items.into_iter().map(|item| match item {
                Inbound::Message(message) => message.dedupe_key,
                _ => None,
            });
            keys.collect::<Vec<_>>()
        };
        prop_assert_eq!(keys(), keys());
    }

    /// A message reaches the topic of its address, level by level, or no topic at all.
    #[test]
    fn an_address_and_a_command_stay_within_their_levels(
        address in prop_oneof!["\\PC{0,10}/\\PC{0,10}", any::<String>(), "[a-b+#/]{0,8}"],
        name in prop_oneof!["[a-z]{1,8}", any::<String>()],
    ) {
        let channel = broker();
        let command = json!({ "type": "command", "name": name });
        if let Ok(out) = sending(channel.as_ref(), &to(&address, &command)) {
            let expected = format!("to/{address}/{name}/01937e00-0000-7000-8000-000000000001");
            prop_assert_eq!(&out.topic, &expected);
            prop_assert_eq!(out.topic.split('/').count(), 5);
            let is_wild = out.topic.contains(['+', '#', '\u{0}']);
            prop_assert!(!is_wild);
            let body: Value = serde_json::from_slice(&out.payload).expect("JSON");
            prop_assert_eq!(&body["cmd"], &json!(name));
        }
    }
}

#[test]
fn one_session_for_each_topic_that_no_other_covers() {
    let channel = broker();
    let links = channel.links();
    let [Link::MqttBroker(broker)] = links.as_slice() else {
        panic!("{links:?}");
    };
    assert_eq!(broker.filters, ["+/+/#"]);
    assert!(broker.tls.is_some() && (broker.port, broker.qos) == (8883, 1));
    assert!(!links[0].is_live());
}

#[test]
fn a_listener_keeps_its_bounds_and_is_live() {
    let channel = open(json!({
        "listen": "127.0.0.1:1883", "up": [{ "topic": "a/{device}", "message": {} }],
        "devices": [{ "username": "d1", "password": "long enough it is" }],
        "keep_alive": "2m", "messages_per_minute": 5, "messages_burst": 3,
    }));
    let links = channel.links();
    let [Link::MqttListener(listener)] = links.as_slice() else {
        panic!("{links:?}");
    };
    assert_eq!(listener.keep_alive_max, Duration::from_secs(120));
    assert_eq!(
        (listener.messages_per_minute, listener.messages_burst),
        (5, 3)
    );
    assert!(links[0].is_live() && listener.tls.is_none());
}

/// A login as a device of Aliyun IoT covers one client id: one session for everything.
#[test]
fn a_signed_login_has_one_session() {
    let channel = open(json!({
        "url": "mqtts://iot.example", "profile": "alink",
        "login": { "alink": { "product_key": "pk", "device_name": "dn", "device_secret": "secret" } },
    }));
    let links = channel.links();
    let [Link::MqttBroker(broker)] = links.as_slice() else {
        panic!("{links:?}");
    };
    assert_eq!(broker.filters, ["/sys/+/+/thing/#"]);
    assert_eq!(
        broker.client_id,
        "pk.dn|securemode=2,signmethod=hmacsha256|"
    );
    assert_eq!(broker.username.as_deref(), Some("dn&pk"));
    let password = broker.password.as_ref().map(|password| password.expose());
    assert_eq!(password, Some(ALINK_PASSWORD));
}

/// Python: `hmac.new(b"secret", b"clientIdpk.dndeviceNamednproductKeypk", hashlib.sha256).hexdigest()`.
const ALINK_PASSWORD: &str = "a75c7cd8ac1ff3bc775bf9b3f8f82ff900728d6aa0add0c0246a9048d33c8604";

#[test]
fn the_clock_of_a_device_is_read_in_its_unit() {
    let at = |unit: &str, value: &str| {
        let channel = open(json!({
            "url": "mqtts://b.example", "client_id": "p", "username": "u",
            "up": [{ "topic": "{device}", "sent_at": { "value": "=body.t", "unit": unit }, "message": { "text": "x" } }],
        }));
        let payload = format!("{{\"t\":{value}}}");
        let decoded = publish(channel.as_ref(), "d", payload.as_bytes()).expect("a device's topic");
        match decoded.items.into_iter().next() {
            Some(Inbound::Message(message)) => message.sent_at,
            other => panic!("{other:?}"),
        }
    };
    let noon: Option<Time> = "2026-11-20T12:00:00.123Z".parse().ok();
    assert!(noon.is_some());
    assert_eq!(at("s", "1795176000.123"), noon);
    assert_eq!(at("ms", "1795176000123"), noon);
    assert_eq!(at("ms", "\"1795176000123\""), noon);
    assert_eq!(at("us", "1795176000123456"), noon);
    assert_eq!(at("ns", "1795176000123456789"), noon);
    assert_eq!(at("rfc3339", "\"2026-11-20T20:00:00.123+08:00\""), noon);
    assert_eq!(at("ms", "null"), None);
}
