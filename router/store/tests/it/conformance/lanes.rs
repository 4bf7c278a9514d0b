//! Lanes: order, what is parked, what was begun.

use std::time::Duration;

use patchbay_message::{ChannelId, InstanceId, MessageId, ThreadId, Time};
use patchbay_store::{
    Attempt, AttemptOpen, Changes, CommitError, Committed, LaneDone, LiveChange, Park, Parked,
};
use serde_json::json;

use crate::world::{Dyn, now, race, until, web};

const SHARD: u16 = 4;

fn done(lane: ThreadId, out_seq: u64) -> LaneDone {
    LaneDone { lane, out_seq }
}

fn park(lane: ThreadId, out_seq: u64, due: Time) -> Park {
    Park {
        id: MessageId::new(),
        lane,
        out_seq,
        shard: SHARD,
        channel: web(),
        due,
        reason: "retry",
        detail: Some("the provider was busy".to_owned()),
        attempts: 2,
        envelope: format!("{{\"n\":{out_seq}}}").into(),
    }
}

fn as_parked(park: &Park) -> Parked {
    Parked {
        id: park.id,
        lane: park.lane,
        out_seq: park.out_seq,
        due: park.due,
        reason: park.reason.to_owned(),
        attempts: park.attempts,
        envelope: park.envelope.clone(),
    }
}

async fn perform(store: &Dyn, lane: ThreadId, numbers: &[u64]) -> Result<Committed, CommitError> {
    let changes = Changes {
        lanes_done: numbers.iter().map(|n| done(lane, *n)).collect(),
        ..Changes::default()
    };
    store.commit(changes).await
}

async fn put(store: &Dyn, rows: &[Park]) {
    let changes = Changes {
        park: rows.to_vec(),
        ..Changes::default()
    };
    store.commit(changes).await.expect("is parked");
}

async fn due_ids(store: &Dyn, now: Time) -> Vec<MessageId> {
    let due = store.due(SHARD, now, 100).await.unwrap();
    due.iter().map(|row| row.id).collect()
}

pub(crate) async fn perform_their_next_number_only(store: &Dyn) {
    let lane = ThreadId::new();
    assert_eq!(
        store.lanes(&[lane]).await.unwrap()[0].done,
        0,
        "never used: at zero"
    );
    for wrong in [&[2][..], &[0], &[1, 3]] {
        let refused = perform(store, lane, wrong).await.unwrap_err();
        assert!(
            matches!(refused, CommitError::Conflict(_)),
            "{wrong:?}: {refused}"
        );
    }
    assert_eq!(store.lanes(&[lane]).await.unwrap()[0].done, 0);
    perform(store, lane, &[1]).await.unwrap();
    perform(store, lane, &[2, 3]).await.unwrap();
    for wrong in [3, 5, 1] {
        let refused = perform(store, lane, &[wrong]).await.unwrap_err();
        assert!(
            matches!(refused, CommitError::Conflict(_)),
            "{wrong}: {refused}"
        );
    }
    assert_eq!(store.lanes(&[lane]).await.unwrap()[0].done, 3);
}

pub(crate) async fn one_of_many_performs_a_number(store: &Dyn) {
    let lane = ThreadId::new();
    for n in 1..=3 {
        let commits = (0..8).map(|_| Changes {
            lanes_done: vec![done(lane, n)],
            ..Changes::default()
        });
        assert_eq!(race(store, commits.collect()).await, 1, "number {n}");
    }
}

pub(crate) async fn only_the_first_parked_is_due(store: &Dyn) {
    let (lane, other) = (ThreadId::new(), ThreadId::new());
    let at = now();
    let later = at.plus(Duration::from_secs(60));
    let rows = [park(lane, 1, at), park(lane, 2, at), park(lane, 3, at)];
    let gap = park(other, 2, at);
    put(store, &rows).await;
    put(store, std::slice::from_ref(&gap)).await;
    assert_eq!(
        due_ids(store, at).await,
        [rows[0].id],
        "one of the lane, none past a gap"
    );
    assert_eq!(due_ids(store, at.minus(Duration::from_millis(1))).await, []);
    assert_eq!(
        store.due(SHARD + 1, later, 100).await.unwrap(),
        [],
        "another shard's"
    );

    let facts = store.lanes(&[lane, other]).await.unwrap();
    assert_eq!((facts[0].lane, facts[0].parked), (lane, 3));
    assert_eq!((facts[0].first_parked, facts[0].due), (Some(1), Some(at)));
    assert_eq!(facts[1].first_parked, Some(2));

    // The first is put off: the second must not overtake it.
    let put_off = Park {
        due: later,
        ..rows[0].clone()
    };
    put(store, &[put_off]).await;
    assert_eq!(due_ids(store, at).await, []);

    // Done: the next one's turn, in both lanes.
    perform(store, lane, &[1]).await.unwrap();
    perform(store, other, &[1]).await.unwrap();
    let mut expected = [as_parked(&rows[1]), as_parked(&gap)];
    expected.sort_by_key(|row| row.lane);
    assert_eq!(store.due(SHARD, at, 100).await.unwrap(), expected);
    assert_eq!(store.due(SHARD, at, 1).await.unwrap().len(), 1);

    // Both at once: done and taken out, and the one behind it is due.
    let changes = Changes {
        unpark: vec![rows[1].id],
        lanes_done: vec![done(lane, 2)],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    assert!(due_ids(store, at).await.contains(&rows[2].id));
}

pub(crate) async fn what_is_parked_again_is_one_row(store: &Dyn) {
    let lane = ThreadId::new();
    let first = park(lane, 1, now());
    put(store, std::slice::from_ref(&first)).await;
    let again = Park {
        due: first.due.plus(Duration::from_secs(5)),
        attempts: 3,
        reason: "throttled",
        ..first.clone()
    };
    put(store, std::slice::from_ref(&again)).await;
    assert_eq!(store.parked(lane, 10).await.unwrap(), [as_parked(&again)]);

    let same_number = Changes {
        park: vec![park(lane, 1, now())],
        ..Changes::default()
    };
    let refused = store.commit(same_number).await.unwrap_err();
    assert!(
        matches!(refused, CommitError::Conflict(_)),
        "another message's number: {refused}"
    );
    let behind = park(lane, 2, now());
    put(store, std::slice::from_ref(&behind)).await;
    assert_eq!(
        store.parked(lane, 1).await.unwrap().len(),
        1,
        "at most so many"
    );
    let out = Changes {
        unpark: vec![again.id],
        ..Changes::default()
    };
    store.commit(out).await.unwrap();
    assert_eq!(store.parked(lane, 10).await.unwrap(), [as_parked(&behind)]);
}

pub(crate) async fn what_is_done_is_parked_no_more(store: &Dyn) {
    let lane = ThreadId::new();
    let first = park(lane, 1, now());
    put(store, std::slice::from_ref(&first)).await;
    perform(store, lane, &[1]).await.unwrap();
    assert_eq!(store.parked(lane, 10).await.unwrap(), []);
    let too_late = Changes {
        park: vec![first],
        ..Changes::default()
    };
    let refused = store.commit(too_late).await.unwrap_err();
    assert!(
        matches!(refused, CommitError::Conflict(_)),
        "it would wait for ever: {refused}"
    );
}

pub(crate) async fn attempts_are_kept_until_the_number_is_done(store: &Dyn) {
    let (lane, message) = (ThreadId::new(), MessageId::new());
    let open = |part| AttemptOpen {
        message,
        lane,
        out_seq: 1,
        part,
        epoch: 7,
        spends: None,
    };
    let attempt = |part, exchange| Attempt {
        message,
        part,
        exchange,
    };
    let begun = Changes {
        attempts: vec![open(0), open(1)],
        attempts_done: vec![(message, 0, json!({"status": 200}))],
        ..Changes::default()
    };
    store.commit(begun).await.unwrap();
    let attempts = async || store.lanes(&[lane]).await.unwrap().remove(0).attempts;
    let answered = attempt(0, Some(json!({"status": 200})));
    assert_eq!(
        attempts().await,
        [answered.clone(), attempt(1, None)],
        "part 1 is not known"
    );

    let answer = Changes {
        attempts_done: vec![(message, 1, json!({"status": 429}))],
        ..Changes::default()
    };
    store.commit(answer).await.unwrap();
    let limited = attempt(1, Some(json!({"status": 429})));
    assert_eq!(attempts().await, [answered.clone(), limited]);
    let anew = Changes {
        attempts: vec![open(1)],
        ..Changes::default()
    };
    store.commit(anew).await.unwrap();
    assert_eq!(
        attempts().await,
        [answered, attempt(1, None)],
        "begun anew: not known again"
    );

    perform(store, lane, &[1]).await.unwrap();
    assert_eq!(attempts().await, []);
}

pub(crate) async fn a_bucket_is_shared_and_refills(store: &Dyn) {
    let (slow, fast) = (web(), ChannelId::new("sms").unwrap());
    // So slow that nothing comes back while the test runs.
    let rate = 0.001;
    let takes = (0..10).map(|_| {
        let (store, slow) = (Dyn::clone(store), slow.clone());
        tokio::spawn(async move { store.take(&slow, rate, 8, 3).await.unwrap() })
    });
    let taken = futures_util::future::join_all(takes).await;
    let granted: u32 = taken.into_iter().map(|task| task.unwrap().0).sum();
    assert_eq!(granted, 8, "all together get the burst and no more");
    let (none, wait) = store.take(&slow, rate, 8, 1).await.unwrap();
    assert_eq!(none, 0);
    assert!(
        wait > Duration::from_secs(900) && wait <= Duration::from_secs(1000),
        "{wait:?}"
    );

    let (granted, _) = store.take(&fast, 50.0, 2, 5).await.unwrap();
    assert_eq!(granted, 2, "channels do not share");
    until("the bucket fills again", || async {
        let (granted, wait) = store.take(&fast, 50.0, 2, 1).await.unwrap();
        assert!(wait <= Duration::from_millis(20), "{wait:?}");
        (granted == 1).then_some(())
    })
    .await;
}

pub(crate) async fn live_connections_come_and_go(store: &Dyn) {
    let (thread, nobody) = (ThreadId::new(), ThreadId::new());
    let gateway = InstanceId::new();
    let change = |on| Changes {
        live: vec![LiveChange {
            thread,
            gateway: gateway.clone(),
            on,
        }],
        ..Changes::default()
    };
    store.commit(change(true)).await.unwrap();
    store.commit(change(true)).await.unwrap();
    let live = store.live(&[thread, nobody]).await.unwrap();
    assert_eq!(live, [(thread, gateway.clone())]);
    assert_eq!(
        store.lanes(&[thread]).await.unwrap()[0].gateways,
        std::slice::from_ref(&gateway)
    );
    store.commit(change(false)).await.unwrap();
    assert_eq!(store.live(&[thread]).await.unwrap(), []);
}

pub(crate) async fn resuming_a_channel_makes_its_parked_due(store: &Dyn) {
    let far = now().plus(Duration::from_secs(3600));
    let paused = Park {
        reason: "paused",
        ..park(ThreadId::new(), 1, far)
    };
    let retried = park(ThreadId::new(), 1, far);
    put(store, &[paused.clone(), retried]).await;
    store
        .pause_channel(&web(), Some("maintenance"))
        .await
        .unwrap();
    assert_eq!(due_ids(store, now()).await, []);
    store.pause_channel(&web(), None).await.unwrap();
    until("the paused one is due", || async {
        (due_ids(store, now()).await == [paused.id]).then_some(())
    })
    .await;
}
