//! What goes wrong: throttling, crashes, refusals, expiry, and what people see of it.

use std::time::Duration;

use bytes::Bytes;
use patchbay_bus::{Bus, Mailbox, Message, Queue, partition_of};
use patchbay_message::{InstanceId, MessageId, ReceiptState, ThreadId, Time};
use patchbay_sinks::{OnDead, OnUnknown};
use patchbay_store::{Changes, Fence, ReceiptWord};

use crate::{
    provider::{Does, Provider},
    world::{Plan, SHARDS, World, channel},
};

const OK: Does = Does::Answers(200, Vec::new());

fn refuses(status: u16, seconds: &str) -> Does {
    Does::Answers(status, vec![("retry-after", seconds.to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_channel_rests_as_a_whole() {
    let provider = Provider::new(|seen, tries| match (&*seen.to, tries) {
        ("ann", 0) => refuses(429, "1.0"),
        _ => OK,
    })
    .await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let ann = world.reply("sms", "ann", 1, &["1"]).await;
    let throttled = provider.wait(1).await[0].at;
    world
        .until("the channel to rest", || async {
            let states = world.store.channel_states().await.expect("it answers");
            states
                .iter()
                .any(|state| state.until.is_some())
                .then_some(())
        })
        .await;
    let bob = world.reply("sms", "bob", 1, &["1"]).await;
    world.state(ann, ReceiptState::Accepted).await;
    world.state(bob, ReceiptState::Accepted).await;
    for seen in &provider.seen()[1..] {
        let rest = seen.at - throttled;
        assert!(rest >= Duration::from_millis(990), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_contact_delays_nobody_else() {
    let provider = Provider::new(|seen, tries| match (&*seen.to, tries) {
        ("ann", 0) => {
            let headers = [("retry-after", "0.5"), ("x-contact", "1")];
            let headers = headers.map(|(name, value)| (name, value.to_owned()));
            Does::Answers(429, headers.to_vec())
        }
        _ => OK,
    })
    .await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let ann = world.reply("sms", "ann", 1, &["1"]).await;
    provider.wait(1).await;
    let bob = world.reply("sms", "bob", 1, &["1"]).await;
    world.state(bob, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann").len(), 1);
    world.state(ann, ReceiptState::Accepted).await;
    let seen = provider.seen();
    let again = seen.last().expect("ann again").at - seen[0].at;
    assert!(again >= Duration::from_millis(500), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept() {
    let provider = Provider::willing().await;
    let mut plan = Plan::http("sms", &provider.url);
    plan.limits.send_per_second = Some(20.0);
    let world = World::new([plan]);
    let mut envelopes = Vec::new();
    for lane in 0..50 {
        let to = format!("v{lane}");
        envelopes.push(world.keep("sms", &to, 1, &["x"]).await);
    }
    let _sinks = world.sinks();
    world.publish(&envelopes.iter().collect::<Vec<_>>()).await;
    let seen = provider.wait(50).await;
    // A full bucket of one second, then 20 a second.
    let took = seen[49].at - seen[0].at;
    assert!(took >= Duration::from_millis(1400), "{took:?}");
}

/// The provider has got the request, and the process dies before the answer.
async fn killed_while_sending(plan: impl Fn(&str) -> Plan) -> (World, Provider, MessageId) {
    let provider = Provider::new(|seen, tries| match (&*seen.text, tries) {
        ("b", 0) => Does::Hangs,
        _ => OK,
    })
    .await;
    let world = World::new([plan(&provider.url)]);
    let sinks = world.sinks();
    let id = world.reply("sms", "ann", 1, &["a", "b"]).await;
    provider.wait(2).await;
    sinks.kill().await;
    (world, provider, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_an_open_call_is_unknown_and_the_lane_goes_on() {
    let (world, provider, id) = killed_while_sending(|url| Plan::http("sms", url)).await;
    let _sinks = world.sinks();
    let next = world.reply("sms", "ann", 2, &["c"]).await;
    world.state(next, ReceiptState::Accepted).await;
    let row = world.message(id).await;
    assert_eq!(row.state, Some(ReceiptState::Unknown));
    assert!(
        row.reason
            .is_some_and(|reason| reason.contains("may or may not"))
    );
    assert_eq!(provider.texts("ann"), ["a", "b", "c"], "nothing twice");
    let dead = world.dead().await;
    assert_eq!((dead[0].id, &*dead[0].reason), (id, "unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_only_the_open_part_is_sent_again_if_asked_for() {
    let (world, provider, id) = killed_while_sending(|url| {
        let mut plan = Plan::http("sms", url);
        plan.retry.on_unknown = OnUnknown::Resend;
        plan
    })
    .await;
    let _sinks = world.sinks();
    world.state(id, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann"), ["a", "b", "b"]);
    assert!(world.dead().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_takes_a_key_is_simply_asked_again() {
    let (world, provider, id) = killed_while_sending(|url| {
        let mut plan = Plan::http("sms", url);
        plan.keyed = true;
        plan
    })
    .await;
    let _sinks = world.sinks();
    world.state(id, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann"), ["a", "b", "a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_is_unknown() {
    let provider = Provider::new(|seen, _| match &*seen.text {
        "1" => Does::CutsOff,
        _ => OK,
    })
    .await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let id = world.reply("sms", "ann", 1, &["1"]).await;
    let next = world.reply("sms", "ann", 2, &["2"]).await;
    world.state(id, ReceiptState::Unknown).await;
    world.state(next, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann"), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_never_stood_is_tried_again() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let port = closed.expect("a port").local_addr().expect("bound").port();
    let world = World::new([Plan::http("sms", &format!("http://127.0.0.1:{port}/send"))]);
    let _sinks = world.sinks();
    let id = world.reply("sms", "ann", 1, &["1"]).await;
    let lane = ThreadId::of(&channel("sms"), "ann");
    world
        .until("a second try", || async {
            let rows = world.store.parked(lane, 1).await.expect("it answers");
            let row = rows.into_iter().next()?;
            assert_eq!(row.reason, "retry");
            (row.attempts >= 2).then_some(())
        })
        .await;
    let row = world.message(id).await;
    assert_eq!(row.state, Some(ReceiptState::Queued));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_owner_changes_nothing() {
    let provider = Provider::new(|_, tries| match tries {
        0 => Does::Takes(Duration::from_millis(400)),
        _ => OK,
    })
    .await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    // Renewals come too late to notice the loss: only the commit can.
    let _sinks = world.sinks_with(|options| options.lease_ttl = Duration::from_secs(60));
    let id = world.reply("sms", "ann", 1, &["1"]).await;
    provider.wait(1).await;
    let lane = ThreadId::of(&channel("sms"), "ann").to_string();
    let name = format!("outbound.{}", partition_of(&lane, SHARDS));
    let old = Fence {
        name: name.clone(),
        epoch: 1,
    };
    world.store.release(&[old]).await.expect("released");
    let other = InstanceId::new();
    let taken = world.store.lease(&name, &other, Duration::from_secs(60));
    let taken = taken
        .await
        .expect("the store answers")
        .expect("it was free");
    tokio::time::sleep(Duration::from_millis(800)).await;
    let row = world.message(id).await;
    assert_eq!(
        row.state,
        Some(ReceiptState::Queued),
        "not the stalled one's word"
    );
    world.store.release(&[taken]).await.expect("released");
    let _new = world.sinks();
    world.state(id, ReceiptState::Unknown).await;
    assert_eq!(provider.texts("ann"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_comes_before_the_answer_counts() {
    let provider = Provider::new(|_, _| Does::Takes(Duration::from_millis(300))).await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let id = world.reply("sms", "ann", 1, &["1"]).await;
    provider.wait(1).await;
    let word = ReceiptWord {
        channel: channel("sms"),
        external_id: Some("ann:1".to_owned()),
        message: None,
        state: ReceiptState::Delivered,
        reason: None,
        at: Time::from_ms(0),
        attempts: None,
        overdue: false,
    };
    world
        .commit(Changes {
            receipts: vec![word],
            ..Changes::default()
        })
        .await;
    world.state(id, ReceiptState::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_in_time_expires() {
    let provider = Provider::new(|seen, _| match &*seen.text {
        "1" => Does::Answers(503, vec![]),
        _ => OK,
    })
    .await;
    let mut plan = Plan::http("sms", &provider.url);
    plan.retry.expire_after = Duration::from_millis(600);
    let world = World::new([plan]);
    let _sinks = world.sinks();
    let first = world.reply("sms", "ann", 1, &["1"]).await;
    let row = world.state(first, ReceiptState::Expired).await;
    assert!(
        row.reason
            .is_some_and(|reason| reason.contains("time ran out"))
    );
    let mut late = world.keep("sms", "ann", 2, &["late"]).await;
    late.expires_at = Some(late.received_at.minus(Duration::from_secs(1)));
    world.publish(&[&late]).await;
    world.state(late.id, ReceiptState::Expired).await;
    let next = world.reply("sms", "ann", 3, &["3"]).await;
    world.state(next, ReceiptState::Accepted).await;
    assert!(!provider.texts("ann").contains(&"late".to_owned()));
    let dead = world.dead().await;
    assert!(dead.iter().all(|letter| letter.reason == "expired"));
    assert_eq!(dead.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_leaves_a_tombstone_and_can_be_replayed() {
    let provider = Provider::new(|seen, tries| match (&*seen.text, tries) {
        ("bad", 0) => Does::Answers(400, vec![]),
        _ => OK,
    })
    .await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let bad = world.reply("sms", "ann", 1, &["bad"]).await;
    let good = world.reply("sms", "ann", 2, &["good"]).await;
    world.state(good, ReceiptState::Accepted).await;
    let row = world.message(bad).await;
    assert_eq!(row.state, Some(ReceiptState::Failed));
    let reason = row.reason.expect("a sentence");
    assert!(reason.contains("the provider says no"), "{reason}");
    let dead = world.dead().await.remove(0);
    assert_eq!((dead.id, &*dead.reason, dead.attempts), (bad, "payload", 1));
    assert_eq!(dead.exchange.expect("the last exchange")["status"], 400);
    // A replay is a message of its own, with the next number.
    let again = world.reply("sms", "ann", 3, &["bad"]).await;
    world.state(again, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann"), ["bad", "good", "bad"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_message_holds_its_lane_until_a_human_has_looked() {
    let provider = Provider::new(|seen, _| match &*seen.text {
        "bad" => Does::Answers(403, vec![]),
        _ => OK,
    })
    .await;
    let mut plan = Plan::http("sms", &provider.url);
    plan.retry.on_dead = OnDead::Hold;
    let world = World::new([plan]);
    let _sinks = world.sinks();
    let bad = world.reply("sms", "ann", 1, &["bad"]).await;
    let good = world.reply("sms", "ann", 2, &["good"]).await;
    world.state(bad, ReceiptState::Failed).await;
    let other = world.reply("sms", "bob", 1, &["good"]).await;
    world.state(other, ReceiptState::Accepted).await;
    let parked = world
        .until("the follower to wait", || async {
            let parked = world.parked("sms", "ann").await;
            (parked.len() == 2).then_some(parked)
        })
        .await;
    assert_eq!(parked[0], (1, "hold".to_owned()));
    world
        .commit(Changes {
            dead_status: vec![(bad, "dropped")],
            ..Changes::default()
        })
        .await;
    world.state(good, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann"), ["bad", "good"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_account_pauses_the_channel_and_loses_nothing() {
    let provider = Provider::new(|seen, tries| match (seen.text.as_str(), tries) {
        ("1", 0) => Does::Answers(401, vec![]),
        _ => OK,
    })
    .await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let first = world.reply("sms", "ann", 1, &["1"]).await;
    let paused = world
        .until("the channel to pause", || async {
            let states = world.store.channel_states().await.expect("it answers");
            states.into_iter().find_map(|state| state.paused)
        })
        .await;
    assert_eq!(paused, "wrong password");
    let other = world.reply("sms", "bob", 1, &["2"]).await;
    world
        .until("the other to wait", || async {
            let parked = world.parked("sms", "bob").await;
            (parked == [(1, "paused".to_owned())]).then_some(())
        })
        .await;
    assert_eq!(provider.seen().len(), 1, "nothing is tried while paused");
    let resumed = world.store.pause_channel(&channel("sms"), None).await;
    resumed.expect("the store answers");
    let event = Mailbox::Event("channel".to_owned());
    world.bus.nudge(&event, Bytes::new());
    world.state(first, ReceiptState::Accepted).await;
    world.state(other, ReceiptState::Accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_an_adapter_harms_one_message_only() {
    let provider = Provider::willing().await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let bad = world.reply("sms", "ann", 1, &["panic"]).await;
    let good = world.reply("sms", "ann", 2, &["good"]).await;
    world.state(bad, ReceiptState::Failed).await;
    world.state(good, ReceiptState::Accepted).await;
    assert_eq!(world.dead().await[0].reason, "payload");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_harms_nobody_else() {
    let provider = Provider::willing().await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let lane = ThreadId::of(&channel("sms"), "ann").to_string();
    let place = serde_json::json!({
        "lane_key": lane, "out_seq": 1, "channel": { "id": "sms", "kind": "fake" },
    });
    let queue = Queue::Outbound(partition_of(&lane, SHARDS));
    let batch = ["no json".to_owned(), place.to_string()].map(|body| {
        let message = Message {
            id: MessageId::new(),
            kind: "message".into(),
            body: Bytes::from(body),
        };
        (queue, message)
    });
    world.bus.publish(batch.to_vec()).await.expect("published");
    let next = world.reply("sms", "ann", 2, &["2"]).await;
    world.state(next, ReceiptState::Accepted).await;
    let dead = world.dead().await;
    assert!(dead.iter().all(|letter| letter.reason == "undecodable"));
    assert_eq!(dead.len(), 2);
    world
        .until("an empty bus", || async {
            (world.depth().await == 0).then_some(())
        })
        .await;
}
