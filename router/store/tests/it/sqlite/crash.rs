//! kill -9 under load. The ledger is kept by this side: what the child was told is committed, it
//! says on its standard output, and all of that must be there when the file is opened again.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use patchbay_message::ThreadId;
use patchbay_store::{Changes, LaneDone, SqliteOptions, SqliteStore, Want};

use super::open_at;
use crate::world::{Dyn, event};

const FILE: &str = "PATCHBAY_TEST_CRASH_FILE";
const ROUND: &str = "PATCHBAY_TEST_CRASH_ROUND";
const ROUNDS: u64 = 6;
const WRITERS: u64 = 8;
const SEED: u64 = 0x5eed;

fn mark(id: &str) -> (String, String) {
    ("inbound.g1.0".to_owned(), id.to_owned())
}

/// One commit in three tables: it is there in all of them or in none.
fn changes(lane: ThreadId, id: &str, n: u64) -> Changes {
    let mut event = event(n);
    event.data["id"] = id.into();
    Changes {
        processed: vec![mark(id)],
        lanes_done: vec![LaneDone { lane, out_seq: n }],
        events: vec![event],
        ..Changes::default()
    }
}

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of kill_9_loses_nothing_that_was_committed"]
async fn child() {
    let path = std::env::var(FILE).expect("started by the test");
    let round = std::env::var(ROUND).expect("started by the test");
    let store: Dyn = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let (store, round) = (Dyn::clone(&store), round.clone());
        tokio::spawn(async move {
            let lane = ThreadId::new();
            for n in 1.. {
                let id = format!("{round}/{writer}/{n}");
                store.commit(changes(lane, &id, n)).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "committed {id}").unwrap();
                out.flush().unwrap();
            }
        })
    });
    futures_util::future::join_all(writers).await;
}

/// Runs the child until it has said so much, kills it, answers what it has said.
fn run_and_kill(path: &Path, round: u64, after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "sqlite::crash::child",
            "--ignored",
            "--nocapture",
        ])
        .env(FILE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The last line may be cut: then it was not told.
        let line = line.unwrap_or_default();
        if let Some((_, id)) = line.split_once("committed ") {
            told.push(id.to_owned());
        }
        if told.len() == after {
            child.kill().unwrap();
            killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(
        killed && !status.success(),
        "killed while at work: {status}"
    );
    told
}

#[tokio::test]
async fn kill_9_loses_nothing_that_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut told = Vec::new();
    for round in 0..ROUNDS {
        let after = random.usize(1..1500);
        let more = run_and_kill(&path, round, after);
        assert!(more.len() >= after);
        told.extend(more);

        let store = open_at(&path);
        let want = Want {
            processed: told.iter().map(|id| mark(id)).collect(),
            ..Want::default()
        };
        let found = store.facts(&want).await.unwrap().processed;
        assert_eq!(
            found.len(),
            told.len(),
            "round {round}: every commit told of is there"
        );
        let logged = events_are_whole(&store).await;
        assert!(
            told.iter().all(|id| logged.contains(id)),
            "in the event log too"
        );
    }
}

/// Every event's commit is there as a whole, and numbers have no gap. Answers the ids.
async fn events_are_whole(store: &Dyn) -> HashSet<String> {
    let (mut last, mut ids) = (0, HashSet::new());
    loop {
        let events = store.events(last, 1000).await.unwrap();
        if events.is_empty() {
            return ids;
        }
        let page: Vec<_> = events
            .iter()
            .map(|event| event.data["id"].as_str().unwrap().to_owned())
            .collect();
        let want = Want {
            processed: page.iter().map(|id| mark(id)).collect(),
            ..Want::default()
        };
        let found = store.facts(&want).await.unwrap().processed;
        assert_eq!(
            found.len(),
            page.len(),
            "an event without the rest of its commit"
        );
        assert_eq!(events[0].seq, last + 1);
        last += events.len() as u64;
        assert_eq!(events.last().unwrap().seq, last, "no gap");
        ids.extend(page);
    }
}
