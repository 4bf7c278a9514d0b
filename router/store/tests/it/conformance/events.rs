//! The event log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use patchbay_store::{Changes, Fence, Retention};

use crate::world::{Dyn, event, until};

fn events(numbers: impl IntoIterator<Item = u64>) -> Changes {
    Changes {
        events: numbers.into_iter().map(event).collect(),
        ..Changes::default()
    }
}

fn impossible() -> Changes {
    Changes {
        fences: vec![Fence {
            name: "nobody's".to_owned(),
            epoch: 1,
        }],
        ..events([0])
    }
}

pub(crate) async fn are_numbered_without_gap_in_order_of_commit(store: &Dyn) {
    let first = store.commit(events([1, 2])).await.unwrap();
    store.commit(impossible()).await.unwrap_err();
    let second = store.commit(events([3])).await.unwrap();
    assert_eq!((first.last_event, second.last_event), (2, 3));
    let found = store.events(0, 10).await.unwrap();
    let numbers: Vec<_> = found
        .iter()
        .map(|e| (e.seq, e.data["n"].as_u64().unwrap()))
        .collect();
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 3)]);
    let rest = store.events(1, 1).await.unwrap();
    assert_eq!(rest, found[1..2]);
}

/// Eight writers, some of whose commits fail, and a reader that always goes on from its last
/// number: it must see every event once, without a gap.
pub(crate) async fn a_reader_that_resumes_misses_nothing(store: &Dyn) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 50;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Dyn::clone(store);
            tokio::spawn(async move {
                for n in 0..EACH {
                    let number = writer * EACH + n;
                    store
                        .commit(events([number, number + 1_000_000]))
                        .await
                        .unwrap();
                    if n % 7 == 0 {
                        store.commit(impossible()).await.unwrap_err();
                    }
                }
            })
        })
        .collect();
    let written = Arc::new(AtomicBool::new(false));
    let (reader, end) = (Dyn::clone(store), Arc::clone(&written));
    let reading = tokio::spawn(async move {
        let (mut last, mut seen) = (0, Vec::new());
        loop {
            // Asked before reading: what is committed by then must be in what is read after.
            let ended = end.load(Ordering::SeqCst);
            let found = reader.events(last, 17).await.unwrap();
            for event in &found {
                assert_eq!(event.seq, last + 1, "a gap a reader would jump over");
                last = event.seq;
                seen.push(event.data["n"].as_u64().unwrap());
            }
            if ended && found.is_empty() {
                return seen;
            }
        }
    });
    for writer in writers {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    let mut seen = reading.await.unwrap();
    seen.sort_unstable();
    let all = 0..WRITERS * EACH;
    let expected: Vec<_> = all.clone().chain(all.map(|n| n + 1_000_000)).collect();
    assert_eq!(seen, expected);
}

pub(crate) async fn tell_how_far_they_reach(store: &Dyn) {
    assert_eq!(
        store.event_bounds().await.unwrap(),
        (0, 1),
        "nothing there, nothing missed"
    );
    store.commit(events([1, 2, 3])).await.unwrap();
    assert_eq!(store.event_bounds().await.unwrap(), (3, 1));
    let retention = Retention {
        events: Duration::ZERO,
        ..super::retention::FOREVER
    };
    until("two events are swept", || async {
        (store.sweep(&retention, 2).await.unwrap() == 2).then_some(())
    })
    .await;
    assert_eq!(store.event_bounds().await.unwrap(), (3, 3));
    until("the last one is swept", || async {
        (store.sweep(&retention, 2).await.unwrap() == 1).then_some(())
    })
    .await;
    assert_eq!(store.event_bounds().await.unwrap(), (3, 4));
    let next = store.commit(events([4])).await.unwrap();
    assert_eq!(next.last_event, 4, "a number is never given twice");
}
