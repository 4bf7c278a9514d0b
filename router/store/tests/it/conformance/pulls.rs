//! How far lines of providers have been pulled.

use std::time::Duration;

use patchbay_message::InstanceId;
use patchbay_store::{Changes, CommitError, Fence, PullNow, PullSaved};

use crate::world::{Dyn, LONG, lease, until};

const PULL: &str = "pull.kf.wk1";

async fn read(store: &Dyn) -> PullNow {
    store.pull(PULL).await.expect("the store answers")
}

async fn save(
    store: &Dyn,
    fence: &Fence,
    cursor: &str,
    served: Option<u64>,
) -> Result<(), CommitError> {
    let saved = PullSaved {
        pull: PULL.to_owned(),
        cursor: cursor.to_owned(),
        served,
    };
    let changes = Changes {
        fences: vec![fence.clone()],
        pulled: vec![saved],
        ..Changes::default()
    };
    store.commit(changes).await.map(|_| ())
}

pub(crate) async fn are_at_their_beginning_first(store: &Dyn) {
    assert_eq!(read(store).await, PullNow::default());
    let fence = lease(store, PULL).await;
    save(store, &fence, "c1", None).await.expect("saved");
    let now = read(store).await;
    assert_eq!((now.cursor.as_deref(), now.rung), (Some("c1"), 0));
    let other = store.pull("pull.kf.wk2").await.expect("the store answers");
    assert_eq!(
        other,
        PullNow::default(),
        "lines know nothing of each other"
    );
}

pub(crate) async fn rings_are_counted_and_served(store: &Dyn) {
    let fence = lease(store, PULL).await;
    for hint in [Some("t1"), None, Some("t2"), None] {
        store.ring(PULL, hint).await.expect("rung");
    }
    let now = read(store).await;
    assert_eq!((now.rung, now.served, now.cursor), (4, 0, None));
    assert_eq!(now.hint.as_deref(), Some("t2"), "the newest that was given");
    assert!(now.rung_ago.expect("it was rung for") < LONG);
    save(store, &fence, "c1", None).await.expect("saved");
    assert_eq!(read(store).await.served, 0, "there is more to come");
    save(store, &fence, "c2", Some(4)).await.expect("saved");
    save(store, &fence, "c3", Some(3)).await.expect("saved");
    let now = read(store).await;
    assert_eq!((now.rung, now.served), (4, 4), "what was served stays so");
    store.ring(PULL, None).await.expect("rung");
    let now = read(store).await;
    assert_eq!((now.rung, now.served), (5, 4));
    assert_eq!(now.cursor.as_deref(), Some("c3"), "a ring moves no cursor");
    let shown = format!("{now:?}");
    assert!(!shown.contains("c3") && !shown.contains("t2"), "{shown}");
}

pub(crate) async fn a_stale_puller_moves_nothing(store: &Dyn) {
    let ttl = Duration::from_millis(50);
    let stale = store.lease(PULL, &InstanceId::new(), ttl).await;
    let stale = stale.expect("the store answers").expect("it is free");
    save(store, &stale, "old", None).await.expect("saved");
    let next = InstanceId::new();
    let fence = until("the lease has run out", || async {
        store.lease(PULL, &next, LONG).await.expect("it answers")
    })
    .await;
    save(store, &fence, "new", None).await.expect("saved");
    let refused = save(store, &stale, "stale", Some(9)).await;
    assert!(
        matches!(refused, Err(CommitError::Fenced(_))),
        "{refused:?}"
    );
    let now = read(store).await;
    assert_eq!((now.cursor.as_deref(), now.served), (Some("new"), 0));
}
