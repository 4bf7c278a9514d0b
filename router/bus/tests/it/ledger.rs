//! The clients' own books: what was confirmed to publishers, and what consumers got.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use patchbay_bus::{Bus, PublishError, Queue};
use tokio::task::JoinSet;

use crate::support::{batch, label, numbered};

/// Publishers and consumers under way, and their books.
pub(crate) struct Load {
    bus: Arc<dyn Bus>,
    books: Arc<Books>,
    stop: Arc<AtomicBool>,
    publishers: JoinSet<()>,
    consumers: JoinSet<()>,
}

#[derive(Default)]
struct Books {
    confirmed: Mutex<HashSet<String>>,
    /// As they came, queue by queue.
    received: Mutex<HashMap<Queue, Vec<String>>>,
    n_failures: AtomicUsize,
    last_failure: Mutex<Option<PublishError>>,
}

/// Messages of one publish.
const BATCH: usize = 5;

impl Load {
    /// Per queue one consumer and `n_keys` publishers, each the only one of its key.
    pub(crate) fn start(bus: Arc<dyn Bus>, queues: &[Queue], n_keys: usize) -> Self {
        let mut load = Self {
            bus,
            books: Arc::default(),
            stop: Arc::default(),
            publishers: JoinSet::new(),
            consumers: JoinSet::new(),
        };
        for queue in queues.iter().copied() {
            let (bus, books) = (load.bus.clone(), load.books.clone());
            load.consumers.spawn(consume(bus, books, queue));
            for key in 0..n_keys {
                let (bus, books, stop) = (load.bus.clone(), load.books.clone(), load.stop.clone());
                let key = format!("{queue}/{key}/");
                load.publishers.spawn(publish(bus, books, stop, queue, key));
            }
        }
        load
    }

    pub(crate) fn n_confirmed(&self) -> usize {
        self.books.confirmed.lock().len()
    }

    /// Waits for this many more confirms.
    pub(crate) async fn confirms(&self, n_more: usize) {
        let enough = self.n_confirmed() + n_more;
        let wait = async {
            while self.n_confirmed() < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(
            found.is_ok(),
            "{} of {enough} confirmed, health {:?}, last failure {:?}",
            self.n_confirmed(),
            self.bus.health(),
            self.books.last_failure.lock()
        );
    }

    /// Ends the publishers, waits for all that was confirmed, and checks the books: nothing lost,
    /// and the order of each key kept when repeats are left out.
    pub(crate) async fn settle(mut self) {
        self.stop.store(true, Ordering::Release);
        while self.publishers.join_next().await.is_some() {}
        let confirmed = self.books.confirmed.lock().clone();
        let mut missing = confirmed.clone();
        let wait = async {
            while !missing.is_empty() {
                for seen in self.books.received.lock().values() {
                    for label in seen {
                        missing.remove(label);
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(
            missing.is_empty(),
            "{} of {} confirmed messages never came, such as {:?}",
            missing.len(),
            confirmed.len(),
            missing.iter().next()
        );
        self.consumers.shutdown().await;
        let (mut n_received, mut n_repeats) = (0, 0);
        for seen in self.books.received.lock().values() {
            n_received += seen.len();
            n_repeats += check_order(seen);
        }
        println!(
            "confirmed {}, received {n_received}, repeats {n_repeats}, failed publishes {}",
            confirmed.len(),
            self.books.n_failures.load(Ordering::Relaxed)
        );
    }
}

/// Checks that each key's numbers rise when repeats are left out; returns the number of repeats.
pub(crate) fn check_order(seen: &[String]) -> usize {
    let (mut known, mut last) = (HashSet::new(), HashMap::new());
    let mut n_repeats = 0;
    for label in seen {
        if !known.insert(label) {
            n_repeats += 1;
            continue;
        }
        let (key, number) = label.rsplit_once('/').unwrap();
        let number: i64 = number.parse().unwrap();
        let before = last.insert(key, number).unwrap_or(-1);
        assert!(before < number, "{label} came after {before} of its key");
    }
    n_repeats
}

/// Publishes one key in order: a batch is repeated until it is confirmed.
async fn publish(
    bus: Arc<dyn Bus>,
    books: Arc<Books>,
    stop: Arc<AtomicBool>,
    queue: Queue,
    key: String,
) {
    for first in (0..).step_by(BATCH) {
        let labels = numbered(&key, first..first + BATCH);
        let messages = batch(queue, &labels);
        loop {
            if stop.load(Ordering::Acquire) {
                return;
            }
            match bus.publish(messages.clone()).await {
                Ok(()) => break,
                Err(error) => {
                    *books.last_failure.lock() = Some(error);
                    books.n_failures.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        books.confirmed.lock().extend(labels);
    }
}

/// Books what comes, subscribing anew whenever the subscription is lost.
async fn consume(bus: Arc<dyn Bus>, books: Arc<Books>, queue: Queue) {
    loop {
        let Ok(mut consumer) = bus.consume(queue, 200).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        while let Ok(deliveries) = consumer.recv(50).await {
            for delivery in deliveries {
                let label = label(&delivery.message);
                books.received.lock().entry(queue).or_default().push(label);
                delivery.ack();
            }
        }
    }
}
