//! Silent devices become faults whatever the bus does with one partition's queue, and hold up nobody.

use std::time::Duration;

use patchbay_bus::{Queue, partition_of};
use patchbay_message::{Attributes, ChannelId, Clock as _, Severity, SystemClock, ThreadId};
use patchbay_router::RouterOptions;
use patchbay_store::{Changes, ConversationState, Device, Silence, limits::SILENT_MAX};
use serde_json::{Value, json};

use crate::{
    house::{House, N, house, options, until},
    moody::{HANGS, Moody, REFUSES, TAKES},
    tickets::sent_by,
};

/// More than one look takes.
const SILENT: u32 = SILENT_MAX + 44;

fn partition(device: &str) -> u16 {
    partition_of(&format!("freezers:{device}"), N)
}

/// Devices of the partition of `f0`, the first of them, that have been silent for hours.
async fn fall_silent(house: &House) -> u16 {
    let fleet = ChannelId::new("freezers").unwrap();
    let long_ago = SystemClock.now().minus(Duration::from_secs(3600));
    let of_one = (0..).map(|n| format!("f{n}"));
    let names = of_one.filter(|name| partition(name) == partition("f0"));
    let devices = names.take(SILENT as usize).map(|address| Device {
        thread_id: ThreadId::of(&fleet, &address),
        channel: fleet.clone(),
        partition: partition(&address),
        address,
        seen_at: long_ago,
        silent_at: Some(long_ago),
        silence: Some(Silence {
            after_ms: 1000,
            code: "offline".into(),
            severity: Severity::Major,
        }),
        readings: Attributes::new(),
        readings_at: None,
        location: None,
        faults: Default::default(),
    });
    let changes = Changes {
        devices: devices.collect(),
        ..Changes::default()
    };
    house.store.commit(changes).await.unwrap();
    partition("f0")
}

fn watchful() -> RouterOptions {
    RouterOptions {
        rescan_every: Duration::from_millis(50),
        silence_grace: Duration::ZERO,
        ..options()
    }
}

async fn nobody_else_waits(mood: u8) {
    let house = house();
    let stuck = fall_silent(&house).await;
    let bus = Moody::new(&house.bus, Some(Queue::Inbound(stuck)), mood);
    let router = house.router_on(bus, watchful());
    let mut others = (0..).map(|n| format!("g{n}"));
    let other = others.find(|name| partition(name) != stuck).unwrap();
    let silence = json!({"after_ms": 1, "code": "offline", "severity": "critical"});
    let hints = json!({ "thread_hints": { "silence": silence } });
    let readings = json!({"type": "telemetry", "readings": {"temp": 4}});
    house
        .publish(vec![sent_by(&other, &readings, &hints)])
        .await;
    until("a silence behind those that cannot be told", || async {
        let tickets = house.tickets().await;
        tickets.iter().any(|row| row.device == other).then_some(())
    })
    .await;
    house.say("v1", "Hello?").await;
    let ann = house.agent("Ann", 2).await;
    let given = house
        .conversation("v1", |row| row.state == ConversationState::Open)
        .await;
    assert_eq!(given.agent_id, Some(ann));
    router.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_that_are_refused_hold_up_nobody_else() {
    nobody_else_waits(REFUSES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_that_the_bus_does_not_answer_hold_up_nobody_else() {
    nobody_else_waits(HANGS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_silences_than_one_look_takes_are_all_told_once_the_bus_takes_them() {
    let house = house();
    let stuck = fall_silent(&house).await;
    let bus = Moody::new(&house.bus, Some(Queue::Inbound(stuck)), REFUSES);
    let router = house.router_on(bus.clone(), watchful());
    let hello = json!({"type": "text", "text": "Hello?"});
    house
        .publish(vec![sent_by("h1", &hello, &Value::Null)])
        .await;
    until("a router at work", || async {
        (!house.all().await.is_empty()).then_some(())
    })
    .await;
    bus.feels(TAKES);
    until("a ticket of every silent device", || async {
        let n = house.tickets().await.len();
        assert!(n <= SILENT as usize);
        (n == SILENT as usize).then_some(())
    })
    .await;
    router.stop().await;
}
