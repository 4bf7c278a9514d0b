//! Messages, waiting and collecting, for all tests of the bus.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use patchbay_bus::{Bus, Consumer, Delivery, Message, Queue};
use patchbay_message::MessageId;

/// Nothing here takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long "nothing comes" is watched.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// The bounds a test wants; small ones make them reachable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) queue_length_max: usize,
    pub(crate) mailbox_max: usize,
    /// Bytes kept in memory per queue, where an implementation keeps any.
    pub(crate) tail_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            queue_length_max: 50_000,
            mailbox_max: 64,
            tail_bytes_max: 4 * 1024 * 1024,
        }
    }
}

/// A bus for one test, with queues of its own.
#[async_trait]
pub(crate) trait Fixture: Sized + Send {
    async fn open(bounds: Bounds) -> Self;
    fn bus(&self) -> Arc<dyn Bus>;
    /// Removes what the test left.
    async fn remove(self);
}

/// A message that says which it is.
pub(crate) fn message(label: &str) -> Message {
    Message {
        id: MessageId::new(),
        kind: "message".into(),
        body: Bytes::from(format!(r#"{{"label":"{label}"}}"#)),
    }
}

pub(crate) fn label(message: &Message) -> String {
    let value: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
    value["label"].as_str().unwrap().to_owned()
}

pub(crate) fn labels(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| label(&d.message)).collect()
}

pub(crate) fn numbered(prefix: &str, numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(|n| format!("{prefix}{n}")).collect()
}

/// A batch for one queue.
pub(crate) fn batch(queue: Queue, labels: &[String]) -> Vec<(Queue, Message)> {
    labels.iter().map(|label| (queue, message(label))).collect()
}

/// Waits with a deadline.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Exactly `n` deliveries, not acked.
pub(crate) async fn take(consumer: &mut dyn Consumer, n: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < n {
        let what = format!("delivery {} of {n}", taken.len() + 1);
        let more = within(&what, consumer.recv(n - taken.len())).await.unwrap();
        assert!(!more.is_empty(), "recv came back with nothing");
        taken.extend(more);
    }
    taken
}

/// Fails if anything is delivered for a while.
pub(crate) async fn nothing(consumer: &mut dyn Consumer) {
    if let Ok(more) = tokio::time::timeout(SILENCE, consumer.recv(1)).await {
        panic!(
            "delivered though it should not be: {:?}",
            more.map(|d| labels(&d))
        );
    }
}

/// Acks everything until all `wanted` labels were seen; returns them as they came.
pub(crate) async fn drain(consumer: &mut dyn Consumer, wanted: &HashSet<String>) -> Vec<String> {
    let (mut seen, mut missing) = (Vec::new(), wanted.clone());
    while !missing.is_empty() {
        let what = format!("{} of {} still missing", missing.len(), wanted.len());
        for delivery in within(&what, consumer.recv(100)).await.unwrap() {
            let label = label(&delivery.message);
            missing.remove(&label);
            seen.push(label);
            delivery.ack();
        }
    }
    seen
}

/// Waits until the queue holds `n`.
pub(crate) async fn depth_is(bus: &dyn Bus, queue: Queue, n: u64) {
    let wait = async {
        while bus.depth(queue).await.unwrap() != n {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(&format!("depth {n}"), wait).await;
}
