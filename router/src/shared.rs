//! What all of the router's tasks have at hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{Clock, InstanceId, LiveSignal, LogNudge};
use patchbay_store::{Desk, Journal, Leases, Store};
use serde::Serialize;
use tokio::sync::Notify;

use crate::{backoff::Backoff, options::RouterOptions};

/// The mailbox type that wakes the assigner because of a conversation.
pub(crate) const CONVERSATION: &str = "conversation";
/// The mailbox type that wakes the assigner because of an agent.
pub(crate) const AGENT: &str = "agent";

/// Readers of the event log are told this often at most.
const TELL_EVERY: Duration = Duration::from_millis(2);

/// The parts of the store that the router needs. Any [`Store`] has them all.
#[derive(Clone)]
pub struct Stores {
    /// Duties.
    pub leases: Arc<dyn Leases>,
    /// Facts and commits.
    pub journal: Arc<dyn Journal>,
    /// Agents and their conversations.
    pub desk: Arc<dyn Desk>,
}

impl From<Arc<dyn Store>> for Stores {
    fn from(store: Arc<dyn Store>) -> Self {
        Self {
            leases: store.clone(),
            journal: store.clone(),
            desk: store,
        }
    }
}

/// Bus, store, clock and settings.
pub(crate) struct Shared {
    pub(crate) options: RouterOptions,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) instance: InstanceId,
    /// The newest number of the event log that was written here.
    pub(crate) newest: AtomicU64,
    /// It has risen.
    pub(crate) news: Notify,
}

/// Why a duty's task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to stop and left everything in order.
    Stopped,
    /// Somebody else has the duty.
    Fenced,
}

impl Shared {
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.options.retry_min, self.options.retry_max)
    }

    /// Tells readers of the event log that there is something new.
    pub(crate) fn nudge_log(&self, seq: u64) {
        if seq > 0 {
            self.newest.fetch_max(seq, Ordering::Relaxed);
            self.news.notify_one();
        }
    }

    /// Sends what [`Self::nudge_log`] wants told, for ever. A reader needs no more than the newest
    /// number, and partitions commit together: one nudge tells of all of them.
    pub(crate) async fn tell_log(&self) {
        loop {
            self.news.notified().await;
            let seq = self.newest.load(Ordering::Relaxed);
            self.nudge(LogNudge::MAILBOX, &LogNudge { seq });
            tokio::time::sleep(TELL_EVERY).await;
        }
    }

    pub(crate) fn nudge_signals(&self, signals: &[LiveSignal]) {
        for signal in signals {
            self.nudge(LiveSignal::MAILBOX, signal);
        }
    }

    pub(crate) fn nudge<T: Serialize>(&self, kind: &str, body: &T) {
        let body = serde_json::to_vec(body).expect("a nudge is always JSON");
        self.bus
            .nudge(&Mailbox::Event(kind.to_owned()), Bytes::from(body));
    }
}
