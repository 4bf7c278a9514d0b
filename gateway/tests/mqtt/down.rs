//! From a device's thread to the device.

use std::{sync::Arc, time::Duration};

use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{
    Attributes, ChannelId, Content, ConversationId, Direction, MessageId, Party, ReceiptState,
    ThreadId, Time,
};
use patchbay_mqtt::{Packet, Publish, reason};
use patchbay_sdk::{LiveNudge, MqttVersion, Nudge};
use patchbay_store::{
    Changes, Contact, Desk, Expect, Journal, Lanes, MessageKind, MessageRow, ReceiptWord, Thread,
    Want,
};
use serde_json::json;

use crate::{
    device::{Device, VERSIONS, hello},
    listener::presses,
    world::{Gateway, World, mqtt},
};

const DISPLAY: &str = "factory/press-1/display";

/// The thread of `press-1`, written to as the router does.
struct Talk<'a> {
    world: &'a World,
    channel: ChannelId,
    thread: ThreadId,
    conversation: ConversationId,
    seq: u64,
}

impl<'a> Talk<'a> {
    async fn begin(world: &'a World) -> Self {
        let channel = ChannelId::new("presses").unwrap();
        let thread = ThreadId::of(&channel, "press-1");
        let contact = Contact {
            id: patchbay_message::ContactId::new(),
            name: None,
            locale: None,
            attributes: Attributes::new(),
            created_at: Time::from_ms(0),
        };
        let row = Thread {
            id: thread,
            channel: channel.clone(),
            channel_kind: "mqtt".to_owned(),
            address: "press-1".to_owned(),
            contact_id: contact.id,
            partition: 0,
            verified: true,
            last_seq: 0,
            last_out_seq: 0,
            delivered_seq: 0,
            read_seq: 0,
            version: 0,
        };
        let changes = Changes {
            contacts: vec![contact],
            threads: vec![row],
            ..Changes::default()
        };
        world.store.commit(changes).await.unwrap();
        Self {
            world,
            channel,
            thread,
            conversation: ConversationId::new(),
            seq: 0,
        }
    }

    /// A message to the device, committed.
    async fn say(&mut self, text: &str, expires_at: Option<Time>) -> MessageId {
        self.seq += 1;
        let row = MessageRow {
            id: MessageId::new(),
            conversation_id: self.conversation,
            thread_id: self.thread,
            pos: self.seq,
            thread_seq: Some(self.seq),
            out_seq: Some(self.seq),
            kind: MessageKind::Message,
            direction: Direction::Outbound,
            sender: Party::default(),
            agent_id: None,
            content: vec![Content::text(text)],
            external_id: None,
            at: patchbay_message::Clock::now(&patchbay_message::SystemClock),
            state: Some(ReceiptState::Queued),
            reason: None,
            attempts: 0,
            expires_at,
        };
        let id = row.id;
        let changes = Changes {
            messages: vec![row],
            ..Changes::default()
        };
        self.world.store.commit(changes).await.unwrap();
        id
    }

    /// What a sink does: nudges the gateways that hold the device's connection.
    async fn nudge(&self, id: MessageId) {
        let gateways = self.world.store.live(&[self.thread]).await.unwrap();
        for (_, gateway) in gateways {
            let nudge = Nudge::Live(LiveNudge {
                thread_id: self.thread,
                channel: self.channel.clone(),
                address: "press-1".to_owned(),
                seq: self.seq,
                id,
                frame: String::new(),
            });
            let body = serde_json::to_vec(&nudge).unwrap();
            self.world
                .bus
                .nudge(&Mailbox::Gateway(gateway.0), body.into());
        }
    }

    /// What a sink writes of a message that expires once it has nudged.
    async fn recorded(&self, id: MessageId, expires_at: Time) {
        let now = patchbay_message::Clock::now(&patchbay_message::SystemClock);
        let channel = || self.channel.clone();
        let changes = Changes {
            sent: vec![(channel(), id.to_string(), id, 0)],
            receipts: vec![ReceiptWord {
                channel: channel(),
                external_id: None,
                message: Some(id),
                state: ReceiptState::Accepted,
                reason: None,
                at: now,
                attempts: Some(1),
                overdue: false,
            }],
            expects: vec![Expect {
                channel: channel(),
                external_id: id.to_string(),
                due: expires_at,
                or_else: ReceiptState::Expired,
                fallback: true,
            }],
            ..Changes::default()
        };
        self.world.store.commit(changes).await.unwrap();
    }

    /// The answers that are waited for.
    async fn waits(&self) -> Vec<Expect> {
        let want = Want {
            overdue_until: Some(Time::from_ms(i64::MAX / 2000)),
            ..Want::default()
        };
        Arc::clone(&self.world.store)
            .facts(&want)
            .await
            .unwrap()
            .overdue
    }

    async fn state(&self, id: MessageId, state: ReceiptState) -> MessageRow {
        for _ in 0..1500 {
            let row = self.world.store.message(id).await.unwrap().unwrap();
            if row.state == Some(state.clone()) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!(
            "{:?}",
            self.world.store.message(id).await.unwrap().unwrap().state
        );
    }
}

fn published(packet: Packet) -> Publish {
    match packet {
        Packet::Publish(publish) => publish,
        other => panic!("no PUBLISH but {other:?}"),
    }
}

async fn up(world: &World) -> Gateway {
    world.gateway().await
}

#[tokio::test]
async fn a_reply_goes_to_the_device_and_its_puback_is_the_receipt() {
    for version in VERSIONS {
        let world = World::new([mqtt("presses", presses())]);
        let gateway = up(&world).await;
        let mut talk = Talk::begin(&world).await;
        let mut device = Device::connect(gateway.address(), version, "press-1").await;
        assert_eq!(device.subscribe(&[DISPLAY]).await, [1]);
        let id = talk.say("hold on", None).await;
        talk.nudge(id).await;
        let publish = published(device.next().await);
        assert_eq!(
            (&*publish.topic, &*publish.payload),
            (DISPLAY, &b"hold on"[..])
        );
        assert_eq!(
            (publish.qos, publish.dup, publish.retain),
            (1, false, false)
        );
        device
            .put(&Packet::PubAck {
                id: publish.id,
                reason: 0,
            })
            .await;
        talk.state(id, ReceiptState::Delivered).await;
        // What it has is not sent again, by whichever gateway.
        let other = up(&world).await;
        let mut device = Device::connect(other.address(), version, "press-1").await;
        device.subscribe(&[DISPLAY]).await;
        let next = talk.say("all clear", None).await;
        talk.nudge(next).await;
        assert_eq!(published(device.next().await).payload, "all clear");
    }
}

#[tokio::test]
async fn what_came_while_it_was_away_is_sent_in_order_and_again_until_it_has_it() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = up(&world).await;
    let mut talk = Talk::begin(&world).await;
    let mut ids = Vec::new();
    for i in 0..100 {
        ids.push(talk.say(&format!("{i:02}"), None).await);
    }
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    device.subscribe(&[DISPLAY]).await;
    // No more at once than the window; the first half is acknowledged.
    let mut seen = Vec::new();
    for i in 0..64 {
        let publish = published(device.next().await);
        assert!(!publish.dup);
        if i < 50 {
            device
                .put(&Packet::PubAck {
                    id: publish.id,
                    reason: 0,
                })
                .await;
        }
        seen.push(publish.payload);
    }
    talk.state(ids[49], ReceiptState::Delivered).await;
    drop(device);
    let mut device = Device::connect(gateway.address(), MqttVersion::V4, "press-1").await;
    device.subscribe(&[DISPLAY]).await;
    seen.truncate(50);
    for i in 50..100 {
        let publish = published(device.next().await);
        if i < 64 {
            assert!(publish.dup, "{i} was sent before");
        }
        device
            .put(&Packet::PubAck {
                id: publish.id,
                reason: 0,
            })
            .await;
        seen.push(publish.payload);
    }
    let expected: Vec<String> = (0..100).map(|i| format!("{i:02}")).collect();
    assert_eq!(seen, expected);
    for id in ids {
        talk.state(id, ReceiptState::Delivered).await;
    }
}

#[tokio::test]
async fn what_is_past_its_time_or_refused_says_so_and_the_rest_goes_on() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = up(&world).await;
    let mut talk = Talk::begin(&world).await;
    let late = talk.say("too late", Some(Time::from_ms(1))).await;
    let refused = talk.say("not that", None).await;
    let fine = talk.say("fine", None).await;
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    device.subscribe(&[DISPLAY]).await;
    let publish = published(device.next().await);
    assert_eq!(publish.payload, "not that");
    let reason = reason::PAYLOAD_FORMAT;
    device
        .put(&Packet::PubAck {
            id: publish.id,
            reason,
        })
        .await;
    let publish = published(device.next().await);
    assert_eq!(publish.payload, "fine");
    device
        .put(&Packet::PubAck {
            id: publish.id,
            reason: 0,
        })
        .await;
    talk.state(fine, ReceiptState::Delivered).await;
    talk.state(late, ReceiptState::Expired).await;
    let row = talk.state(refused, ReceiptState::Failed).await;
    assert!(row.reason.unwrap().contains("0x99"));
}

#[tokio::test]
async fn nothing_is_sent_to_a_topic_that_was_not_subscribed_to() {
    let mut options = presses();
    options["down"]["command"] = json!({ "topic": "factory/{device}/cmd", "json": {} });
    options["devices"][0]["subscribe"] = json!(["factory/press-1/#"]);
    let world = World::new([mqtt("presses", options)]);
    let gateway = up(&world).await;
    let mut talk = Talk::begin(&world).await;
    talk.say("wait for me", None).await;
    let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
    device.subscribe(&["factory/press-1/cmd"]).await;
    device.ping().await;
    device.subscribe(&["factory/press-1/+"]).await;
    assert_eq!(published(device.next().await).payload, "wait for me");
}

#[tokio::test]
async fn a_device_is_sent_no_more_than_it_takes() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = up(&world).await;
    let mut talk = Talk::begin(&world).await;
    let giant = talk.say(&"x".repeat(2000), None).await;
    for i in 0..5 {
        talk.say(&i.to_string(), None).await;
    }
    let mut connect = hello(MqttVersion::V5, "press-1");
    connect.bounds.receive_max = Some(2);
    connect.bounds.packet_bytes_max = Some(1000);
    let (mut device, _) = Device::greet(gateway.address(), connect).await;
    device.subscribe(&[DISPLAY]).await;
    let first = published(device.next().await);
    assert_eq!(first.payload, "0");
    assert_eq!(published(device.next().await).payload, "1");
    device.ping().await;
    device
        .put(&Packet::PubAck {
            id: first.id,
            reason: 0,
        })
        .await;
    assert_eq!(published(device.next().await).payload, "2");
    let row = talk.state(giant, ReceiptState::Failed).await;
    assert!(row.reason.unwrap().contains("larger"));
}

#[tokio::test]
async fn a_device_that_leaves_one_out_is_sent_no_more() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = up(&world).await;
    let mut talk = Talk::begin(&world).await;
    let mut ids = Vec::new();
    for i in 0..8 {
        ids.push(talk.say(&i.to_string(), None).await);
    }
    let mut connect = hello(MqttVersion::V5, "press-1");
    connect.bounds.receive_max = Some(4);
    let (mut device, _) = Device::greet(gateway.address(), connect).await;
    device.subscribe(&[DISPLAY]).await;
    let mut packets = Vec::new();
    for i in 0..4 {
        let publish = published(device.next().await);
        assert_eq!(publish.payload, i.to_string());
        packets.push(publish.id);
    }
    let acknowledge = async |device: &mut Device, id| {
        device.put(&Packet::PubAck { id, reason: 0 }).await;
    };
    for id in packets.drain(1..) {
        acknowledge(&mut device, id).await;
    }
    talk.state(ids[3], ReceiptState::Delivered).await;
    device.ping().await;
    acknowledge(&mut device, packets[0]).await;
    for i in 4..8 {
        let publish = published(device.next().await);
        assert_eq!(publish.payload, i.to_string());
        acknowledge(&mut device, publish.id).await;
    }
    for id in ids {
        talk.state(id, ReceiptState::Delivered).await;
    }
}

#[tokio::test]
async fn what_cannot_be_written_down_holds_up_neither_a_take_over_nor_the_stop() {
    let world = World::new([mqtt("presses", presses())]);
    let gateway = up(&world).await;
    let mut talk = Talk::begin(&world).await;
    for i in 0..10 {
        talk.say(&i.to_string(), None).await;
    }
    let connected = async || {
        let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
        device.subscribe(&[DISPLAY]).await;
        device
    };
    let mut bystander = Device::connect(gateway.address(), MqttVersion::V5, "press-2").await;
    let mut acknowledge = async |device: &mut Device| {
        for _ in 0..5 {
            let (id, reason) = (published(device.next().await).id, 0);
            device.put(&Packet::PubAck { id, reason }).await;
        }
        // Whoever speaks after it is heard after it.
        bystander.ping().await;
    };
    let goodbye = |reason| Some(Packet::Disconnect { reason });
    let mut device = connected().await;
    let locked = world.lock_store();
    acknowledge(&mut device).await;
    // It is let in once the store is back; the older one goes at once.
    let hello = Packet::Connect(Box::new(hello(MqttVersion::V5, "press-1")));
    let mut other = Device::open(gateway.address(), MqttVersion::V5).await;
    other.put(&hello).await;
    assert_eq!(device.rest().await.pop(), goodbye(reason::TAKEN_OVER));
    drop((locked, other));

    let mut device = connected().await;
    let locked = world.lock_store();
    acknowledge(&mut device).await;
    let (mut rest, ()) = tokio::join!(device.rest(), gateway.stop());
    assert_eq!(rest.pop(), goodbye(reason::SHUTTING_DOWN));
    drop(locked);
}

/// How a message goes to the device, which writes first, and what is waited for then.
struct Wait {
    qos: u8,
    answer: bool,
    sink_first: bool,
}

impl Wait {
    async fn run(&self) -> (Vec<Expect>, Time, Time) {
        let mut options = presses();
        let rule = &mut options["down"]["text"];
        rule["qos"] = json!(self.qos);
        if self.answer {
            rule["answer"] = json!({ "within": "40s", "or_else": "unknown" });
        }
        let world = World::new([mqtt("presses", options)]);
        let gateway = up(&world).await;
        let mut talk = Talk::begin(&world).await;
        let begun = patchbay_message::Clock::now(&patchbay_message::SystemClock);
        let expires_at = begun.plus(Duration::from_secs(600));
        let id = talk.say("do it", Some(expires_at)).await;
        if self.sink_first {
            talk.recorded(id, expires_at).await;
        }
        let mut device = Device::connect(gateway.address(), MqttVersion::V5, "press-1").await;
        device.subscribe(&[DISPLAY]).await;
        let publish = published(device.next().await);
        assert_eq!((publish.qos, &*publish.payload), (self.qos, &b"do it"[..]));
        if self.qos == 1 {
            let (id, reason) = (publish.id, 0);
            device.put(&Packet::PubAck { id, reason }).await;
        }
        talk.state(id, ReceiptState::Sent).await;
        let ended = patchbay_message::Clock::now(&patchbay_message::SystemClock);
        if !self.sink_first {
            talk.recorded(id, expires_at).await;
        }
        let waits = talk.waits().await;
        assert!(waits.iter().all(|one| one.external_id == id.to_string()));
        (waits, begun, ended)
    }
}

#[tokio::test]
async fn an_answer_is_waited_for_as_long_as_its_rule_says() {
    let within = Duration::from_secs(40);
    for (qos, sink_first) in [(0, false), (0, true), (1, false), (1, true)] {
        let wait = Wait {
            qos,
            answer: true,
            sink_first,
        };
        let (waits, begun, ended) = wait.run().await;
        let case = format!("QoS {qos}, sink first: {sink_first}");
        let [wait] = &waits[..] else {
            panic!("{case}: {waits:?}");
        };
        assert_eq!(wait.or_else, ReceiptState::Unknown, "{case}");
        let due = begun.plus(within)..=ended.plus(within);
        assert!(due.contains(&wait.due), "{case}: {wait:?}");
    }
}

#[tokio::test]
async fn what_nobody_acknowledges_is_sent_and_never_expires() {
    for sink_first in [false, true] {
        let wait = Wait {
            qos: 0,
            answer: false,
            sink_first,
        };
        let (waits, ..) = wait.run().await;
        assert_eq!(waits, [], "sink first: {sink_first}");
    }
}
