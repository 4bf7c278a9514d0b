//! Exclusive duties.

use std::time::{Duration, Instant};

use patchbay_message::InstanceId;
use patchbay_store::Fence;

use crate::world::{Dyn, LONG};

pub(crate) async fn a_free_lease_is_taken_once(store: &Dyn) {
    let tries = (0..16).map(|_| async { store.lease("inbound.3", &InstanceId::new(), LONG).await });
    let taken = futures_util::future::join_all(tries).await;
    let won = taken
        .into_iter()
        .filter_map(|answer| answer.expect("the store answers"))
        .count();
    assert_eq!(won, 1, "exactly one of sixteen gets the lease");
}

pub(crate) async fn its_owner_keeps_the_epoch(store: &Dyn) {
    let (me, other) = (InstanceId::new(), InstanceId::new());
    let first = store.lease("timers", &me, LONG).await.unwrap().unwrap();
    let again = store.lease("timers", &me, LONG).await.unwrap();
    assert_eq!(again, Some(first.clone()), "renewed, not taken over");
    assert_eq!(store.lease("timers", &other, LONG).await.unwrap(), None);

    let stale = Fence {
        epoch: first.epoch - 1,
        ..first.clone()
    };
    let held = store.renew(&[first.clone(), stale], LONG).await.unwrap();
    assert_eq!(held, [first.clone()], "only the true epoch is renewed");

    store.release(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(
        store
            .renew(std::slice::from_ref(&first), LONG)
            .await
            .unwrap(),
        [],
        "what was given up is held no more"
    );
    let next = store.lease("timers", &other, LONG).await.unwrap().unwrap();
    assert!(next.epoch > first.epoch, "a new holder, a higher epoch");
}

pub(crate) async fn an_expired_lease_changes_hands_with_a_higher_epoch(store: &Dyn) {
    let (me, other) = (InstanceId::new(), InstanceId::new());
    let ttl = Duration::from_millis(200);
    let mine = store.lease("outbox", &me, ttl).await.unwrap().unwrap();
    let theirs = until_taken(store, "outbox", &other).await;
    assert!(theirs.epoch > mine.epoch);
    assert_eq!(
        store.renew(&[mine], LONG).await.unwrap(),
        [],
        "the old holder cannot renew"
    );
}

/// Tries until the lease is free; fails after ten seconds.
pub(crate) async fn until_taken(store: &Dyn, name: &str, who: &InstanceId) -> Fence {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(fence) = store.lease(name, who, LONG).await.unwrap() {
            return fence;
        }
        assert!(Instant::now() < deadline, "lease {name} never became free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
