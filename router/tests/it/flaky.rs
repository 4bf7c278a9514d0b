//! A store that fails: what it says is not always what it did, and nothing is lost or doubled by it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use patchbay_message::{Clock as _, CommandId, Outcome, SystemClock};
use patchbay_router::Stores;
use patchbay_store::{
    Changes, CommitError, Committed, Facts, Journal, OutboxRow, Retention, Store, StoreError, Want,
};

use crate::{
    house::{House, Running, house, options, ordered, reply, texts, until},
    tickets,
};

/// Which commits go wrong is the same in every run.
const SEED: u64 = 7;

/// How a commit goes wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// The store cannot be reached.
    Away,
    /// It has committed, and the answer was lost.
    AnswerLost,
    /// Somebody else was first.
    Conflict,
}

/// About so many of a hundred commits of a batch go wrong; facts likewise, if the store is away.
struct Flaky {
    inner: Arc<dyn Store>,
    fault: Fault,
    percent: u32,
    dice: Mutex<fastrand::Rng>,
    faults: AtomicU32,
}

impl Flaky {
    fn fails(&self) -> bool {
        let fails = self.dice.lock().u32(..100) < self.percent;
        if fails {
            self.faults.fetch_add(1, Ordering::SeqCst);
        }
        fails
    }
}

#[async_trait]
impl Journal for Flaky {
    async fn facts(&self, want: &Want) -> Result<Facts, StoreError> {
        if matches!(self.fault, Fault::Away) && self.fails() {
            return Err(StoreError("away".into()));
        }
        self.inner.facts(want).await
    }

    async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        let fails = !changes.processed.is_empty() && self.fails();
        match self.fault {
            Fault::Away if fails => Err(StoreError("away".into()).into()),
            Fault::Conflict if fails => Err(CommitError::Conflict("somebody was first".into())),
            Fault::AnswerLost if fails => {
                self.inner.commit(changes).await?;
                Err(StoreError("answer lost".into()).into())
            }
            _ => self.inner.commit(changes).await,
        }
    }

    async fn outbox(
        &self,
        partition: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        self.inner.outbox(partition, after, limit).await
    }

    async fn outcome(&self, command: CommandId) -> Result<Option<Outcome>, StoreError> {
        self.inner.outcome(command).await
    }

    async fn sweep(&self, retention: &Retention, limit: u32) -> Result<u64, StoreError> {
        self.inner.sweep(retention, limit).await
    }
}

fn flaky(house: &House, fault: Fault, percent: u32) -> Arc<Flaky> {
    Arc::new(Flaky {
        inner: house.store.clone(),
        fault,
        percent,
        dice: Mutex::new(fastrand::Rng::with_seed(SEED)),
        faults: AtomicU32::new(0),
    })
}

/// A router that decides a few at a time, on this store.
fn behind(house: &House, journal: &Arc<Flaky>) -> Running {
    let stores = Stores {
        journal: journal.clone(),
        ..house.store.clone().into()
    };
    let mut few = options();
    few.batch_max = 5;
    house.router_with(house.bus.clone(), stores, few)
}

/// Many replies, in batches of a few, through a store that fails so: each is there once, in order,
/// and goes out once.
async fn through(fault: Fault, percent: u32) {
    let house: House = house();
    let ann = house.agent("Ann", 1).await;
    let router = house.router();
    house.say("v1", "Hello?").await;
    let row = house
        .conversation("v1", |row| row.agent_id == Some(ann))
        .await;
    router.stop().await;
    let journal = flaky(&house, fault, percent);
    let router = behind(&house, &journal);
    let batch = (0..60)
        .map(|n| ordered(&row, reply(ann, &n.to_string())))
        .collect();
    house.publish(batch).await;
    let rows = house.history("v1", 61).await;
    let wanted: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    assert_eq!(texts(&rows)[1..], wanted);
    let sent = house.sent(60).await;
    let numbers: Vec<u64> = sent
        .iter()
        .filter_map(|envelope| envelope.out_seq)
        .collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<u64>>());
    assert!(house.dead().await.is_empty());
    assert!(journal.faults.load(Ordering::SeqCst) >= 5, "it did fail");
    let partition = format!("inbound.{}", row.partition);
    until("an empty outbox", || async {
        let rows = house.store.outbox(&partition, 0, 10).await.unwrap();
        rows.is_empty().then_some(())
    })
    .await;
    router.stop().await;
}

/// Many reports of a few devices, likewise: each raised fault is one line of one ticket.
async fn reports_through(fault: Fault, percent: u32) {
    let house: House = house();
    let journal = flaky(&house, fault, percent);
    let router = behind(&house, &journal);
    let began = SystemClock.now();
    let mut told = Vec::new();
    let mut batch = Vec::new();
    for n in 0..20_u64 {
        let at = began.plus(std::time::Duration::from_secs(n));
        for device in ["f1", "f2", "f3"] {
            let state = if n % 2 == 0 { "raised" } else { "cleared" };
            let part = tickets::fault(device, state, at);
            batch.push(tickets::sent_by(device, &part, &serde_json::Value::Null));
            let id = batch.last().map(|(_, message)| message.id);
            told.extend(id.filter(|_| n % 2 == 0));
        }
    }
    house.publish(batch).await;
    let rows = until("every fault", || async {
        let rows = house.tickets().await;
        let n: u32 = rows.iter().map(|row| row.n_raised).sum();
        (n as usize >= told.len()).then_some(rows)
    })
    .await;
    assert_eq!(rows.len(), 3);
    let mut found = Vec::new();
    for row in &rows {
        let entries = house.entries(row).await;
        let raises = entries
            .iter()
            .filter(|entry| entry.data["severity"] == "major");
        found.extend(raises.filter_map(|entry| entry.message_id));
    }
    found.sort();
    told.sort();
    assert_eq!(found, told);
    assert!(house.dead().await.is_empty());
    assert!(journal.faults.load(Ordering::SeqCst) >= 5, "it did fail");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_whose_commit_is_unsure_or_late_is_told_once() {
    reports_through(Fault::AnswerLost, 50).await;
    reports_through(Fault::Conflict, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_pauses_the_router() {
    through(Fault::Away, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_done_twice_and_is_relayed() {
    through(Fault::AnswerLost, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_decided_anew() {
    through(Fault::Conflict, 70).await;
}
