//! Publishing to brokers: a real one, and one that is told what to do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use patchbay_message::{Envelope, ReceiptState};
use patchbay_mqtt::{Client, Conn, ConnAck, Packet};
use patchbay_sdk::{
    Answer, Await, Channel, Cx, Decoded, Effect, Exchange, Link, MqttBroker, MqttOut, MqttVersion,
    Reject, Request, SendError, Sent, Session, Step, Wire,
};
use patchbay_store::Want;
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Plan, World};

/// Publishes a text; every exchange is shown.
pub(crate) struct Fleet {
    broker: MqttBroker,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Channel for Fleet {
    fn links(&self) -> Vec<Link> {
        vec![Link::MqttBroker(Box::new(self.broker.clone()))]
    }

    fn decode(&self, _: &Cx<'_>, _: &mut Session, _: Wire<'_>) -> Result<Decoded, Reject> {
        Err(Reject::NotFound)
    }

    fn send(
        &self,
        _: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        if let Some(exchange) = past.last() {
            self.exchanges.lock().push(exchange.clone());
        }
        match past.last() {
            None => Ok(Step::Call(Request::Mqtt(MqttOut {
                topic: format!(
                    "to/{}",
                    outbound.recipient.as_ref().expect("routed").address
                ),
                payload: Bytes::from(outbound.content[0].as_text().expect("a text").to_owned()),
                qos: 1,
                retain: false,
                response_topic: Some("answers".to_owned()),
                correlation: Some(Bytes::from(outbound.id.to_string())),
                content_type: None,
                expires_after: Some(Duration::from_secs(60)),
                effect: Effect::Deliver { part: 0, key: None },
                timeout: Duration::from_secs(1),
            }))),
            Some(Exchange::Answered(Answer::Mqtt { reason })) if *reason < 0x80 => {
                Ok(Step::Done(vec![Sent {
                    part: 0,
                    external_id: Some(outbound.id.to_string()),
                    state: ReceiptState::Accepted,
                    awaits: Some(Await {
                        within: Duration::from_secs(1),
                        or_else: ReceiptState::Expired,
                        fallback: false,
                    }),
                }]))
            }
            Some(Exchange::Answered(_)) => Err(SendError::Payload("refused".to_owned())),
            Some(Exchange::NotSent(_)) => Err(SendError::Retry(None)),
            Some(Exchange::Unknown(_)) => Err(SendError::Unknown),
        }
    }
}

fn broker(host: &str, port: u16, version: MqttVersion) -> MqttBroker {
    MqttBroker {
        host: host.to_owned(),
        port,
        tls: None,
        version,
        client_id: "fleet".to_owned(),
        username: None,
        password: None,
        filters: Vec::new(),
        qos: 1,
        share: None,
        keep_alive: Duration::from_secs(60),
        session_expiry: Duration::ZERO,
        in_flight_max: 2,
        packet_bytes_max: 1 << 20,
    }
}

fn fleet(broker: MqttBroker) -> (World, Arc<Mutex<Vec<Exchange>>>) {
    let exchanges = Arc::<Mutex<Vec<Exchange>>>::default();
    let fleet = Fleet {
        broker,
        exchanges: Arc::clone(&exchanges),
    };
    (World::new([Plan::of("fleet", Box::new(fleet))]), exchanges)
}

/// A broker that is told what to do.
async fn accept(listener: &TcpListener) -> Conn {
    let (stream, _): (TcpStream, _) = listener.accept().await.expect("a connection");
    let mut conn = Conn::new(Box::new(stream), MqttVersion::V4, 1 << 20);
    let Packet::Connect(connect) = conn.read_connect().await.expect("a packet") else {
        panic!("a CONNECT");
    };
    assert!(connect.clean, "a session to be forgotten");
    assert!(
        connect.client_id.starts_with("fleet-out-"),
        "a name of its own"
    );
    let mut connack = ConnAck::default();
    connack.bounds.packet_bytes_max = Some(1000);
    conn.put(&Packet::ConnAck(Box::new(connack)))
        .expect("written");
    conn.flush().await.expect("written");
    conn
}

async fn publish(conn: &mut Conn) -> patchbay_mqtt::Publish {
    match conn.read().await.expect("a packet") {
        Packet::Publish(publish) => publish,
        other => panic!("no PUBLISH but {other:?}"),
    }
}

async fn ack(conn: &mut Conn, id: u16, reason: u8) {
    conn.put(&Packet::PubAck { id, reason }).expect("written");
    conn.flush().await.expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_a_real_broker_and_its_answer_is_awaited() {
    let url = std::env::var("PATCHBAY_TEST_MQTT")
        .expect("PATCHBAY_TEST_MQTT names a broker; run the tests by .ci/with-services");
    let (host, port) = url
        .strip_prefix("mqtt://")
        .expect("a URL")
        .split_once(':')
        .expect("a port");
    for version in [MqttVersion::V4, MqttVersion::V5] {
        let broker = broker(host, port.parse().expect("a port"), version);
        let mut reader = Client::connect(&broker, "sinks-reader", true)
            .await
            .expect("connected");
        let to = format!("{version:?}-{}", std::process::id());
        let filters = vec![(format!("to/{to}"), 1)];
        reader
            .put(&Packet::Subscribe { id: 1, filters })
            .expect("written");
        reader.flush().await.expect("written");
        assert!(matches!(reader.next().await, Ok(Packet::SubAck { .. })));
        let (world, _) = fleet(broker);
        let _sinks = world.sinks();
        let id = world.reply("fleet", &to, 1, &["open the door"]).await;
        let Ok(Packet::Publish(publish)) = reader.next().await else {
            panic!("a PUBLISH");
        };
        assert_eq!(publish.payload, "open the door");
        if version == MqttVersion::V5 {
            let properties = publish.properties.expect("properties");
            assert_eq!(properties.response_topic.as_deref(), Some("answers"));
            assert_eq!(properties.correlation, Some(Bytes::from(id.to_string())));
        }
        world.state(id, ReceiptState::Accepted).await;
        let want = Want {
            overdue_until: Some(world.now().plus(Duration::from_secs(3600))),
            ..Want::default()
        };
        let facts = world.store.facts(&want).await.expect("the store answers");
        assert_eq!(facts.overdue.len(), 1);
        assert_eq!(facts.overdue[0].external_id, id.to_string());
        assert_eq!(facts.overdue[0].or_else, ReceiptState::Expired);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_nothing_is_sent_and_it_goes_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let (world, exchanges) = fleet(broker("127.0.0.1", address.port(), MqttVersion::V5));
    let sinks = world.sinks();
    let id = world.reply("fleet", "a", 1, &["hello"]).await;
    world
        .until("not sent", || async {
            let exchanges = exchanges.lock();
            matches!(exchanges.first(), Some(Exchange::NotSent(_))).then_some(())
        })
        .await;
    let problem = sinks.options.status.problem().expect("it shows");
    assert!(problem.contains("fleet"), "{problem}");
    let listener = TcpListener::bind(address).await.expect("the same port");
    let mut conn = accept(&listener).await;
    let publish = publish(&mut conn).await;
    ack(&mut conn, publish.id, 0).await;
    world.state(id, ReceiptState::Accepted).await;
    assert_eq!(sinks.options.status.problem(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_is_unknown_and_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (world, exchanges) = fleet(broker("127.0.0.1", port, MqttVersion::V5));
    let _sinks = world.sinks();
    let mut conn = accept(&listener).await;
    // The connection breaks; and no PUBACK in time.
    let broken = world.reply("fleet", "a", 1, &["broken"]).await;
    publish(&mut conn).await;
    drop(conn);
    let mut conn = accept(&listener).await;
    let silent = world.reply("fleet", "b", 1, &["silent"]).await;
    publish(&mut conn).await;
    for id in [broken, silent] {
        world.state(id, ReceiptState::Unknown).await;
    }
    let unknown = |exchange: &Exchange| matches!(exchange, Exchange::Unknown(_));
    assert!(exchanges.lock().iter().all(unknown));
    // What comes next is the next message.
    let next = world.reply("fleet", "c", 1, &["next"]).await;
    let sent = publish(&mut conn).await;
    assert_eq!(sent.payload, "next");
    assert!(!sent.dup);
    ack(&mut conn, sent.id, 0).await;
    world.state(next, ReceiptState::Accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_in_any_order_reach_their_messages_and_refusals_are_final() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (world, _) = fleet(broker("127.0.0.1", port, MqttVersion::V5));
    let _sinks = world.sinks();
    let mut conn = accept(&listener).await;
    let one = world.reply("fleet", "a", 1, &["one"]).await;
    let first = publish(&mut conn).await;
    let two = world.reply("fleet", "b", 1, &["two"]).await;
    let second = publish(&mut conn).await;
    assert_eq!(
        (&*first.payload, &*second.payload),
        (&b"one"[..], &b"two"[..])
    );
    ack(&mut conn, second.id, 0).await;
    world.state(two, ReceiptState::Accepted).await;
    ack(&mut conn, first.id, 0x87).await;
    world.state(one, ReceiptState::Failed).await;
    // Larger than what the broker takes: refused here, and the connection stays.
    let giant = world.reply("fleet", "c", 1, &[&"x".repeat(2000)]).await;
    world.state(giant, ReceiptState::Failed).await;
    let after = world.reply("fleet", "d", 1, &["after"]).await;
    let sent = publish(&mut conn).await;
    ack(&mut conn, sent.id, 0).await;
    world.state(after, ReceiptState::Accepted).await;
}
