//! The server is killed under load, stopped, or not there. The ledger is kept by this side: what
//! was told to be committed is there afterwards; what was told to have failed is there wholly or not
//! at all; and nothing has to be restarted but the server.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use patchbay_message::{InstanceId, ThreadId};
use patchbay_store::{Changes, CommitError, LaneDone, PostgresOptions, StoreError, Want};

use super::{connect, server::Server};
use crate::world::{Dyn, LONG, event, until};

const KILLS: usize = 3;
const WRITERS: usize = 8;
/// Commits between two kills, at least.
const COMMITS: usize = 300;
const SEED: u64 = 0x5eed;

fn options() -> PostgresOptions {
    PostgresOptions {
        call_timeout: Duration::from_secs(5),
        ..PostgresOptions::default()
    }
}

fn mark(id: &str) -> (String, String) {
    ("inbound.g1.0".to_owned(), id.to_owned())
}

/// What one writer was told.
#[derive(Default)]
struct Ledger {
    /// With the number of the event.
    committed: Vec<(String, u64)>,
    failed: Vec<String>,
}

/// One commit in three tables after the other, until the end.
async fn write(store: Dyn, writer: usize, done: Arc<AtomicUsize>, over: Arc<AtomicBool>) -> Ledger {
    let lane = ThreadId::new();
    let mut ledger = Ledger::default();
    let mut number = 1;
    for n in 0.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let id = format!("{writer}/{n}");
        let mut event = event(n);
        event.data["id"] = id.as_str().into();
        let changes = Changes {
            processed: vec![mark(&id)],
            lanes_done: vec![LaneDone {
                lane,
                out_seq: number,
            }],
            events: vec![event],
            ..Changes::default()
        };
        match store.commit(changes).await {
            Ok(committed) => {
                ledger.committed.push((id, committed.last_event));
                number += 1;
                done.fetch_add(1, Ordering::SeqCst);
            }
            Err(CommitError::Store(_)) => {
                ledger.failed.push(id);
                number = number_of(&store, lane).await + 1;
            }
            Err(other) => panic!("an outage is no reason for: {other}"),
        }
    }
    ledger
}

/// How far the lane is, as soon as the store answers.
async fn number_of(store: &Dyn, lane: ThreadId) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match store.lanes(&[lane]).await {
            Ok(lanes) => return lanes[0].done,
            Err(error) => assert!(Instant::now() < deadline, "still: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_the_server_loses_and_halves_nothing() {
    let server = Server::start();
    let store = connect(&server.url(), options()).await;
    let (done, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| write(Dyn::clone(&store), n, Arc::clone(&done), Arc::clone(&over)))
        .map(tokio::spawn)
        .collect();
    let mut random = fastrand::Rng::with_seed(SEED);
    for kill in 0..=KILLS {
        let enough = done.load(Ordering::SeqCst) + COMMITS + random.usize(..100);
        let deadline = Instant::now() + Duration::from_secs(60);
        while done.load(Ordering::SeqCst) < enough {
            assert!(Instant::now() < deadline, "commits do not go on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if kill < KILLS {
            tokio::task::block_in_place(|| {
                server.kill();
                server.again();
            });
        }
    }
    over.store(true, Ordering::SeqCst);
    let mut ledgers = Vec::new();
    for writer in writers {
        ledgers.push(writer.await.unwrap());
    }

    let failed: usize = ledgers.iter().map(|ledger| ledger.failed.len()).sum();
    assert!(failed >= KILLS, "the kills were noticed: {failed}");
    let there = there(&store, &ledgers).await;
    let events = events(&store).await;
    for (id, number) in ledgers.iter().flat_map(|ledger| &ledger.committed) {
        assert!(there.contains(id), "{id} was committed and is gone");
        assert_eq!(events.get(id), Some(number), "{id}");
    }
    for id in ledgers.iter().flat_map(|ledger| &ledger.failed) {
        assert_eq!(
            there.contains(id),
            events.contains_key(id),
            "{id} is half there"
        );
    }
}

/// The marks that are there.
async fn there(store: &Dyn, ledgers: &[Ledger]) -> HashSet<String> {
    let ids = ledgers.iter().flat_map(|ledger| {
        let committed = ledger.committed.iter().map(|(id, _)| id);
        committed.chain(&ledger.failed)
    });
    let want = Want {
        processed: ids.map(|id| mark(id)).collect(),
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    facts.processed.into_iter().map(|(_, id)| id).collect()
}

/// The numbers of all events by their id; there are no gaps among them.
async fn events(store: &Dyn) -> HashMap<String, u64> {
    let mut found = HashMap::new();
    let mut last = 0;
    loop {
        let page = store.events(last, 1000).await.unwrap();
        if page.is_empty() {
            return found;
        }
        for event in page {
            assert_eq!(event.seq, last + 1, "a gap in the event log");
            last = event.seq;
            let id = event.data["id"].as_str().unwrap().to_owned();
            assert_eq!(found.insert(id, event.seq), None, "an event twice");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_used_when_it_is_there() {
    let server = Server::not_yet();
    let url = server.url().replace("postgres@", "postgres:sesame@");
    let store = connect(&url, options()).await;
    let StoreError(text) = store
        .lease("timers", &InstanceId::new(), LONG)
        .await
        .unwrap_err();
    assert!(!text.contains("sesame"), "{text}");
    let refused = store.commit(Changes::default()).await.unwrap_err();
    assert!(matches!(refused, CommitError::Store(_)), "{refused}");

    tokio::task::block_in_place(|| server.again());
    until("the store is used", async || {
        let lease = store.lease("timers", &InstanceId::new(), LONG).await;
        lease.ok().flatten()
    })
    .await;
    let changes = Changes {
        processed: vec![mark("1")],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    tokio::task::block_in_place(|| server.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_holds_nobody_for_ever() {
    let server = Server::start();
    let options = PostgresOptions {
        acquire_timeout: Duration::from_millis(500),
        call_timeout: Duration::from_millis(500),
        ..PostgresOptions::default()
    };
    let store = connect(&server.url(), options).await;
    let changes = |id: &str| Changes {
        processed: vec![mark(id)],
        ..Changes::default()
    };
    store.commit(changes("before")).await.unwrap();

    let want = Want {
        desk: true,
        ..Want::default()
    };
    server.freeze(true);
    let begun = Instant::now();
    let (commit, facts, lease) = tokio::join!(
        store.commit(changes("during")),
        store.facts(&want),
        store.renew(&[], LONG),
    );
    let waited = begun.elapsed();
    server.freeze(false);
    assert!(matches!(commit.unwrap_err(), CommitError::Store(_)));
    facts.unwrap_err();
    lease.unwrap_err();
    assert!(waited < Duration::from_secs(10), "{waited:?}");

    until("the store answers again", async || {
        store.commit(changes("after")).await.ok()
    })
    .await;
}
