//! A bus that answers when it is told to: who passes when, and with whom.

use async_trait::async_trait;
use bytes::Bytes;
use patchbay_bus::{BusError, Consumer, Health, Mailbox};
use patchbay_message::MessageId;
use tokio::{sync::mpsc, task::JoinHandle};

use super::*;

type Outcome = Result<(), PublishError>;

/// A publish the bus is asked for: its bodies and the way to answer.
type Asked = (Vec<String>, oneshot::Sender<Outcome>);

struct SlowBus(mpsc::Sender<Asked>);

#[async_trait]
impl Bus for SlowBus {
    async fn publish(&self, batch: Batch) -> Outcome {
        let bodies = batch.iter().map(|(_, message)| text(message)).collect();
        let (answer, answered) = oneshot::channel();
        let sent = self.0.send((bodies, answer)).await;
        sent.expect("the test listens");
        answered.await.expect("the test answers")
    }

    async fn consume(&self, _: Queue, _: u16) -> Result<Box<dyn Consumer>, BusError> {
        Err(BusError("nobody consumes".to_owned()))
    }

    fn nudge(&self, _: &Mailbox, _: Bytes) {}

    async fn mailbox(&self, _: Mailbox) -> Result<mpsc::Receiver<Bytes>, BusError> {
        Err(BusError("nobody has a mailbox".to_owned()))
    }

    async fn depth(&self, _: Queue) -> Result<u64, BusError> {
        Ok(0)
    }

    fn health(&self) -> Health {
        Health::default()
    }

    async fn close(&self) {}
}

fn text(message: &Message) -> String {
    String::from_utf8(message.body.to_vec()).expect("text")
}

struct World {
    gates: Arc<Gates>,
    bus: Arc<SlowBus>,
    asked: mpsc::Receiver<Asked>,
}

impl World {
    fn new() -> Self {
        let (tx, asked) = mpsc::channel(8);
        Self {
            gates: Arc::default(),
            bus: Arc::new(SlowBus(tx)),
            asked,
        }
    }

    /// Somebody publishes, and is on the way or waits when this returns.
    async fn publishes(&self, key: &str, body: &str) -> JoinHandle<Outcome> {
        let (gates, bus) = (Arc::clone(&self.gates), Arc::clone(&self.bus));
        let (key, body) = (key.to_owned(), body.to_owned());
        let task = tokio::spawn(async move {
            let message = Message {
                id: MessageId::new(),
                kind: "message".into(),
                body: body.into_bytes().into(),
            };
            let batch = vec![(Queue::Inbound(0), message)];
            gates.publish(&*bus, &key, batch).await
        });
        // One thread: the task runs until it waits.
        tokio::task::yield_now().await;
        task
    }

    async fn asked(&mut self) -> Asked {
        self.asked.recv().await.expect("a publish")
    }
}

fn unavailable() -> Outcome {
    Err(PublishError::Unavailable("away".to_owned()))
}

#[tokio::test]
async fn what_waits_goes_together_in_the_order_it_came() {
    let mut world = World::new();
    let first = world.publishes("a", "1").await;
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies, ["1"]);
    let waits = [
        world.publishes("a", "2").await,
        world.publishes("a", "3").await,
        world.publishes("a", "4").await,
    ];
    assert!(world.asked.try_recv().is_err(), "one unconfirmed batch");
    answer.send(Ok(())).expect("it waits");
    assert_eq!(first.await.expect("no panic"), Ok(()));
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies, ["2", "3", "4"]);
    answer.send(Ok(())).expect("it waits");
    for one in waits {
        assert_eq!(one.await.expect("no panic"), Ok(()));
    }
}

#[tokio::test]
async fn not_more_than_the_bound_goes_together() {
    let mut world = World::new();
    let mut all = vec![world.publishes("a", "first").await];
    let (_, answer) = world.asked().await;
    for n in 0..=TOGETHER_MAX {
        all.push(world.publishes("a", &n.to_string()).await);
    }
    answer.send(Ok(())).expect("it waits");
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies.len(), TOGETHER_MAX);
    answer.send(Ok(())).expect("it waits");
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies, [TOGETHER_MAX.to_string()]);
    answer.send(Ok(())).expect("it waits");
    for one in all {
        assert_eq!(one.await.expect("no panic"), Ok(()));
    }
}

#[tokio::test]
async fn a_failure_turns_away_who_waits_and_not_who_comes_later() {
    let mut world = World::new();
    let first = world.publishes("a", "1").await;
    let (_, answer) = world.asked().await;
    let waits = world.publishes("a", "2").await;
    answer.send(unavailable()).expect("it waits");
    assert_eq!(first.await.expect("no panic"), unavailable());
    assert_eq!(waits.await.expect("no panic"), Err(overtaken()));
    let later = world.publishes("a", "3").await;
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies, ["3"]);
    answer.send(Ok(())).expect("it waits");
    assert_eq!(later.await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn one_that_cannot_be_published_is_refused_alone() {
    let mut world = World::new();
    let refused = || Err(PublishError::Refused("too large".to_owned()));
    let first = world.publishes("a", "1").await;
    let (_, answer) = world.asked().await;
    let waits = [
        world.publishes("a", "2").await,
        world.publishes("a", "giant").await,
        world.publishes("a", "4").await,
    ];
    answer.send(Ok(())).expect("it waits");
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies, ["2", "giant", "4"]);
    answer.send(refused()).expect("it waits");
    for (body, outcome) in [("2", Ok(())), ("giant", refused()), ("4", Ok(()))] {
        let (bodies, answer) = world.asked().await;
        assert_eq!(bodies, [body]);
        answer.send(outcome).expect("it waits");
    }
    assert_eq!(first.await.expect("no panic"), Ok(()));
    let outcomes = futures_util::future::join_all(waits).await;
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|one| one.expect("no panic"))
        .collect();
    assert_eq!(outcomes, [Ok(()), refused(), Ok(())]);
}

/// Two keys behind one gate.
fn neighbours(gates: &Gates) -> (String, String) {
    let at = |key: &str| gates.place(key).0;
    let first = "a".to_owned();
    let second = (0..)
        .map(|n| format!("b{n}"))
        .find(|key| at(key) == at(&first));
    (first, second.expect("one of them shares the gate"))
}

#[tokio::test]
async fn what_is_given_up_turns_away_its_own_key_only() {
    let mut world = World::new();
    let (key, neighbour) = neighbours(&world.gates);
    let first = world.publishes(&key, "1").await;
    let _unanswered = world.asked().await;
    let same = world.publishes(&key, "2").await;
    let other = world.publishes(&neighbour, "3").await;
    first.abort();
    assert_eq!(same.await.expect("no panic"), Err(overtaken()));
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies, ["3"]);
    answer.send(Ok(())).expect("it waits");
    assert_eq!(other.await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn nothing_overtakes_who_went_away_while_waiting() {
    let mut world = World::new();
    let (key, neighbour) = neighbours(&world.gates);
    let first = world.publishes(&key, "1").await;
    let (_, answer) = world.asked().await;
    let gone = world.publishes(&key, "gone").await;
    gone.abort();
    assert!(gone.await.is_err());
    let behind = world.publishes(&key, "behind").await;
    let other = world.publishes(&neighbour, "other").await;
    answer.send(Ok(())).expect("it waits");
    assert_eq!(first.await.expect("no panic"), Ok(()));
    assert_eq!(behind.await.expect("no panic"), Err(overtaken()));
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies, ["other"]);
    answer.send(Ok(())).expect("it waits");
    assert_eq!(other.await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn a_full_queue_turns_away_only_who_goes_there() {
    let mut world = World::new();
    let (key, neighbour) = neighbours(&world.gates);
    let full = || Err(PublishError::Full(Queue::Inbound(0)));
    let first = world.publishes(&key, "1").await;
    let (_, answer) = world.asked().await;
    let second = world.publishes(&key, "2").await;
    let other = world.publishes(&neighbour, "3").await;
    let third = world.publishes(&key, "4").await;
    answer.send(Ok(())).expect("it waits");
    let (bodies, answer) = world.asked().await;
    assert_eq!(bodies, ["2", "3", "4"]);
    answer.send(full()).expect("it waits");
    for (body, outcome) in [("2", full()), ("3", Ok(()))] {
        let (bodies, answer) = world.asked().await;
        assert_eq!(bodies, [body]);
        answer.send(outcome).expect("it waits");
    }
    assert_eq!(first.await.expect("no panic"), Ok(()));
    assert_eq!(second.await.expect("no panic"), full());
    assert_eq!(other.await.expect("no panic"), Ok(()));
    assert_eq!(third.await.expect("no panic"), Err(overtaken()));
}
