//! A contact is answered while a window is open, and never more often than it allows.

use std::time::Duration;

use patchbay_message::{MessageId, ReceiptState, ThreadId, Time};
use patchbay_store::{Changes, ReplyStanding, ReplyWindow};

use crate::{
    provider::{Does, Provider},
    stores,
    world::{Plan, World, channel},
};

fn plans(provider: &Provider) -> [Plan; 1] {
    [Plan::http("sms", &provider.url).windowed()]
}

/// What the router does for a message of ada's.
async fn ada_writes(world: &World, open_for: Duration, quota: u32) {
    let window = ReplyWindow {
        thread: ThreadId::of(&channel("sms"), "ada"),
        message: MessageId::new(),
        ends_at: Some(world.now().plus(open_for)),
        quota: Some(quota),
    };
    world
        .commit(Changes {
            windows: vec![window],
            ..Changes::default()
        })
        .await;
}

async fn standing(world: &World) -> (Option<u32>, Option<Time>) {
    let thread = ThreadId::of(&channel("sms"), "ada");
    let windows = world.store.windows(thread).await.expect("it answers");
    let standing = ReplyStanding::of(&windows, world.now()).expect("ada has written");
    (standing.remaining, standing.until)
}

const LONG: Duration = Duration::from_secs(48 * 3600);

async fn past_the_quota_nothing_is_called(home: stores::Home) {
    let provider = Provider::willing().await;
    let world = home.world(plans(&provider));
    let _sinks = world.sinks();
    ada_writes(&world, LONG, 5).await;
    let mut ids = Vec::new();
    for seq in 1..=6 {
        ids.push(world.reply("sms", "ada", seq, &[&seq.to_string()]).await);
    }
    for id in &ids[..5] {
        world.state(*id, ReceiptState::Accepted).await;
    }
    let refused = world.state(ids[5], ReceiptState::Failed).await;
    let why = refused.reason.expect("a sentence");
    assert!(why.contains("quota is used up"), "{why}");
    assert_eq!(provider.texts("ada"), ["1", "2", "3", "4", "5"]);
    assert_eq!(standing(&world).await.0, Some(0));
    assert_eq!(world.dead().await[0].reason, "window_closed");

    // Another message begins the count anew.
    ada_writes(&world, LONG + LONG, 5).await;
    assert_eq!(standing(&world).await.0, Some(5));
    let again = world.reply("sms", "ada", 7, &["7"]).await;
    world.state(again, ReceiptState::Accepted).await;
    assert_eq!(standing(&world).await.0, Some(4));
}

async fn a_crash_in_the_call_spends_once(home: stores::Home) {
    let provider = Provider::new(|seen, tries| match (seen.text.as_str(), tries) {
        ("lost", 0) => Does::Hangs,
        _ => Does::Answers(200, vec![]),
    })
    .await;
    let world = home.world(plans(&provider));
    ada_writes(&world, LONG, 2).await;
    let dies = world.sinks();
    let lost = world.reply("sms", "ada", 1, &["lost"]).await;
    provider.wait(1).await;
    assert_eq!(standing(&world).await.0, Some(1), "counted before the call");
    dies.kill().await;
    let _survives = world.sinks();
    world.state(lost, ReceiptState::Unknown).await;
    assert_eq!(standing(&world).await.0, Some(1), "it may have arrived");
    let next = world.reply("sms", "ada", 2, &["next"]).await;
    world.state(next, ReceiptState::Accepted).await;
    let over = world.reply("sms", "ada", 3, &["over"]).await;
    world.state(over, ReceiptState::Failed).await;
    assert_eq!(provider.texts("ada"), ["lost", "next"]);
}

stores::on_both!(
    past_the_quota_nothing_is_called,
    a_crash_in_the_call_spends_once,
);

#[tokio::test]
async fn without_a_window_nothing_is_called() {
    let provider = Provider::willing().await;
    let world = World::new(plans(&provider));
    let _sinks = world.sinks();
    let never = world.reply("sms", "bob", 1, &["hello"]).await;
    ada_writes(&world, Duration::ZERO, 5).await;
    let ended = world.reply("sms", "ada", 1, &["hello"]).await;
    for id in [never, ended] {
        let row = world.state(id, ReceiptState::Failed).await;
        let why = row.reason.expect("a sentence");
        assert!(why.contains("window is closed"), "{why}");
    }
    assert_eq!(provider.seen(), []);
}

#[tokio::test]
async fn a_message_tried_again_spends_once_and_one_refused_nothing() {
    let provider = Provider::new(|seen, tries| match (seen.text.as_str(), tries) {
        ("later", 0 | 1) => Does::Answers(503, vec![]),
        ("no", _) => Does::Answers(400, vec![]),
        _ => Does::Answers(200, vec![]),
    })
    .await;
    for keyed in [false, true] {
        let mut plan = Plan::http("sms", &provider.url).windowed();
        plan.keyed = keyed;
        let world = World::new([plan]);
        let _sinks = world.sinks();
        ada_writes(&world, LONG, 2).await;
        let refused = world.reply("sms", "ada", 1, &["no"]).await;
        world.state(refused, ReceiptState::Failed).await;
        assert_eq!(standing(&world).await.0, Some(2), "given back");
        let later = world.reply("sms", "ada", 2, &["later"]).await;
        world.state(later, ReceiptState::Accepted).await;
        assert_eq!(
            standing(&world).await.0,
            Some(1),
            "three calls, one message"
        );
    }
}

#[tokio::test]
async fn each_part_of_a_message_counts() {
    let provider = Provider::willing().await;
    let world = World::new(plans(&provider));
    let _sinks = world.sinks();
    ada_writes(&world, LONG, 3).await;
    ada_writes(&world, Duration::from_secs(3600), 1).await;
    let (remaining, until) = standing(&world).await;
    assert_eq!(remaining, Some(4));
    assert!(until > Some(world.now().plus(LONG / 2)));
    let id = world.reply("sms", "ada", 1, &["a", "b", "c"]).await;
    world.state(id, ReceiptState::Accepted).await;
    assert_eq!(standing(&world).await.0, Some(1));
    let thread = ThreadId::of(&channel("sms"), "ada");
    let windows = world.store.windows(thread).await.expect("it answers");
    let spent: Vec<usize> = windows.iter().map(|now| now.spent.len()).collect();
    assert_eq!(spent, [1, 2], "the one that ends first is spent first");
}
