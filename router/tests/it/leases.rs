//! Several routers: partitions are shared out and handed over, and who was replaced changes nothing.

use std::{sync::Arc, time::Duration};

use patchbay_message::{Clock as _, ManualClock, SystemClock};
use patchbay_router::RouterOptions;
use patchbay_store::Fence;
use serde_json::Value;

use crate::house::{House, N, house, house_with, options, said, texts, until};

/// The epoch of each partition's lease now; none while nobody holds it. Epochs rise whenever a
/// partition changes hands.
async fn epochs(house: &House) -> Vec<Option<i64>> {
    let mut epochs = Vec::new();
    for p in 0..N {
        let name = format!("inbound.{p}");
        let tried: Vec<Fence> = (1..20)
            .map(|epoch| Fence {
                name: name.clone(),
                epoch,
            })
            .collect();
        let ttl = options().lease_ttl;
        let held = house.store.renew(&tried, ttl).await.unwrap();
        epochs.push(held.first().map(|fence| fence.epoch));
    }
    epochs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_router_takes_its_share_and_order_is_kept_at_every_hand_over() {
    let house = house();
    let first = house.router();
    let visitors = ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"];
    let mut second = None;
    let mut said_so_far = 0;
    for round in 0..4 {
        for n in said_so_far..said_so_far + 50 {
            let batch = visitors
                .iter()
                .map(|visitor| said(visitor, &n.to_string(), &Value::Null));
            house.publish(batch.collect()).await;
        }
        said_so_far += 50;
        match round {
            0 => second = Some(house.router()),
            2 => second.take().unwrap().stop().await,
            _ => {}
        }
    }
    for visitor in visitors {
        let rows = house.history(visitor, 200).await;
        let wanted: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        assert_eq!(texts(&rows), wanted, "{visitor}");
    }
    first.stop().await;
    assert_eq!(epochs(&house).await, [None; 4], "all leases are given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_shared_out_evenly_and_taken_over_from_the_dead() {
    let house = house();
    let first = house.router();
    let before = until("all partitions taken", || async {
        let epochs = epochs(&house).await;
        epochs.iter().all(Option::is_some).then_some(epochs)
    })
    .await;
    let second = house.router();
    until("half of them handed over", || async {
        let now = epochs(&house).await;
        let moved = (before.iter().zip(&now))
            .filter(|(before, now)| now.is_some() && now > before)
            .count();
        (moved == 2 && now.iter().all(Option::is_some)).then_some(())
    })
    .await;
    first.kill().await;
    for visitor in ["v1", "v2", "v3", "v4", "v5", "v6"] {
        house.say(visitor, "still there?").await;
        house.history(visitor, 1).await;
    }
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_was_replaced_while_it_stood_still_changes_nothing() {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let house = house_with(clock.clone());
    // It renews every twelve seconds only: while the store's clock jumps, it stands still.
    let slow = || RouterOptions {
        lease_ttl: Duration::from_secs(60),
        ..options()
    };
    let stale = house.router_on(house.bus.clone(), slow());
    house.say("v1", "one").await;
    house.history("v1", 1).await;
    until("every lease taken", || async {
        stale.status.ready().then_some(())
    })
    .await;
    clock.advance(Duration::from_secs(61));
    let fresh = house.router_on(house.bus.clone(), slow());
    until("the take-over", || async {
        fresh.status.ready().then_some(())
    })
    .await;
    // The stale one still has the subscriptions: it gets this, and may not write it.
    house.say("v1", "two").await;
    let rows = house.history("v1", 2).await;
    assert_eq!(texts(&rows), ["one", "two"]);
    assert_eq!(house.all().await.len(), 1);
    assert_eq!(epochs(&house).await, [Some(2); 4], "the fresh one has them");
    stale.kill().await;
    fresh.stop().await;
}
