//! A conversation keeps its order, and delays no other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::ReceiptState;

use crate::{
    provider::{Does, Provider},
    world::{Plan, SHARDS, World, channel},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_keeps_what_follows_behind_it() {
    let provider = Provider::new(|seen, tries| match (&*seen.text, tries) {
        ("1", 0 | 1) => Does::Answers(503, vec![("retry-after", "0.3".to_owned())]),
        _ => Does::Answers(200, vec![]),
    })
    .await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    world.reply("sms", "ann", 1, &["1"]).await;
    provider.wait(1).await;
    world.reply("sms", "ann", 2, &["2"]).await;
    let last = world.reply("sms", "ann", 3, &["3"]).await;
    let row = world.state(last, ReceiptState::Accepted).await;
    assert_eq!(row.attempts, 1);
    assert_eq!(provider.texts("ann"), ["1", "1", "1", "2", "3"]);
    let seen = provider.seen();
    for pair in seen[..3].windows(2) {
        let pause = pair[1].at - pair[0].at;
        assert!(pause >= Duration::from_millis(300), "{pause:?}");
    }
    assert!(world.parked("sms", "ann").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_out_of_order_goes_in_order() {
    let provider = Provider::willing().await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    let mut envelopes = Vec::new();
    for seq in 1..=5 {
        let text = seq.to_string();
        envelopes.push(world.keep("sms", "ann", seq, &[&text]).await);
    }
    for index in [4, 2, 1, 3] {
        world.publish(&[&envelopes[index]]).await;
    }
    world
        .until("four parked behind the missing one", || async {
            (world.parked("sms", "ann").await.len() == 4).then_some(())
        })
        .await;
    assert!(provider.seen().is_empty());
    world.publish(&[&envelopes[0]]).await;
    world.state(envelopes[4].id, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann"), ["1", "2", "3", "4", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_not_sent_again() {
    let provider = Provider::willing().await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let sinks = world.sinks();
    let first = world.keep("sms", "ann", 1, &["1"]).await;
    let second = world.keep("sms", "ann", 2, &["2"]).await;
    world
        .publish(&[&first, &first, &second, &second, &first])
        .await;
    world.state(second.id, ReceiptState::Accepted).await;
    sinks.stop().await;
    let _sinks = world.sinks();
    world.publish(&[&first, &second]).await;
    let third = world.reply("sms", "ann", 3, &["3"]).await;
    world.state(third, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann"), ["1", "2", "3"]);
    world
        .until("an empty bus", || async {
            (world.depth().await == 0).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_hangs_delays_no_other() {
    let hanging = Provider::new(|_, _| Does::Hangs).await;
    let willing = Provider::willing().await;
    let mut slow = Plan::http("slow", &hanging.url);
    slow.limits.in_flight_max = 4;
    slow.answer_timeout = Duration::from_secs(50);
    let world = World::new([slow, Plan::http("fast", &willing.url)]);
    let mut slow = Vec::new();
    for lane in 0..300 {
        for seq in 1..=4 {
            slow.push(world.keep("slow", &format!("s{lane}"), seq, &["x"]).await);
        }
    }
    let _sinks = world.sinks_with(|options| options.prefetch = 64);
    world.publish(&slow.iter().collect::<Vec<_>>()).await;
    let mut last = Vec::new();
    for lane in 0..20 {
        let to = format!("f{lane}");
        world.reply("fast", &to, 1, &["x"]).await;
        last.push(world.reply("fast", &to, 2, &["y"]).await);
    }
    for id in last {
        world.state(id, ReceiptState::Accepted).await;
    }
    assert!(hanging.seen().len() <= 4, "the bound of the channel holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_channels_that_hang_leave_room_for_the_others() {
    let hanging = Provider::new(|_, _| Does::Hangs).await;
    let willing = Provider::willing().await;
    let slow = ["a", "b", "c", "d"].map(|id| Plan::http(id, &hanging.url));
    let world = World::new(
        slow.into_iter()
            .chain([Plan::http("fast", &willing.url)])
            .map(|plan| Plan {
                answer_timeout: Duration::from_secs(50),
                ..plan
            }),
    );
    let _sinks = world.sinks_with(|options| options.prefetch = 16);
    for lane in 0..30 {
        for id in ["a", "b", "c", "d"] {
            world.reply(id, &format!("s{lane}"), 1, &["x"]).await;
        }
    }
    let mut last = Vec::new();
    for lane in 0..20 {
        last.push(world.reply("fast", &format!("f{lane}"), 1, &["x"]).await);
    }
    for id in last {
        world.state(id, ReceiptState::Accepted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_hangs_delays_no_other_of_its_channel() {
    let provider = Provider::new(|seen, _| match &*seen.to {
        "stuck" => Does::Hangs,
        _ => Does::Answers(200, vec![]),
    })
    .await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let _sinks = world.sinks();
    for seq in 1..=30 {
        world.reply("sms", "stuck", seq, &["x"]).await;
    }
    provider.wait(1).await;
    for lane in 0..30 {
        let id = world.reply("sms", &format!("v{lane}"), 1, &["x"]).await;
        world.state(id, ReceiptState::Accepted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_channel_goes_on_where_it_stopped() {
    let provider = Provider::willing().await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let pause = async |reason| {
        let paused = world.store.pause_channel(&channel("sms"), reason).await;
        paused.expect("the store answers");
        let event = Mailbox::Event("channel".to_owned());
        world.bus.nudge(&event, Bytes::new());
    };
    pause(Some("maintenance")).await;
    let _sinks = world.sinks();
    let mut last = world.reply("sms", "ann", 1, &["1"]).await;
    for seq in 2..=40 {
        let text = seq.to_string();
        last = world.reply("sms", "ann", seq, &[&text]).await;
    }
    let parked = world
        .until("all of them parked", || async {
            let parked = world.parked("sms", "ann").await;
            (parked.len() == 40).then_some(parked)
        })
        .await;
    assert_eq!(parked[0], (1, "paused".to_owned()));
    assert_eq!(parked[39], (40, "behind".to_owned()));
    assert!(provider.seen().is_empty());
    let resumed = std::time::Instant::now();
    pause(None).await;
    provider.wait(1).await;
    assert!(resumed.elapsed() < Duration::from_secs(5), "noticed soon");
    world.state(last, ReceiptState::Accepted).await;
    let all: Vec<String> = (1..=40).map(|seq| seq.to_string()).collect();
    assert_eq!(provider.texts("ann"), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_under_way_and_leaves_the_rest() {
    let provider = Provider::new(|_, _| Does::Takes(Duration::from_millis(300))).await;
    let world = World::new([Plan::http("sms", &provider.url)]);
    let sinks = world.sinks();
    let first = world.reply("sms", "ann", 1, &["1"]).await;
    let second = world.reply("sms", "ann", 2, &["2"]).await;
    provider.wait(1).await;
    sinks.stop().await;
    let row = world.message(first).await;
    assert_eq!(row.state, Some(ReceiptState::Accepted));
    assert_eq!(provider.texts("ann"), ["1"]);
    // Its leases are free at once: the next one need not wait until they run out.
    let sinks = world.sinks_with(|options| options.lease_ttl = Duration::from_secs(60));
    world.state(second, ReceiptState::Accepted).await;
    assert_eq!(provider.texts("ann"), ["1", "2"]);
    sinks.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_the_shards_and_keep_the_order() {
    let provider = Provider::new(|_, _| Does::Takes(Duration::from_millis(3))).await;
    let world = Arc::new(World::new([Plan::http("sms", &provider.url)]));
    let one = world.sinks();
    let publishing = tokio::spawn({
        let world = world.clone();
        async move {
            let mut last = Vec::new();
            for seq in 1..=60 {
                last.clear();
                for lane in 0..8 {
                    let text = seq.to_string();
                    last.push(world.reply("sms", &format!("v{lane}"), seq, &[&text]).await);
                }
            }
            last
        }
    });
    provider.wait(20).await;
    let two = world.sinks();
    let half = usize::from(SHARDS / 2);
    for sinks in [&one, &two] {
        world
            .until("half of the shards each", || async {
                let status = sinks.options.status.now();
                (status.ready && status.shards.len() == half).then_some(())
            })
            .await;
    }
    one.stop().await;
    world
        .until("all shards at the one that is left", || async {
            let shards = two.options.status.now().shards;
            (shards.len() == usize::from(SHARDS)).then_some(())
        })
        .await;
    for id in publishing.await.expect("published") {
        world.state(id, ReceiptState::Accepted).await;
    }
    let all: Vec<String> = (1..=60).map(|seq| seq.to_string()).collect();
    for lane in 0..8 {
        assert_eq!(provider.texts(&format!("v{lane}")), all);
    }
}
