//! A reply rides on an answer that a gateway holds back, or goes as any other: once, either way.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{Clock, InstanceId, ReceiptState, SystemClock, ThreadId};
use patchbay_sdk::{Nudge, Reply, Slot, SlotAsk, SlotSaid, SlotWord};
use patchbay_store::{Changes, LiveChange};
use tokio::sync::mpsc;

use crate::{
    provider::Provider,
    stores,
    world::{Plan, World, channel},
};

/// How a gateway that says it holds ann's answer behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Writes,
    WritesNothing,
    Refuses,
    IsGone,
    DiesWithTheAnswer,
}

fn plans(provider: &Provider) -> [Plan; 1] {
    [Plan::http("sms", &provider.url).riding()]
}

async fn holds(world: &World, name: &str, to: &str) -> mpsc::Receiver<Bytes> {
    let gateway = InstanceId(name.to_owned());
    let change = LiveChange {
        thread: ThreadId::of(&channel("sms"), to),
        gateway,
        on: true,
    };
    let changes = Changes {
        live: vec![change],
        ..Changes::default()
    };
    world.commit(changes).await;
    let mailbox = world.bus.mailbox(Mailbox::Gateway(name.to_owned())).await;
    mailbox.expect("a mailbox")
}

/// Plays a gateway; answers what was handed to it.
fn play(
    world: &World,
    name: &'static str,
    does: Does,
    mut mailbox: mpsc::Receiver<Bytes>,
) -> mpsc::Receiver<String> {
    let (handed, all) = mpsc::channel(16);
    let bus = world.bus.clone();
    tokio::spawn(async move {
        let say = |ask: &SlotAsk, said| {
            let word = SlotWord {
                ask: ask.ask,
                gateway: InstanceId(name.to_owned()),
                said,
            };
            let body = serde_json::to_vec(&word).expect("JSON");
            bus.nudge(&Mailbox::Sinks(ask.sinks.0.clone()), body.into());
        };
        while let Some(body) = mailbox.recv().await {
            match (serde_json::from_slice(&body).expect("a nudge"), does) {
                (_, Does::IsGone) => {}
                (Nudge::Claim(ask), Does::Refuses) => say(&ask, SlotSaid::Refused),
                (Nudge::Claim(ask), _) => say(&ask, granted()),
                (Nudge::Release(_), _) => drop(handed.send("released".to_owned()).await),
                (Nudge::Hand { ask, answer }, does) => {
                    let text = answer.parts().expect("well-formed").2;
                    let _ = handed.send(text).await;
                    match does {
                        Does::Writes => say(&ask, SlotSaid::Written),
                        Does::WritesNothing => say(&ask, SlotSaid::NotWritten),
                        _ => {}
                    }
                }
                (other, _) => panic!("{other:?}"),
            }
        }
    });
    all
}

fn granted() -> SlotSaid {
    let slot = Slot {
        address: "ann".to_owned(),
        deadline: Duration::from_secs(4),
        key: "k".to_owned(),
        held_max: 9,
        memory: serde_json::Map::new(),
    };
    SlotSaid::Granted {
        slot: Box::new(slot),
        left_ms: 3000,
        since: SystemClock.now(),
    }
}

/// What `Plan::riding` writes of a message of one text.
pub(crate) fn ridden(text: &str) -> Reply {
    Reply::Http {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: format!("rides: {text}").into_bytes(),
    }
}

async fn a_reply_rides_and_is_not_sent(home: stores::Home) {
    let provider = Provider::willing().await;
    let world = home.world(plans(&provider));
    let mailbox = holds(&world, "one", "ann").await;
    let mut handed = play(&world, "one", Does::Writes, mailbox);
    let _sinks = world.sinks();
    let id = world.reply("sms", "ann", 1, &["hello"]).await;
    let row = world.state(id, ReceiptState::Sent).await;
    assert_eq!(row.attempts, 1);
    assert_eq!(handed.recv().await.as_deref(), Some("rides: hello"));
    assert!(provider.texts("ann").is_empty());
    // Two parts are no answer: both go as they always did.
    let id = world.reply("sms", "ann", 2, &["a", "b"]).await;
    world.state(id, ReceiptState::Accepted).await;
    assert_eq!(handed.recv().await.as_deref(), Some("released"));
    assert_eq!(provider.texts("ann"), ["a", "b"]);
}

async fn what_was_not_written_is_sent_once(home: stores::Home) {
    let provider = Provider::willing().await;
    let world = home.world(plans(&provider));
    let _sinks = world.sinks();
    let all = [
        ("ann", Does::WritesNothing),
        ("bob", Does::Refuses),
        ("cid", Does::IsGone),
    ];
    for (to, does) in all {
        let mailbox = holds(&world, to, to).await;
        let mut handed = play(&world, to, does, mailbox);
        let id = world.reply("sms", to, 1, &["hello"]).await;
        world.state(id, ReceiptState::Accepted).await;
        assert_eq!(provider.texts(to), ["hello"]);
        let tried = handed.try_recv().ok();
        let expected = (does == Does::WritesNothing).then_some("rides: hello");
        assert_eq!(tried.as_deref(), expected);
    }
    assert!(world.dead().await.is_empty());
}

async fn what_may_have_been_written_is_unknown(home: stores::Home) {
    let provider = Provider::willing().await;
    let world = home.world(plans(&provider));
    let mailbox = holds(&world, "one", "ann").await;
    let mut handed = play(&world, "one", Does::DiesWithTheAnswer, mailbox);
    let sinks = world.sinks();
    let silent = world.reply("sms", "ann", 1, &["silent"]).await;
    world.state(silent, ReceiptState::Unknown).await;
    assert_eq!(world.dead().await[0].reason, "unknown");
    assert!(handed.recv().await.is_some());
    // We go away after the answer was handed over, before anything is known of it.
    let lost = world.reply("sms", "ann", 2, &["lost"]).await;
    assert!(handed.recv().await.is_some());
    sinks.kill().await;
    let _survives = world.sinks();
    world.state(lost, ReceiptState::Unknown).await;
    let again = handed.try_recv();
    assert!(again.is_err(), "handed over again: {again:?}");
    assert!(provider.texts("ann").is_empty(), "nothing is said twice");
}

stores::on_both!(
    a_reply_rides_and_is_not_sent,
    what_was_not_written_is_sent_once,
    what_may_have_been_written_is_unknown,
);

#[tokio::test]
async fn of_two_gateways_the_one_asked_last_answers() {
    let provider = Provider::willing().await;
    let world = World::new(plans(&provider));
    let (one, two) = (
        holds(&world, "one", "ann").await,
        holds(&world, "two", "ann").await,
    );
    let mut one = play(&world, "one", Does::Writes, one);
    let mut two = play(&world, "two", Does::Writes, two);
    let _sinks = world.sinks();
    let id = world.reply("sms", "ann", 1, &["hello"]).await;
    world.state(id, ReceiptState::Sent).await;
    let mut both = [one.recv().await, two.recv().await].map(Option::unwrap_or_default);
    both.sort();
    assert_eq!(both, ["released", "rides: hello"]);
    assert!(provider.texts("ann").is_empty());
}
