//! One token for all: two workers over one store, and a provider that counts who fetches.

use std::{sync::atomic::Ordering, time::Duration};

use patchbay_message::{MessageId, ReceiptState, ThreadId};
use serde_json::json;

use crate::{
    guarded::Guard,
    stores,
    world::{Plan, World, channel},
};

const CONTACTS: u64 = 24;

fn plans(guard: &Guard) -> [Plan; 2] {
    ["one", "two"].map(|id| Plan::of(id, guard.channel("acme")))
}

/// A text to each of many contacts on both channels.
async fn write_to_all(world: &World, round: u64) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for n in 0..CONTACTS {
        for on in ["one", "two"] {
            let text = format!("{on} {n:02} {round}");
            ids.push(world.reply(on, &format!("c{n}"), round, &[&text]).await);
        }
    }
    ids
}

async fn all_sent(world: &World, ids: &[MessageId]) {
    for id in ids {
        let row = world.state(*id, ReceiptState::Sent).await;
        assert_eq!(row.attempts, 1, "waiting for a token is no try");
    }
}

/// Everything that was written, once each.
fn written(rounds: u64) -> Vec<String> {
    let mut texts = Vec::new();
    for on in ["one", "two"] {
        for n in 0..CONTACTS {
            texts.extend((1..=rounds).map(|round| format!("{on} {n:02} {round}")));
        }
    }
    texts
}

async fn two_workers_fetch_once(home: stores::Home) {
    let guard = Guard::new().await;
    guard.state.slow_ms.store(200, Ordering::SeqCst);
    let world = home.world(plans(&guard));
    let workers = [world.sinks(), world.sinks()];
    let ids = write_to_all(&world, 1).await;
    all_sent(&world, &ids).await;
    assert_eq!(guard.fetches(), (1, 0));
    assert_eq!(guard.refused(), 0);

    // The next process finds it in the store.
    for worker in workers {
        worker.stop().await;
    }
    let _again = world.sinks();
    let ids = write_to_all(&world, 2).await;
    all_sent(&world, &ids).await;
    assert_eq!(guard.fetches(), (1, 0), "kept over a restart");
    assert_eq!(guard.texts(), written(2));
}

async fn a_token_refused_in_flight_is_renewed_once(home: stores::Home) {
    let guard = Guard::new().await;
    guard.state.slow_ms.store(100, Ordering::SeqCst);
    guard.state.revoke_after.store(10, Ordering::SeqCst);
    let world = home.world(plans(&guard));
    let _workers = [world.sinks(), world.sinks()];
    let ids = write_to_all(&world, 1).await;
    all_sent(&world, &ids).await;
    assert!(guard.refused() > 0, "somebody met the refusal");
    assert_eq!(guard.fetches(), (2, 1), "however many were refused");
    assert_eq!(guard.texts(), written(1), "each of them once");
}

async fn who_dies_over_a_fetch_holds_nobody_up_for_long(home: stores::Home) {
    let guard = Guard::new().await;
    guard.state.hangs.store(true, Ordering::SeqCst);
    let world = home.world(plans(&guard));
    let short = |options: &mut patchbay_sinks::SinksOptions| {
        options.tokens.claim_ttl = Duration::from_millis(3500);
        options.tokens.fetch_timeout = Duration::from_secs(3);
        options.tokens.wait_max = Duration::from_millis(200);
    };
    let dies = world.sinks_with(short);
    let ids = write_to_all(&world, 1).await;
    world
        .until("a fetch", || async {
            (guard.fetches().0 == 1).then_some(())
        })
        .await;
    dies.kill().await;
    let _survives = world.sinks_with(short);
    all_sent(&world, &ids).await;
    assert_eq!(guard.fetches(), (2, 0), "one died, one did it");
    assert!(
        guard.pauses()[0] > Duration::from_secs(1),
        "nobody else meanwhile"
    );
    assert_eq!(guard.texts(), written(1));
}

/// Whatever was refused for its token has not arrived: whoever reads of it in the journal later sends
/// it, and does not take it for one whose answer is not known. It met so many 503 before.
async fn refused_and_handed_over(home: stores::Home, breaks: u32) {
    let guard = Guard::new().await;
    let world = home.world(plans(&guard));
    let slow = |options: &mut patchbay_sinks::SinksOptions| {
        options.tokens.renew_every = Duration::from_secs(3);
    };
    let worker = world.sinks_with(slow);
    let first = world.reply("one", "ada", 1, &["1"]).await;
    world.state(first, ReceiptState::Sent).await;
    guard.revoke();
    let second = world.reply("one", "ada", 2, &["2"]).await;
    world.state(second, ReceiptState::Sent).await;
    guard.state.breaks.store(breaks, Ordering::SeqCst);
    if breaks == 0 {
        guard.revoke();
    }
    let refused = guard.refused();
    let third = world.reply("one", "ada", 3, &["3"]).await;
    world
        .until("it to wait for a token", || async {
            let waits = world.parked("one", "ada").await == [(3, "retry".to_owned())];
            (waits && guard.refused() > refused).then_some(())
        })
        .await;
    worker.stop().await;
    let _next = world.sinks_with(slow);
    let row = world.state(third, ReceiptState::Sent).await;
    assert_eq!(row.attempts, breaks + 1);
    assert_eq!(guard.texts(), ["1", "2", "3"]);
}

async fn a_message_refused_for_its_token_is_sent_by_the_next_worker(home: stores::Home) {
    refused_and_handed_over(home, 0).await;
}

async fn a_message_that_failed_and_was_refused_for_its_token_is_sent(home: stores::Home) {
    refused_and_handed_over(home, 1).await;
}

stores::on_both!(
    a_message_refused_for_its_token_is_sent_by_the_next_worker,
    a_message_that_failed_and_was_refused_for_its_token_is_sent,
    two_workers_fetch_once,
    a_token_refused_in_flight_is_renewed_once,
    who_dies_over_a_fetch_holds_nobody_up_for_long,
);

#[tokio::test]
async fn a_token_is_refreshed_before_it_ends() {
    let guard = Guard::new().await;
    guard.state.life_ms.store(6000, Ordering::SeqCst);
    let world = World::new(plans(&guard));
    let _worker = world.sinks();
    let mut round = 0;
    while guard.fetches().0 < 2 {
        round += 1;
        let id = world.reply("one", "ada", round, &["hello"]).await;
        all_sent(&world, &[id]).await;
    }
    assert_eq!(guard.refused(), 0, "no message met a token that had ended");
    assert_eq!(guard.fetches().1, 0, "refreshing is no renewal");
    for pause in guard.pauses() {
        let early = Duration::from_secs(5)..Duration::from_secs(6);
        assert!(early.contains(&pause), "{pause:?}");
    }
}

#[tokio::test]
async fn failures_are_tried_again_with_growing_pauses() {
    let guard = Guard::new().await;
    guard.state.failing.store(2, Ordering::SeqCst);
    let world = World::new(plans(&guard));
    let _worker = world.sinks();
    let ids = write_to_all(&world, 1).await;
    world
        .until("a message waits", || async {
            let parked = world.parked("one", "c0").await;
            parked.contains(&(1, "retry".to_owned())).then_some(())
        })
        .await;
    all_sent(&world, &ids).await;
    assert_eq!(guard.fetches(), (3, 0), "however many wait");
    let pauses = guard.pauses();
    assert!(pauses[0] >= Duration::from_secs(1), "{pauses:?}");
    assert!(pauses[1] >= Duration::from_secs(2), "{pauses:?}");
}

#[tokio::test]
async fn a_wrong_account_pauses_the_channel_and_says_why() {
    let guard = Guard::new().await;
    guard.state.failing.store(1, Ordering::SeqCst);
    guard.state.status.store(403, Ordering::SeqCst);
    let world = World::new(plans(&guard));
    let _worker = world.sinks();
    let id = world.reply("one", "ada", 1, &["hello"]).await;
    let why = world
        .until("the channel is paused", || async {
            let states = world.store.channel_states().await.expect("it answers");
            states.into_iter().find_map(|state| state.paused)
        })
        .await;
    assert!(why.contains("the secret is wrong"), "{why}");
    assert_eq!(guard.fetches().0, 1);
    let resumed = world.store.pause_channel(&channel("one"), None).await;
    resumed.expect("the store answers");
    world.state(id, ReceiptState::Sent).await;
    assert_eq!(guard.fetches().0, 2);
}

#[tokio::test]
async fn a_token_refused_again_waits_and_is_not_forced_again_and_again() {
    let guard = Guard::new().await;
    let world = World::new(plans(&guard));
    let _worker = world.sinks_with(|options| {
        // Counted from the fetch's claim, which the provider sees a little later.
        options.tokens.renew_every = Duration::from_secs(2);
    });
    let first = world.reply("one", "ada", 1, &["hello"]).await;
    world.state(first, ReceiptState::Sent).await;
    for round in 2..=4 {
        guard.revoke();
        let id = world.reply("one", "ada", round, &["hello"]).await;
        world.state(id, ReceiptState::Sent).await;
    }
    assert_eq!(guard.fetches(), (4, 3));
    let pauses = guard.pauses();
    let far = |pause: &Duration| *pause >= Duration::from_secs(1);
    assert!(pauses[1..].iter().all(far), "{pauses:?}");
}

#[tokio::test]
async fn a_token_is_kept_nowhere_but_in_its_row() {
    let guard = Guard::new().await;
    let world = World::new(plans(&guard));
    let _worker = world.sinks();
    let good = world.reply("one", "ada", 1, &["hello"]).await;
    world.state(good, ReceiptState::Sent).await;
    let bad = world.reply("one", "ada", 2, &["no"]).await;
    let row = world.state(bad, ReceiptState::Failed).await;
    let dead = world.dead().await;
    assert_eq!(
        dead[0].exchange,
        Some(json!({ "status": 400, "body_bytes": 2 }))
    );
    let lane = ThreadId::of(&channel("one"), "ada");
    let lanes = world.store.lanes(&[lane]).await.expect("it answers");
    let events = world.store.events(0, 100).await.expect("it answers");
    let kept = format!("{row:?} {dead:?} {lanes:?} {events:?}");
    assert!(!kept.contains("token-number"), "{kept}");
    let token = world.store.provider_token("guarded:acme").await;
    let token = token.expect("it answers").expect("it is there");
    assert_eq!(token.value.as_deref(), Some("token-number-1"));
}
