//! Two connections of one device.

use patchbay_mqtt::{Packet, reason};
use patchbay_sdk::MqttVersion;

use crate::{
    device::{Device, hello, will},
    listener::presses,
    world::{World, mqtt},
};

#[tokio::test]
async fn the_later_connection_of_a_device_stays() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let at = gateway.address();
    let mut connect = hello(MqttVersion::V5, "press-1");
    connect.will = Some(will("factory/press-1/say", "gone", 0));
    let (mut older, _) = Device::greet(at, connect).await;
    let mut later = Device::connect(at, MqttVersion::V4, "press-1").await;
    let taken_over = Packet::Disconnect {
        reason: reason::TAKEN_OVER,
    };
    assert_eq!(older.rest().await, [taken_over]);
    later.say("factory/press-1/say", "still here").await;
    assert_eq!(
        world.texts(1).await,
        ["press-1: still here"],
        "no will of who is back"
    );
}

#[tokio::test]
async fn the_later_connection_stays_at_another_gateway_too() {
    let world = World::new([mqtt("presses", presses())]);
    let (first, second) = (world.gateway().await, world.gateway().await);
    let mut older = Device::connect(first.address(), MqttVersion::V5, "press-1").await;
    older.ping().await;
    let mut later = Device::connect(second.address(), MqttVersion::V5, "press-1").await;
    let taken_over = Packet::Disconnect {
        reason: reason::TAKEN_OVER,
    };
    assert_eq!(older.rest().await, [taken_over]);
    later.say("factory/press-1/say", "here now").await;
}

#[tokio::test]
async fn a_device_that_is_at_another_gateway_by_now_has_no_will() {
    let world = World::new([mqtt("presses", presses())]);
    let (first, second) = (world.gateway().await, world.gateway().await);
    let with_will = |name: &str, delay| {
        let mut connect = hello(MqttVersion::V5, name);
        connect.will = Some(will(&format!("factory/{name}/say"), "gone", delay));
        connect
    };
    // Nobody tells the first gateway.
    world.bus.lose_nudges(true);
    let (older, _) = Device::greet(first.address(), with_will("press-1", 0)).await;
    let mut later = Device::connect(second.address(), MqttVersion::V5, "press-1").await;
    drop(older);
    let (other, _) = Device::greet(first.address(), with_will("press-2", 1)).await;
    drop(other);
    assert_eq!(world.texts(1).await, ["press-2: gone"]);
    later.say("factory/press-1/say", "here").await;
}

#[tokio::test]
async fn a_client_id_alone_takes_over_nothing() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let mut victim = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    let mut connect = hello(MqttVersion::V5, "press-2");
    connect.client_id = "client-of-press-1".to_owned();
    let (mut other, connack) = Device::greet(gateway.address(), connect).await;
    assert_eq!(connack.reason, 0);
    other.ping().await;
    victim.say("factory/press-1/say", "undisturbed").await;
}

#[tokio::test]
async fn two_that_fight_for_one_name_are_slowed_down() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = world.gateway().await;
    let mut bystander = Device::connect(gateway.address(), MqttVersion::V5, "press-2").await;
    // Ten at once, then one every three seconds.
    let mut n_refused = 0;
    for i in 0..200 {
        let connect = hello(MqttVersion::V5, "press-1");
        let (_device, connack) = Device::greet(gateway.address(), connect).await;
        match connack.reason {
            0 => {}
            reason::CONNECT_RATE => n_refused += 1,
            other => panic!("refused with {other:#x}"),
        }
        bystander
            .say("factory/press-2/say", &format!("fine {i}"))
            .await;
        if n_refused == 5 {
            return;
        }
    }
    panic!("only {n_refused} were refused");
}
