//! Times, to the millisecond: the clock of this backend can be stopped.

use std::{sync::Arc, time::Duration};

use patchbay_message::{InstanceId, ManualClock, Time};
use patchbay_store::{SqliteOptions, SqliteStore};

use crate::world::{Dyn, event, web};

fn stopped() -> (Dyn, Arc<ManualClock>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Time::from_ms(1_000_000)));
    let options = SqliteOptions {
        clock: Arc::<ManualClock>::clone(&clock),
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    (store, clock, folder)
}

#[tokio::test]
async fn a_lease_is_free_when_its_time_is_over_and_not_before() {
    let (store, clock, _folder) = stopped();
    let ttl = Duration::from_secs(15);
    let (me, other) = (InstanceId::new(), InstanceId::new());
    let mine = store.lease("timers", &me, ttl).await.unwrap().unwrap();
    clock.advance(Duration::from_millis(14_999));
    assert_eq!(store.lease("timers", &other, ttl).await.unwrap(), None);
    assert_eq!(
        store
            .renew(std::slice::from_ref(&mine), ttl)
            .await
            .unwrap()
            .len(),
        1
    );
    clock.advance(Duration::from_millis(14_999));
    assert_eq!(
        store.lease("timers", &other, ttl).await.unwrap(),
        None,
        "it was renewed"
    );
    clock.advance(Duration::from_millis(1));
    let theirs = store.lease("timers", &other, ttl).await.unwrap().unwrap();
    assert_eq!(theirs.epoch, mine.epoch + 1);
}

#[tokio::test]
async fn a_bucket_gives_its_rate() {
    let (store, clock, _folder) = stopped();
    let take = async |n| store.take(&web(), 10.0, 5, n).await.unwrap();
    assert_eq!(take(5).await, (5, Duration::from_millis(100)));
    clock.advance(Duration::from_millis(99));
    assert_eq!(take(1).await, (0, Duration::from_millis(1)));
    clock.advance(Duration::from_millis(1));
    assert_eq!(take(1).await.0, 1);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(
        take(100).await.0,
        5,
        "no more than the burst after an idle hour"
    );
    let closed = store.take(&web(), 0.0, 5, 1).await.unwrap();
    assert_eq!(
        closed,
        (0, Duration::from_secs(3600)),
        "a rate of zero gives nothing"
    );
}

#[tokio::test]
async fn events_bear_the_time_of_their_commit() {
    let (store, clock, _folder) = stopped();
    for n in 0..3 {
        let changes = patchbay_store::Changes {
            events: vec![event(n)],
            ..patchbay_store::Changes::default()
        };
        store.commit(changes).await.unwrap();
        clock.advance(Duration::from_millis(7));
    }
    let events = store.events(0, 10).await.unwrap();
    let times: Vec<_> = events.iter().map(|event| event.at.as_ms()).collect();
    assert_eq!(times, [1_000_000, 1_000_007, 1_000_014]);
}
