//! Live pushes: a reply reaches the gateways that hold the contact's connections.

use bytes::Bytes;
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{InstanceId, LogNudge, ReceiptState, ThreadId};
use patchbay_sdk::{LiveNudge, Nudge};
use patchbay_store::{Changes, LiveChange};

use crate::world::{Plan, World, channel};

async fn nudge(mailbox: &mut tokio::sync::mpsc::Receiver<Bytes>) -> LiveNudge {
    let wait = std::time::Duration::from_secs(10);
    let body = tokio::time::timeout(wait, mailbox.recv()).await;
    let body = body.expect("a nudge comes").expect("the mailbox is open");
    match serde_json::from_slice(&body).expect("a nudge") {
        Nudge::Live(nudge) => nudge,
        other => panic!("{other:?}"),
    }
}

async fn live(world: &World, to: &str, gateway: &str, on: bool) {
    let change = LiveChange {
        thread: ThreadId::of(&channel("chat"), to),
        gateway: InstanceId(gateway.to_owned()),
        on,
    };
    world
        .commit(Changes {
            live: vec![change],
            ..Changes::default()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_reaches_every_gateway_that_holds_the_contact() {
    let world = World::new([Plan::live("chat")]);
    let open = |name: &str| world.bus.mailbox(Mailbox::Gateway(name.to_owned()));
    let mut one = open("one").await.expect("a mailbox");
    let mut two = open("two").await.expect("a mailbox");
    let mut log = world
        .bus
        .mailbox(Mailbox::Event("log".to_owned()))
        .await
        .expect("a mailbox");
    live(&world, "ann", "one", true).await;
    live(&world, "ann", "two", true).await;
    let _sinks = world.sinks();
    let id = world.reply("chat", "ann", 1, &["hello"]).await;
    for mailbox in [&mut one, &mut two] {
        let found = nudge(mailbox).await;
        assert_eq!((found.id, found.seq, &*found.frame), (id, 1, "hello"));
        assert_eq!(&*found.address, "ann");
        assert_eq!(found.thread_id, ThreadId::of(&channel("chat"), "ann"));
    }
    world.state(id, ReceiptState::Sent).await;
    let news = log.recv().await.expect("an event");
    let news: LogNudge = serde_json::from_slice(&news).expect("a nudge");
    assert!(news.seq > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_who_moves_is_found_at_the_new_gateway() {
    let world = World::new([Plan::live("chat")]);
    let open = |name: &str| world.bus.mailbox(Mailbox::Gateway(name.to_owned()));
    let mut one = open("one").await.expect("a mailbox");
    let mut two = open("two").await.expect("a mailbox");
    let _sinks = world.sinks();
    live(&world, "ann", "one", true).await;
    world.reply("chat", "ann", 1, &["a"]).await;
    assert_eq!(nudge(&mut one).await.frame, "a");
    live(&world, "ann", "one", false).await;
    live(&world, "ann", "two", true).await;
    world.reply("chat", "ann", 2, &["b"]).await;
    assert_eq!(nudge(&mut two).await.frame, "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_no_failure() {
    let world = World::new([Plan::live("chat")]);
    let _sinks = world.sinks();
    let id = world.reply("chat", "ann", 1, &["hello"]).await;
    let row = world.state(id, ReceiptState::Sent).await;
    assert_eq!((row.attempts, row.reason), (1, None));
    assert!(world.dead().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_replies_go_in_order_and_leave_nothing_behind() {
    let world = World::new([Plan::live("chat")]);
    let mut mailbox = world
        .bus
        .mailbox(Mailbox::Gateway("one".to_owned()))
        .await
        .expect("a mailbox");
    let mut envelopes = Vec::new();
    for lane in 0..10 {
        let to = format!("v{lane}");
        live(&world, &to, "one", true).await;
        for seq in 1..=100 {
            envelopes.push(world.keep("chat", &to, seq, &["x"]).await);
        }
    }
    let _sinks = world.sinks();
    let all: Vec<_> = envelopes.iter().collect();
    let listening = tokio::spawn(async move {
        let mut shown = std::collections::HashMap::<String, u64>::new();
        for _ in 0..1000 {
            let found = nudge(&mut mailbox).await;
            let last = shown.entry(found.address).or_default();
            assert_eq!(found.seq, *last + 1);
            *last = found.seq;
        }
    });
    for batch in all.chunks(50) {
        world.publish(batch).await;
    }
    listening.await.expect("in order");
    world.state(envelopes[999].id, ReceiptState::Sent).await;
    world
        .until("an empty bus", || async {
            (world.depth().await == 0).then_some(())
        })
        .await;
}
