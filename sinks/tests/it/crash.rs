//! kill -9 at the two points between a performed call and its end: sent | recorded, recorded | acked.
//!
//! The worker runs in a process of its own that aborts itself there; the ledger is the provider's.

use std::{collections::HashMap, path::Path, process::Stdio, time::Duration};

use patchbay_bus::Bus;
use patchbay_message::{MessageId, ReceiptState};
use tokio::process::Command;

use crate::{
    provider::Provider,
    world::{Plan, World},
};

const LANES: u64 = 4;
const PER_LANE: u64 = 12;
const KILLS: usize = 6;
const SEED: u64 = 20;
const FOLDER: &str = "PATCHBAY_CRASH_FOLDER";
const URL: &str = "PATCHBAY_CRASH_URL";
const KEYED: &str = "PATCHBAY_CRASH_KEYED";

fn plan(url: &str, keyed: bool) -> Plan {
    let mut plan = Plan::http("sms", url);
    plan.keyed = keyed;
    plan
}

/// The process that is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the other tests, as a process of its own"]
async fn child() {
    let _scenario = fail::FailScenario::setup();
    let variable = |name| std::env::var(name).expect("set by the parent");
    let plan = plan(&variable(URL), variable(KEYED) == "true");
    let world = World::at(Path::new(&variable(FOLDER)), [plan]);
    let _sinks = world.sinks();
    std::future::pending::<()>().await;
}

/// Runs the worker until it aborts at `point`, the `n`th time it gets there.
async fn killed(folder: &Path, url: &str, keyed: bool, point: &str, n: usize) {
    let own = std::env::current_exe().expect("this test's own program");
    let mut child = Command::new(own)
        .args(["--exact", "crash::child", "--ignored"])
        .env(FOLDER, folder)
        .env(URL, url)
        .env(KEYED, keyed.to_string())
        .env("FAILPOINTS", format!("sinks::{point}={n}*off->return"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
    let ended = ended.expect("it gets to the point").expect("it ends");
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended);
    assert_eq!(signal, Some(6), "it aborts by itself: {ended}");
}

/// Publishes to every lane, kills the worker over and over, lets it finish; how each message ended.
async fn ordeal(keyed: bool, point: &str) -> (Provider, Vec<ReceiptState>) {
    let provider = Provider::willing().await;
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::at(folder.path(), [plan(&provider.url, keyed)]);
    let mut ids: Vec<MessageId> = Vec::new();
    for seq in 1..=PER_LANE {
        for lane in 0..LANES {
            let text = seq.to_string();
            ids.push(world.reply("sms", &lane.to_string(), seq, &[&text]).await);
        }
    }
    world.bus.close().await;
    drop(world);
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..KILLS {
        let n = random.usize(0..5);
        killed(folder.path(), &provider.url, keyed, point, n).await;
    }
    let world = World::at(folder.path(), [plan(&provider.url, keyed)]);
    let _sinks = world.sinks();
    let mut states = Vec::new();
    for id in ids {
        let state = world
            .until("the message to end", || async {
                let state = world.message(id).await.state;
                state.filter(|state| *state != ReceiptState::Queued)
            })
            .await;
        states.push(state);
    }
    (provider, states)
}

/// How often each message came. Asserts that what came for the first time came in the lane's order.
fn ledger(provider: &Provider) -> HashMap<(u64, u64), usize> {
    let mut counts = HashMap::new();
    for lane in 0..LANES {
        let mut last = 0;
        for text in provider.texts(&lane.to_string()) {
            let seq: u64 = text.parse().expect("a number");
            let count = counts.entry((lane, seq)).or_insert(0);
            *count += 1;
            if *count == 1 {
                assert!(seq > last, "lane {lane}: {seq} after {last}");
                last = seq;
            }
        }
    }
    counts
}

/// Nothing came twice, and what agents read of each message is true.
fn assert_honest(provider: &Provider, states: &[ReceiptState]) {
    let counts = ledger(provider);
    assert!(counts.values().all(|count| *count == 1), "sent twice");
    let messages = (1..=PER_LANE).flat_map(|seq| (0..LANES).map(move |lane| (lane, seq)));
    for (message, state) in messages.zip(states) {
        match state {
            ReceiptState::Accepted => assert!(counts.contains_key(&message), "lost in silence"),
            ReceiptState::Unknown => {}
            other => panic!("{message:?} is {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_it_is_recorded_nothing_is_lost_or_sent_twice_in_silence() {
    let (provider, states) = ordeal(false, "sent_recorded").await;
    assert_honest(&provider, &states);
    let unknown = |state: &&ReceiptState| **state == ReceiptState::Unknown;
    let n_unknown = states.iter().filter(unknown).count();
    assert!(n_unknown >= KILLS, "every kill left one open: {n_unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_it_is_recorded_a_keyed_call_is_made_again() {
    let (provider, states) = ordeal(true, "sent_recorded").await;
    let counts = ledger(&provider);
    assert!(counts.values().any(|count| *count > 1), "the kills hit");
    assert_eq!(counts.len(), states.len(), "all of them came");
    assert!(states.iter().all(|state| *state == ReceiptState::Accepted));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_it_is_acked_nothing_is_sent_twice() {
    let (provider, states) = ordeal(false, "recorded_ack").await;
    assert_honest(&provider, &states);
}
