//! Reply windows.

use std::time::Duration;

use patchbay_message::{MessageId, ThreadId, Time};
use patchbay_store::{AttemptOpen, Changes, ReplyWindow};

use crate::world::{Dyn, now};

fn window(thread: ThreadId, ends_at: Option<Time>, quota: Option<u32>) -> ReplyWindow {
    ReplyWindow {
        thread,
        message: MessageId::new(),
        ends_at,
        quota,
    }
}

fn later(seconds: u64) -> Option<Time> {
    Some(now().plus(Duration::from_secs(seconds)))
}

async fn opens(store: &Dyn, windows: &[&ReplyWindow]) {
    let changes = Changes {
        windows: windows.iter().map(|window| (*window).clone()).collect(),
        ..Changes::default()
    };
    store.commit(changes).await.expect("committed");
}

async fn kept(store: &Dyn, thread: ThreadId) -> Vec<ReplyWindow> {
    let found = store.windows(thread).await.expect("the store answers");
    found.into_iter().map(|now| now.window).collect()
}

pub(crate) async fn of_each_kind_the_newest_counts(store: &Dyn) {
    let (ada, bob) = (ThreadId::new(), ThreadId::new());
    let first = window(ada, later(100), Some(5));
    let second = window(ada, later(200), Some(5));
    let gesture = window(ada, later(60), Some(3));
    let free = window(ada, later(300), None);
    let endless = window(bob, None, Some(5));
    // The newer one may come first, and in the same commit.
    opens(store, &[&gesture, &second, &first]).await;
    assert_eq!(kept(store, ada).await, [gesture.clone(), second.clone()]);
    opens(store, &[&first]).await;
    opens(store, &[&free, &endless]).await;
    assert_eq!(
        kept(store, ada).await,
        [gesture.clone(), second, free.clone()]
    );
    let third = window(ada, later(400), Some(5));
    opens(store, &[&third, &window(bob, later(9), Some(5))]).await;
    assert_eq!(kept(store, ada).await, [gesture, free, third.clone()]);
    assert_eq!(
        kept(store, bob).await,
        [endless],
        "without an end it is the last"
    );
    // What ends with it, or never like it, begins the count anew.
    let together = window(ada, later(400), Some(5));
    let together = ReplyWindow {
        ends_at: third.ends_at,
        ..together
    };
    let forever = window(bob, None, Some(5));
    opens(store, &[&together, &forever]).await;
    assert_eq!(kept(store, ada).await.last(), Some(&together));
    assert_eq!(kept(store, bob).await, [forever]);
    let (older, newer) = (window(bob, None, Some(5)), window(bob, None, Some(5)));
    opens(store, &[&older, &newer]).await;
    assert_eq!(kept(store, bob).await, [newer], "also in one commit");
    assert_eq!(kept(store, ThreadId::new()).await, []);
}

pub(crate) async fn know_which_attempts_count_against_them(store: &Dyn) {
    let (thread, message) = (ThreadId::new(), MessageId::new());
    let first = window(thread, later(100), Some(5));
    let other = window(thread, later(200), Some(3));
    opens(store, &[&first, &other]).await;
    let open = |part, spends: &ReplyWindow| AttemptOpen {
        message,
        lane: thread,
        out_seq: 1,
        part,
        epoch: 1,
        spends: Some(spends.message),
    };
    let spent = async || {
        let found = store.windows(thread).await.expect("the store answers");
        let parts = |now: &patchbay_store::WindowNow| {
            assert!(now.spent.iter().all(|(id, _)| *id == message));
            now.spent.iter().map(|(_, part)| *part).collect::<Vec<_>>()
        };
        found.iter().map(parts).collect::<Vec<_>>()
    };
    let begun = Changes {
        attempts: vec![open(0, &first), open(1, &first), open(2, &other)],
        attempts_done: vec![(message, 0, serde_json::json!({}))],
        ..Changes::default()
    };
    store.commit(begun).await.expect("committed");
    assert_eq!(spent().await, [vec![0, 1], vec![2]]);
    let again = Changes {
        attempts: vec![open(1, &first), open(2, &first)],
        unspend: vec![(message, 0), (message, 7)],
        ..Changes::default()
    };
    store.commit(again).await.expect("committed");
    assert_eq!(
        spent().await,
        [vec![1, 2], vec![]],
        "begun anew counts once, and where it says"
    );
}
