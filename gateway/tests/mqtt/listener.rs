//! Devices that connect to a gateway of ours and behave.

use patchbay_message::{Authenticity, Content, Part};
use patchbay_mqtt::{Packet, Publish, reason};
use patchbay_sdk::MqttVersion;
use serde_json::{Value, json};

use crate::{
    device::{Device, PASSWORD, VERSIONS, hello, will},
    world::{World, eventually, mqtt, text},
};

/// A channel on which `press-1` .. `press-9` may report.
pub(crate) fn presses() -> Value {
    let devices: Vec<Value> = (1..10)
        .map(|i| json!({ "username": format!("press-{i}"), "password": PASSWORD }))
        .collect();
    json!({
        "listen": "127.0.0.1:0",
        "messages_per_minute": 60_000,
        "messages_burst": 10_000,
        "up": [
            {
                "topic": "factory/{device}/fault",
                "dedupe": "=body.code + body.state + string(has(body.n) ? body.n : 0)",
                "fault": { "code": "=body.code", "state": "=body.state" },
            },
            { "topic": "factory/{device}/say", "dedupe": "=text", "message": {} },
        ],
        "down": {
            "text": { "topic": "factory/{device}/display", "text": "=text" },
        },
        "devices": devices,
    })
}

#[tokio::test]
async fn a_fault_comes_in_by_both_versions() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let mut device = Device::connect(gateway.address(), version, "press-7").await;
        let fault = json!({ "code": "E42", "state": "raised", "n": n });
        device
            .say("factory/press-7/fault", &fault.to_string())
            .await;
        world.until("a fault", |all| all.len() > n).await;
        let envelope = &world.arrived()[n];
        assert_eq!(text(envelope), "press-7: E42 raised");
        assert_eq!(envelope.channel.id.as_str(), "presses");
        assert!(envelope.sender.as_ref().unwrap().verified);
        assert_eq!(envelope.authenticity, Authenticity::Token);
        let Content::Known(Part::Fault { fault, .. }) = &envelope.content[0] else {
            panic!("a fault");
        };
        assert_eq!(fault.device, "press-7");
    }
}

#[tokio::test]
async fn a_publish_is_acknowledged_once_the_bus_has_it_and_in_order() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    for version in VERSIONS {
        let mut device = Device::connect(gateway.address(), version, "press-1").await;
        world.bus.hold(true);
        for i in 0..3 {
            device
                .publish("factory/press-1/say", &format!("{version:?} {i}"))
                .await;
        }
        // The answer to a ping passes them by: they were read, and none was acknowledged.
        device.ping().await;
        world.bus.hold(false);
        for id in 1..=3 {
            assert_eq!(device.next().await, Packet::PubAck { id, reason: 0 });
        }
    }
    assert_eq!(world.texts(6).await.len(), 6);
}

#[tokio::test]
async fn what_the_bus_did_not_take_is_not_acknowledged_and_taken_when_it_comes_again() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    for version in VERSIONS {
        let mut device = Device::connect(gateway.address(), version, "press-1").await;
        let said = format!("{version:?}");
        world.bus.fail(true);
        device.publish("factory/press-1/say", &said).await;
        let rest = device.rest().await;
        let expected = match version {
            MqttVersion::V4 => vec![],
            MqttVersion::V5 => vec![Packet::Disconnect {
                reason: reason::BUSY,
            }],
        };
        assert_eq!(rest, expected, "closed without an ack");
        world.bus.fail(false);
        let mut device = Device::connect(gateway.address(), version, "press-1").await;
        device.say("factory/press-1/say", &said).await;
    }
    assert_eq!(world.texts(2).await, ["press-1: V4", "press-1: V5"]);
}

#[tokio::test]
async fn qos_0_goes_on_after_the_bus_failed() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    let say = |what: &'static str| {
        Packet::Publish(Publish {
            topic: "factory/press-1/say".to_owned(),
            payload: what.into(),
            ..Publish::default()
        })
    };
    world.bus.fail(true);
    device.put(&say("lost")).await;
    device.ping().await;
    world.bus.fail(false);
    device.put(&say("taken")).await;
    assert_eq!(world.texts(1).await, ["press-1: taken"]);
}

#[tokio::test]
async fn subscriptions_are_granted_within_the_permits() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let wanted = [
        "factory/press-2/display",
        "factory/+/display",
        "#",
        "$share/g/a",
        "a#",
    ];
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-2").await;
    assert_eq!(
        device.subscribe(&wanted).await,
        [
            1,
            reason::NOT_AUTHORIZED,
            reason::NOT_AUTHORIZED,
            reason::SHARED,
            reason::FILTER
        ]
    );
    let mut device = Device::connect(gateway.address(), MqttVersion::V4, "press-3").await;
    assert_eq!(
        device.subscribe(&["#", "factory/press-3/display"]).await,
        [0x80, 1]
    );
    let filters = vec!["factory/press-3/display".to_owned()];
    device.put(&Packet::Unsubscribe { id: 9, filters }).await;
    assert_eq!(device.next().await, Packet::UnsubAck { id: 9, n: 1 });
}

#[tokio::test]
async fn a_silent_device_is_closed_and_its_will_is_published() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let offline = json!({ "code": "offline", "state": "raised" }).to_string();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let mut connect = hello(version, "press-4");
        connect.keep_alive = 1;
        connect.will = Some(will("factory/press-4/fault", &offline, 0));
        let (mut device, _) = Device::greet(gateway.address(), connect).await;
        let rest = device.rest().await;
        if version == MqttVersion::V5 {
            assert_eq!(
                rest,
                [Packet::Disconnect {
                    reason: reason::KEEP_ALIVE
                }]
            );
        }
        world.until("the will", |all| all.len() > n).await;
        assert_eq!(text(&world.arrived()[n]), "press-4: offline raised");
    }
}

#[tokio::test]
async fn a_will_is_void_after_a_goodbye_and_waits_for_its_delay() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let at = gateway.address();
    let with_will = |name: &str, delay| {
        let mut connect = hello(MqttVersion::V5, name);
        connect.will = Some(will(
            &format!("factory/{name}/say"),
            &format!("will of {name}"),
            delay,
        ));
        connect
    };
    let (mut leaves, _) = Device::greet(at, with_will("press-1", 0)).await;
    leaves.put(&Packet::Disconnect { reason: 0 }).await;
    leaves.rest().await;
    // Comes back before its will is due, on a slow machine too.
    let (returns, _) = Device::greet(at, with_will("press-2", 10)).await;
    drop(returns);
    let _back = Device::connect(at, MqttVersion::V5, "press-2").await;
    let (breaks, _) = Device::greet(at, with_will("press-3", 1)).await;
    drop(breaks);
    assert_eq!(world.texts(1).await, ["press-3: will of press-3"]);
}

#[tokio::test]
async fn a_will_is_void_once_the_device_was_back_even_if_it_left_again() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let at = gateway.address();
    let with_will = |name: &str, payload: &str, delay| {
        let mut connect = hello(MqttVersion::V5, name);
        connect.will = Some(will(&format!("factory/{name}/say"), payload, delay));
        connect
    };
    // Long enough that the device is back in time on a slow machine too.
    let (breaks, _) = Device::greet(at, with_will("press-1", "first will", 10)).await;
    drop(breaks);
    let mut back = Device::connect(at, MqttVersion::V5, "press-1").await;
    back.put(&Packet::Disconnect { reason: 0 }).await;
    back.rest().await;
    // The will of a later connection takes the place of an earlier one's.
    for (payload, delay) in [("older", 10), ("newer", 1)] {
        let (breaks, _) = Device::greet(at, with_will("press-2", payload, delay)).await;
        drop(breaks);
    }
    assert_eq!(world.texts(1).await, ["press-2: newer"]);
}

#[tokio::test]
async fn a_gateway_that_stops_acknowledges_what_is_under_way_and_publishes_no_will() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let mut connect = hello(MqttVersion::V5, "press-5");
    connect.will = Some(will("factory/press-5/say", "will", 0));
    let (mut device, _) = Device::greet(gateway.address(), connect).await;
    world.bus.hold(true);
    let id = device.publish("factory/press-5/say", "last words").await;
    device.ping().await;
    let at = gateway.address();
    let stopping = tokio::spawn(gateway.stop());
    let is_closed = || std::net::TcpStream::connect(at).is_err();
    eventually("the listener is closed", is_closed).await;
    world.bus.hold(false);
    let shutdown = Packet::Disconnect {
        reason: reason::SHUTTING_DOWN,
    };
    assert_eq!(
        device.rest().await,
        [Packet::PubAck { id, reason: 0 }, shutdown]
    );
    stopping.await.unwrap();
    assert_eq!(world.texts(1).await, ["press-5: last words"]);
}

#[tokio::test]
async fn what_a_device_is_told_when_it_connects() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let mut connect = hello(MqttVersion::V5, "press-6");
    connect.client_id = String::new();
    connect.keep_alive = 0;
    connect.session_expiry = Some(600);
    let (_device, connack) = Device::greet(gateway.address(), connect).await;
    assert_eq!(connack.reason, 0);
    assert!(
        connack.client_id.is_some_and(|id| !id.is_empty()),
        "an id of its own"
    );
    assert_eq!(connack.keep_alive, Some(60), "held to the longest");
    assert_eq!(
        connack.session_expiry,
        Some(0),
        "subscriptions are not kept"
    );
    assert_eq!(connack.qos_max, Some(1));
    assert_eq!(connack.bounds.receive_max, Some(64));
    assert!(!connack.session_present);
}
