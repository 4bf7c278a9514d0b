//! Sessions at real brokers.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use patchbay_message::Envelope;
use patchbay_mqtt::{Client, Conn, Packet};
use patchbay_sdk::MqttVersion;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    mosquitto::{Mosquitto, at, mosquitto_pub, publish, shared},
    world::{World, distinct, eventually, mqtt, text, well},
};

/// A channel at a broker, under a name of its own on a broker that others use too.
fn fleet(url: &str, name: &str) -> Value {
    json!({
        "url": url,
        "client_id": format!("patchbay-{name}-{}", std::process::id()),
        "username": "patchbay",
        "address": "=topic.device",
        "up": [
            {
                "topic": format!("{name}/{{device}}/fault"),
                "dedupe": "=body.code + body.state",
                "fault": { "code": "=body.code", "state": "=body.state" },
            },
            { "topic": format!("{name}/{{device}}/say"), "dedupe": "=text", "message": {} },
        ],
    })
}

#[tokio::test]
async fn both_versions_are_received_from_a_stranger_and_retained_ones_are_marked() {
    let url = shared();
    for (version, name) in [("3.1.1", "retain-a"), ("5", "retain-b")] {
        let mut options = fleet(&url, name);
        options["version"] = json!(version);
        let fault = |code: &str| json!({ "code": code, "state": "raised" }).to_string();
        let topic = format!("{name}/冷柜.7/fault");
        mosquitto_pub(&url, "mqttv5", &["-t", &topic, "-m", &fault("kept"), "-r"]);
        let world = World::new([mqtt("fleet", options)]);
        let gateway = world.gateway().await;
        world.until("what was kept", |all| !all.is_empty()).await;
        mosquitto_pub(&url, "mqttv311", &["-t", &topic, "-m", &fault("old")]);
        mosquitto_pub(&url, "mqttv5", &["-t", &topic, "-m", &fault("new")]);
        let mut texts = world.texts(3).await;
        texts.sort();
        assert_eq!(
            texts,
            [
                "冷柜.7: kept raised",
                "冷柜.7: new raised",
                "冷柜.7: old raised"
            ]
        );
        let retained = |envelope: &Envelope| envelope.attributes.get("retained").is_some();
        for envelope in world.arrived() {
            assert_eq!(
                retained(&envelope),
                text(&envelope).contains("kept"),
                "{}",
                text(&envelope)
            );
        }
        assert_eq!(gateway.links.problem(), None);
        mosquitto_pub(&url, "mqttv5", &["-t", &topic, "-n", "-r"]);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_acknowledged_and_blocks_nothing() {
    let url = shared();
    let world = World::new([mqtt("fleet", fleet(&url, "poison"))]);
    let gateway = world.gateway().await;
    well(&gateway).await;
    let mut client = Client::connect(&at(&url, MqttVersion::V5), "poisoner", true)
        .await
        .unwrap();
    world.bus.hold(true);
    // Not delivered before the subscription stands.
    until_subscribed(&mut client, &world, "poison").await;
    for i in 1..20_u16 {
        let payload = if i % 2 == 0 {
            format!("good {i:02}")
        } else {
            "{{{".to_owned()
        };
        let topic = if i % 2 == 0 {
            "poison/a/say"
        } else {
            "poison/a/fault"
        };
        assert!(publish(&mut client, i, topic, payload).await);
    }
    // The hello, the first that cannot be read as a notice, and all that can be read.
    let texts = world.texts(11).await;
    let good = (1..10).map(|i| format!("a: good {:02}", 2 * i));
    let expected: Vec<String> = ["a: hello".to_owned(), "a: ?".to_owned()]
        .into_iter()
        .chain(good)
        .collect();
    assert_eq!(texts, expected);
}

/// Says hello until somebody hears it.
async fn until_subscribed(client: &mut Client, world: &World, name: &str) {
    world.bus.hold(false);
    let mut id = 1000;
    while world.arrived().is_empty() {
        id += 1;
        assert!(publish(client, id, &format!("{name}/a/say"), "hello".to_owned()).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_the_bus_did_not_take_is_delivered_again_in_order() {
    let url = shared();
    let world = World::new([mqtt("fleet", fleet(&url, "bus"))]);
    let _gateway = world.gateway().await;
    let mut client = Client::connect(&at(&url, MqttVersion::V5), "bus-tester", true)
        .await
        .unwrap();
    until_subscribed(&mut client, &world, "bus").await;
    for round in 0..3_u16 {
        world.bus.fail(true);
        for i in 1..=20_u16 {
            let (topic, said) = (format!("bus/{}/say", i % 4), format!("{}", 100 * round + i));
            assert!(publish(&mut client, i, &topic, said).await);
        }
        world.bus.fail(false);
    }
    world.texts(61).await;
    assert_in_order(&world.arrived());
}

/// Of every device the numbers rise, repeats left out.
fn assert_in_order(all: &[Envelope]) {
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    for said in distinct(all) {
        let (device, text) = said.split_once(": ").unwrap();
        let Ok(number) = text.parse::<u32>() else {
            continue;
        };
        let before = last.insert(device.to_owned(), number);
        assert!(
            before.is_none_or(|before| before < number),
            "{device}: {before:?} before {number}"
        );
    }
}

#[tokio::test]
async fn another_gateway_goes_on_where_one_was_killed() {
    let url = shared();
    for (version, name) in [("3.1.1", "lease-a"), ("5", "lease-b")] {
        let mut options = fleet(&url, name);
        options["version"] = json!(version);
        let world = World::new([mqtt("fleet", options)]);
        let mut gateways = vec![world.gateway().await, world.gateway().await];
        let mut client = Client::connect(&at(&url, MqttVersion::V5), name, true)
            .await
            .unwrap();
        until_subscribed(&mut client, &world, name).await;
        let mut n = 0_u16;
        for _ in 0..3 {
            for _ in 0..40 {
                n += 1;
                let topic = format!("{name}/{}/say", n % 5);
                assert!(publish(&mut client, n, &topic, n.to_string()).await);
            }
            gateways.remove(0).kill().await;
            gateways.push(world.gateway().await);
        }
        world.texts(usize::from(n) + 1).await;
        assert_in_order(&world.arrived());
    }
}

#[tokio::test]
async fn a_shared_subscription_is_held_by_all_gateways_together() {
    let url = shared();
    let mut options = fleet(&url, "shared");
    options["ordering"] = json!("none");
    // What an earlier run has left at the broker has another group.
    options["share"] = json!(format!("patchbay-{}", std::process::id()));
    let world = World::new([mqtt("fleet", options)]);
    let (first, _second) = (world.gateway().await, world.gateway().await);
    let mut client = Client::connect(&at(&url, MqttVersion::V5), "sharer", true)
        .await
        .unwrap();
    until_subscribed(&mut client, &world, "shared").await;
    let mut first = Some(first);
    for i in 1..=200_u16 {
        assert!(publish(&mut client, i, "shared/a/say", i.to_string()).await);
        if i == 100 {
            first.take().unwrap().kill().await;
        }
    }
    world.texts(201).await;
}

#[tokio::test]
async fn a_broker_that_is_killed_loses_nothing_it_had_on_its_disk() {
    let broker = Mosquitto::start();
    let world = World::new([mqtt("fleet", fleet(&broker.url, "crash"))]);
    let gateway = world.gateway().await;
    let mut client = connected(&broker).await;
    until_subscribed(&mut client, &world, "crash").await;
    // What was acknowledged, and when; and what is said next.
    let mut acked: Vec<(u32, Instant)> = Vec::new();
    let mut next = 1_u32;
    for _ in 0..4 {
        let until = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < until {
            let id = u16::try_from(next % 60_000 + 1).unwrap();
            let topic = format!("crash/{}/say", next % 10);
            if publish(&mut client, id, &topic, next.to_string()).await {
                acked.push((next, Instant::now()));
                next += 1;
            }
        }
        broker.kill();
        let killed = Instant::now();
        // The broker writes its disk every second; what it acknowledged after that it may forget, and
        // a device that wants to be sure says it again, in order.
        let safe = killed - Duration::from_millis(2500);
        let first_unsafe = acked.iter().find(|(_, at)| *at > safe).map(|(n, _)| *n);
        next = first_unsafe.unwrap_or(next);
        acked.retain(|(n, _)| *n < next);
        eventually("the broken link shows", || {
            gateway.links.problem().is_some()
        })
        .await;
        broker.again();
        client = connected(&broker).await;
    }
    let n = usize::try_from(next).unwrap();
    for i in next..next + 10 {
        let id = u16::try_from(i % 60_000 + 1).unwrap();
        assert!(
            publish(
                &mut client,
                id,
                &format!("crash/{}/say", i % 10),
                i.to_string()
            )
            .await
        );
    }
    // Everything up to here, and the hello.
    world.texts(n + 10).await;
    assert_in_order(&world.arrived());
    well(&gateway).await;
}

async fn connected(broker: &Mosquitto) -> Client {
    let at = at(&broker.url, MqttVersion::V5);
    Client::connect(&at, "crash-tester", true)
        .await
        .expect("the broker answers")
}

#[tokio::test]
async fn a_refused_subscription_shows_and_is_tried_again() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", socket.local_addr().unwrap());
    let mut options = fleet(&url, "refused");
    options["up"].as_array_mut().unwrap().truncate(1);
    let world = World::new([mqtt("fleet", options)]);
    let gateway = world.gateway().await;
    for codes in [vec![0x87], vec![1]] {
        let (stream, _) = socket.accept().await.unwrap();
        let mut conn = Conn::new(Box::new(stream), MqttVersion::V4, 1 << 20);
        let Packet::Connect(connect) = conn.read_connect().await.unwrap() else {
            panic!("a CONNECT");
        };
        assert!(!connect.clean, "a session that outlives the connection");
        assert_eq!(connect.session_expiry, Some(24 * 3600));
        assert_eq!(connect.bounds.receive_max, Some(64));
        conn.put(&Packet::ConnAck(Box::default())).unwrap();
        conn.flush().await.unwrap();
        let Packet::Subscribe { id, filters } = conn.read().await.unwrap() else {
            panic!("a SUBSCRIBE");
        };
        assert_eq!(filters.len(), 1);
        let is_granted = codes[0] < 0x80;
        conn.put(&Packet::SubAck { id, codes }).unwrap();
        conn.flush().await.unwrap();
        if is_granted {
            well(&gateway).await;
            break;
        }
        let shows = || {
            gateway
                .links
                .problem()
                .is_some_and(|problem| problem.contains("0x87"))
        };
        eventually("the refusal shows", shows).await;
    }
}
