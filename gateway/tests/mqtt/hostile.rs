//! Devices and strangers that do not behave, while one that does is served.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use patchbay_message::Envelope;
use patchbay_mqtt::{Packet, Publish, reason};
use patchbay_sdk::MqttVersion;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    device::{Device, VERSIONS, hello},
    listener::presses,
    world::{DEADLINE, World, mqtt, text},
};

/// A device that says something all the time, and is to be answered soon whatever others do.
struct Control {
    stop: Arc<AtomicBool>,
    talking: JoinHandle<Duration>,
}

impl Control {
    async fn start(at: SocketAddr) -> Self {
        let mut device = Device::connect(at, MqttVersion::V5, "press-9").await;
        device.say("factory/press-9/say", "here").await;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let talking = tokio::spawn(async move {
            let (mut n, mut slowest) = (0_u32, Duration::ZERO);
            while !told.load(Ordering::Relaxed) {
                let begun = Instant::now();
                device
                    .say("factory/press-9/say", &format!("well {n}"))
                    .await;
                slowest = slowest.max(begun.elapsed());
                n += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            slowest
        });
        Self { stop, talking }
    }

    async fn was_served(self) {
        self.stop.store(true, Ordering::Relaxed);
        let slowest = self.talking.await.expect("the control device is well");
        assert!(
            slowest < Duration::from_secs(5),
            "answered after {slowest:?}"
        );
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_in_the_words_of_the_version() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let control = Control::start(gateway.address()).await;
    for version in VERSIONS {
        let mut wrong = hello(version, "press-1");
        wrong.password = Some("wrong password".to_owned());
        let mut nobody = hello(version, "nobody");
        nobody.password = None;
        for connect in [wrong, nobody] {
            let (mut device, connack) = Device::greet(gateway.address(), connect).await;
            assert_eq!(connack.reason, reason::BAD_LOGIN);
            assert_eq!(device.rest().await, [], "closed");
        }
    }
    control.was_served().await;
}

#[tokio::test]
async fn topics_of_others_are_not_published_to() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let control = Control::start(gateway.address()).await;
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    let id = device.publish("factory/press-2/fault", "{}").await;
    let reason = reason::NOT_AUTHORIZED;
    assert_eq!(device.next().await, Packet::PubAck { id, reason });
    device.say("factory/press-1/say", "mine").await;
    for _ in 0..10 {
        device.publish("somewhere/else", "{}").await;
    }
    let last = device.rest().await.pop();
    assert_eq!(
        last,
        Some(Packet::Disconnect { reason }),
        "closed in the end"
    );
    let mut device = Device::connect(gateway.address(), MqttVersion::V4, "press-1").await;
    device.publish("factory/press-2/fault", "{}").await;
    assert_eq!(device.rest().await, [], "3.1.1 has no word for it");
    control.was_served().await;
    let own = |text: &String| text.starts_with("press-9") || text == "press-1: mine";
    assert!(world.texts(2).await.iter().all(own));
}

#[tokio::test]
async fn what_is_not_spoken_here_is_refused() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let publish = |qos, alias: Option<u16>| {
        let properties = alias.map(|alias| {
            Box::new(patchbay_mqtt::Properties {
                topic_alias: Some(alias),
                ..Default::default()
            })
        });
        Packet::Publish(Publish {
            topic: "factory/press-1/say".to_owned(),
            qos,
            id: 1,
            properties,
            ..Publish::default()
        })
    };
    let second_hello = Packet::Connect(Box::new(hello(MqttVersion::V5, "press-1")));
    let mistakes = [
        (publish(2, None), reason::QOS),
        (publish(1, Some(1)), reason::TOPIC_ALIAS),
        (second_hello, reason::PROTOCOL),
    ];
    for (packet, reason) in mistakes {
        let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
        device.put(&packet).await;
        assert_eq!(device.rest().await, [Packet::Disconnect { reason }]);
    }
    let mut device = Device::connect(gateway.address(), MqttVersion::V4, "press-1").await;
    device.put(&publish(2, None)).await;
    assert_eq!(device.rest().await, []);
}

#[tokio::test]
async fn a_payload_that_no_rule_understands_blocks_nothing() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    for version in VERSIONS {
        let mut device = Device::connect(gateway.address(), version, "press-1").await;
        let garbage = Packet::Publish(Publish {
            topic: "factory/press-1/fault".to_owned(),
            payload: Bytes::from_static(b"\xff\x00{{{"),
            qos: 1,
            id: 77,
            ..Publish::default()
        });
        device.put(&garbage).await;
        let answer = device.next().await;
        assert!(
            matches!(answer, Packet::PubAck { id: 77, .. }),
            "{answer:?}"
        );
        device
            .say("factory/press-1/say", &format!("{version:?}"))
            .await;
    }
    let said = |all: &[Envelope], what: &str| all.iter().any(|one| text(one) == what);
    let both = |all: &[Envelope]| said(all, "press-1: V4") && said(all, "press-1: V5");
    world.until("both came in", both).await;
}

#[tokio::test]
async fn garbage_and_giants_are_closed() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let control = Control::start(gateway.address()).await;
    for first_words in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x10\xff\xff\xff\xff\xff",
        // A CONNECT of 200 MiB.
        b"\x10\x80\x80\x80\x64\x00\x04MQTT\x05",
        b"\xc0\x00",
    ] {
        let mut stranger = TcpStream::connect(gateway.address()).await.unwrap();
        stranger.write_all(first_words).await.unwrap();
        let mut answer = Vec::new();
        let closed = timeout(DEADLINE, stranger.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "closed");
        assert_eq!(answer, b"", "without a word");
    }
    // MQTT 3.1 is told that its version is not spoken.
    let mut old = TcpStream::connect(gateway.address()).await.unwrap();
    old.write_all(b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00")
        .await
        .unwrap();
    let mut answer = [0; 4];
    old.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 1]);
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    let giant = "x".repeat(100_000);
    device.publish("factory/press-1/say", &giant).await;
    let last = device.rest().await.pop();
    let too_large = Packet::Disconnect {
        reason: reason::TOO_LARGE,
    };
    assert!(last.is_none_or(|last| last == too_large), "closed");
    control.was_served().await;
}

#[tokio::test]
async fn floods_and_sleepers_leave_room_for_others() {
    let mut options = presses();
    options["connect_timeout"] = json!("1s");
    options["connections_per_address_max"] = json!(50);
    let world = World::new([mqtt("presses", options)]);
    let gateway = world.gateway().await;
    let control = Control::start(gateway.address()).await;
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    let mut strangers = Vec::new();
    for i in 0..200_usize {
        let mut stranger = TcpStream::connect(gateway.address()).await.unwrap();
        if i % 2 == 0 {
            // One byte of a CONNECT, and nothing more.
            let _ = stranger.write_all(b"\x10").await;
        }
        strangers.push(stranger);
    }
    device.say("factory/press-1/say", "still served").await;
    for mut stranger in strangers {
        let mut byte = [0];
        let closed = timeout(DEADLINE, stranger.read(&mut byte)).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "closed: {closed:?}");
    }
    Device::connect(gateway.address(), MqttVersion::V4, "press-2")
        .await
        .ping()
        .await;
    control.was_served().await;
}

#[tokio::test]
async fn who_sends_too_fast_is_held_back_and_loses_nothing() {
    let mut options = presses();
    options["messages_per_minute"] = json!(1200);
    options["messages_burst"] = json!(10);
    let world = World::new([mqtt("presses", options)]);
    let gateway = world.gateway().await;
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    let begun = Instant::now();
    for i in 0..30 {
        device
            .publish("factory/press-1/say", &format!("{i:02}"))
            .await;
    }
    for id in 1..=30 {
        assert_eq!(device.next().await, Packet::PubAck { id, reason: 0 });
    }
    // Ten at once, then one every 50 ms.
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
    let texts = world.texts(30).await;
    let expected: Vec<String> = (0..30).map(|i| format!("press-1: {i:02}")).collect();
    assert_eq!(texts, expected, "in order");
}

#[tokio::test]
async fn who_subscribes_all_the_time_is_held_back_too() {
    let mut options = presses();
    options["messages_per_minute"] = json!(1200);
    options["messages_burst"] = json!(10);
    let world = World::new([mqtt("presses", options)]);
    let gateway = world.gateway().await;
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    let begun = Instant::now();
    let filter = || "factory/press-1/display".to_owned();
    for id in 1..=15 {
        let filters = vec![(filter(), 1)];
        device.conn.put(&Packet::Subscribe { id, filters }).unwrap();
        let filters = vec![filter()];
        device.put(&Packet::Unsubscribe { id, filters }).await;
    }
    for id in 1..=15 {
        let codes = vec![1];
        assert_eq!(device.next().await, Packet::SubAck { id, codes });
        assert_eq!(device.next().await, Packet::UnsubAck { id, n: 1 });
    }
    // Ten at once, then one every 50 ms.
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_device_that_does_not_read_its_answers_holds_up_nobody() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let control = Control::start(gateway.address()).await;
    let mut deaf = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    let pings = async {
        // Megabytes of pings, whose answers pile up in the sockets until we stop reading.
        for _ in 0..2_000_000 {
            if deaf.conn.put(&Packet::PingReq).is_err()
                || (deaf.conn.n_unwritten() > 64 * 1024 && deaf.conn.flush().await.is_err())
            {
                break;
            }
        }
    };
    let _ = timeout(Duration::from_secs(5), pings).await;
    control.was_served().await;
}
