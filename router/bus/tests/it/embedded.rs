//! The embedded bus: the conformance suite, and its journal's own promises.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, PublishError, Queue};
use tempfile::TempDir;

use crate::{
    child::Spawned,
    ledger::check_order,
    support::{Bounds, Fixture, batch, labels, message, numbered, take},
};

pub(crate) struct Embedded {
    dir: TempDir,
    bus: Arc<EmbeddedBus>,
}

#[async_trait]
impl Fixture for Embedded {
    async fn open(bounds: Bounds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions {
            queue_length_max: bounds.queue_length_max,
            mailbox_max: bounds.mailbox_max,
            tail_bytes_max: bounds.tail_bytes_max,
            ..EmbeddedOptions::default()
        };
        let bus = EmbeddedBus::open(dir.path().join("bus.db"), options).unwrap();
        Self { dir, bus }
    }

    fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone()
    }

    async fn remove(self) {
        self.bus.close().await;
    }
}

crate::conformance::conformance!(Embedded);

const IN: Queue = Queue::Inbound(0);
/// How many times the process with the journal is killed in one test.
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acked_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.db");
    let all = numbered("m", 0..30);
    let bus = EmbeddedBus::open(&path, EmbeddedOptions::default()).unwrap();
    bus.publish(batch(IN, &all)).await.unwrap();
    let mut consumer = bus.consume(IN, 20).await.unwrap();
    for delivery in take(&mut *consumer, 20).await.into_iter().take(10) {
        delivery.ack();
    }
    bus.close().await;

    let bus = EmbeddedBus::open(&path, EmbeddedOptions::default()).unwrap();
    assert_eq!(bus.depth(IN).await.unwrap(), 20);
    bus.publish(batch(IN, &numbered("n", 0..5))).await.unwrap();
    let mut consumer = bus.consume(IN, 100).await.unwrap();
    let taken = take(&mut *consumer, 25).await;
    assert_eq!(labels(&taken)[..20], all[10..]);
    assert!(taken[..20].iter().all(|delivery| delivery.redelivered));
    assert_eq!(labels(&taken)[20..], numbered("n", 0..5));
    assert!(taken[20..].iter().all(|delivery| !delivery.redelivered));
    for delivery in taken {
        delivery.ack();
    }
    bus.close().await;

    let bus = EmbeddedBus::open(&path, EmbeddedOptions::default()).unwrap();
    assert_eq!(bus.depth(IN).await.unwrap(), 0);
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_a_time() {
    let fixture = Embedded::open(Bounds::default()).await;
    let path = fixture.dir.path().join("bus.db");
    let second = EmbeddedBus::open(&path, EmbeddedOptions::default());
    let error = second.err().expect("the journal is taken").0;
    assert!(error.contains("in use by another process"), "{error}");
    assert!(error.contains("bus.db"), "{error}");
    fixture.bus.close().await;
    let third = EmbeddedBus::open(&path, EmbeddedOptions::default()).unwrap();
    third.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_journal_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.db");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let error = EmbeddedBus::open(&path, EmbeddedOptions::default());
    let error = error.err().expect("not a journal").0;
    assert!(error.contains("bus.db"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_bounded_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        queue_bytes_max: 10_000,
        ..EmbeddedOptions::default()
    };
    let bus = EmbeddedBus::open(dir.path().join("bus.db"), options).unwrap();
    let mut large = message("large");
    large.body = vec![b'x'; 6000].into();
    bus.publish(vec![(IN, large.clone())]).await.unwrap();
    // All or nothing: the other queue's part is not taken either.
    let mixed = vec![(Queue::Outbound(0), message("other")), (IN, large.clone())];
    assert_eq!(bus.publish(mixed).await, Err(PublishError::Full(IN)));
    assert_eq!(bus.depth(Queue::Outbound(0)).await.unwrap(), 0);
    bus.publish(batch(IN, &numbered("small", 0..3)))
        .await
        .unwrap();
    bus.close().await;
}

/// Everything the child was told to be on disk is there after a kill, or was delivered before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.db");
    let (mut confirmed, mut received) = (HashSet::new(), Vec::new());
    let mut book = |line: &str| {
        if let Some(batch) = line.strip_prefix("confirmed ") {
            confirmed.extend(batch.split(',').map(str::to_owned));
        } else if let Some(label) = line.strip_prefix("received ") {
            received.push(label.to_owned());
        }
    };
    for round in 0..KILLS {
        let place = path.to_str().unwrap();
        let mut child = Spawned::start("uses_a_journal", place, &round.to_string());
        for _ in 0..100 + fastrand::usize(..300) {
            book(&child.line().await);
        }
        for line in child.kill().await {
            book(&line);
        }
    }
    let bus = EmbeddedBus::open(&path, EmbeddedOptions::default()).unwrap();
    let left = usize::try_from(bus.depth(IN).await.unwrap()).unwrap();
    assert!(left > 0, "a kill without a backlog shows nothing");
    let mut consumer = bus.consume(IN, u16::MAX).await.unwrap();
    let taken = take(&mut *consumer, left).await;
    assert!(taken.iter().all(|delivery| delivery.redelivered));
    received.extend(labels(&taken));
    check_order(&received);
    let received: HashSet<String> = received.into_iter().collect();
    let lost: Vec<_> = confirmed.difference(&received).collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost",
        lost.len(),
        confirmed.len()
    );
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_survived() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.db");
    let place = path.to_str().unwrap();
    let mut child = Spawned::start_with_small_disk("fills_the_disk", place, "");
    let confirmed: usize = child.said("confirmed ").await.parse().unwrap();
    assert!(confirmed > 5, "{confirmed} before the disk was full");
    let refused = child.said("refused ").await;
    assert!(
        refused.contains("bus unavailable: cannot write the journal"),
        "{refused}"
    );
    let problem = child.said("problem ").await;
    assert!(problem.contains("cannot write the journal"), "{problem}");
    let delivered: usize = child.said("delivered ").await.parse().unwrap();
    assert_eq!(delivered, confirmed + 1);
}
