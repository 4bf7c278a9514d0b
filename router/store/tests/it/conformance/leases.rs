//! Exclusive duties.

use std::time::Duration;

use patchbay_message::InstanceId;
use patchbay_store::{Changes, ConversationState, Fence, LiveChange};

use crate::world::{Dyn, LONG, talk, until};

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
    assert_eq!(
        held,
        std::slice::from_ref(&first),
        "only the true epoch is renewed"
    );

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

pub(crate) async fn its_owner_may_be_late_if_nobody_came(store: &Dyn) {
    let me = InstanceId::new();
    let ttl = Duration::from_millis(1);
    let mine = store.lease("assigner", &me, ttl).await.unwrap().unwrap();
    // Past its end for sure: another lease of the same length has been taken over meanwhile.
    store
        .lease("other", &InstanceId::new(), ttl)
        .await
        .unwrap()
        .unwrap();
    until_taken(store, "other", &InstanceId::new()).await;
    assert_eq!(
        store
            .renew(std::slice::from_ref(&mine), LONG)
            .await
            .unwrap(),
        std::slice::from_ref(&mine)
    );
    assert_eq!(
        store
            .lease("assigner", &InstanceId::new(), LONG)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        store.lease("assigner", &me, LONG).await.unwrap(),
        Some(mine)
    );
}

pub(crate) async fn who_beats_is_counted_by_role(store: &Dyn) {
    let (a, b) = (InstanceId::new(), InstanceId::new());
    assert_eq!(store.beat(&a, "router", LONG).await.unwrap(), 1);
    assert_eq!(
        store.beat(&a, "router", LONG).await.unwrap(),
        1,
        "the same one again"
    );
    assert_eq!(store.beat(&b, "router", LONG).await.unwrap(), 2);
    assert_eq!(
        store.beat(&b, "sinks", LONG).await.unwrap(),
        1,
        "roles are counted apart"
    );
    store.leave(&a).await.unwrap();
    assert_eq!(
        store.beat(&b, "router", LONG).await.unwrap(),
        1,
        "who left is not counted"
    );
    let short = Duration::from_millis(50);
    store
        .beat(&InstanceId::new(), "router", short)
        .await
        .unwrap();
    until("the silent one is forgotten", || async {
        (store.beat(&b, "router", LONG).await.unwrap() == 1).then_some(())
    })
    .await;
}

pub(crate) async fn leaving_gives_everything_back(store: &Dyn) {
    let (me, other) = (InstanceId::new(), InstanceId::new());
    let visitor = talk(store, "ada", ConversationState::Open).await.thread.id;
    let mine = store.lease("outbound.1", &me, LONG).await.unwrap().unwrap();
    let theirs = store
        .lease("outbound.2", &other, LONG)
        .await
        .unwrap()
        .unwrap();
    let on = |gateway: &InstanceId| LiveChange {
        thread: visitor,
        gateway: gateway.clone(),
        on: true,
    };
    let live = Changes {
        live: vec![on(&me), on(&other)],
        ..Changes::default()
    };
    store.commit(live).await.unwrap();

    store.leave(&me).await.unwrap();

    assert_eq!(
        store.live(&[visitor]).await.unwrap(),
        [(visitor, other.clone())]
    );
    let held = store
        .renew(&[mine.clone(), theirs.clone()], LONG)
        .await
        .unwrap();
    assert_eq!(held, [theirs], "the other one keeps its own");
    let next = store
        .lease("outbound.1", &other, LONG)
        .await
        .unwrap()
        .unwrap();
    assert!(next.epoch > mine.epoch);
}

/// Tries until the lease is free; fails after ten seconds.
pub(crate) async fn until_taken(store: &Dyn, name: &str, who: &InstanceId) -> Fence {
    until(name, || async {
        store.lease(name, who, LONG).await.unwrap()
    })
    .await
}
