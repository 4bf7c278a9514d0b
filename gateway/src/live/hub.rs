//! Who is connected to this gateway, by thread.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{ChannelId, InstanceId, ThreadId, Time};
use patchbay_sdk::{Nudge, QueueState};
use patchbay_store::{LiveChange, StoreError};
use tokio::sync::mpsc;

use super::Registrar;

/// Pushes a connection may have waiting; what is dropped beyond it is found again in the history.
const PUSHES_MAX: usize = 32;

/// Something for a live connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Push {
    /// The thread's message with this number, as a frame.
    Frame {
        /// Its number.
        seq: u64,
        /// How it looks on the wire.
        frame: Arc<str>,
    },
    /// The thread has at least this number: read the history.
    Newest(u64),
    /// An agent types, or has stopped.
    Typing {
        /// The agent's display name.
        name: Option<String>,
        /// Typing or not.
        on: bool,
    },
    /// The agent has read up to here.
    Seen(u64),
    /// The place in the waiting queue changed.
    Queue(QueueState),
    /// The device has connected to another gateway then: a connection from before that ends.
    TakenOver(Time),
}

/// The live connections of one gateway.
pub struct Hub {
    instance: InstanceId,
    registrar: Registrar,
    threads: Mutex<HashMap<ThreadId, Vec<Arc<Member>>>>,
    ids: AtomicU64,
}

pub(super) struct Member {
    id: u64,
    pub(super) channel: ChannelId,
    pub(super) address: String,
    /// The greatest number the client was sent without a gap.
    pub(super) cursor: AtomicU64,
    push: mpsc::Sender<Push>,
}

/// A connection's place in the hub; dropping it leaves.
pub struct Registration {
    hub: Arc<Hub>,
    thread: ThreadId,
    member: Arc<Member>,
    pushes: mpsc::Receiver<Push>,
}

/// Why a connection was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The address holds as many connections as its channel allows.
    #[error("too many connections of this address")]
    TooMany,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Hub {
    /// A hub without connections.
    #[must_use]
    pub fn new(instance: InstanceId, registrar: Registrar) -> Arc<Self> {
        Arc::new(Self {
            instance,
            registrar,
            threads: Mutex::default(),
            ids: AtomicU64::new(0),
        })
    }

    /// Registers a connection of an address. When this returns, sinks can find this gateway: what
    /// is committed from now on is pushed, what was committed before is in the history.
    ///
    /// # Errors
    /// [`RegisterError`]: the connection has to be refused.
    pub async fn register(
        self: &Arc<Self>,
        channel: &ChannelId,
        address: &str,
        after: u64,
        each_max: u32,
    ) -> Result<Registration, RegisterError> {
        let thread = ThreadId::of(channel, address);
        let (push, pushes) = mpsc::channel(PUSHES_MAX);
        let member = Arc::new(Member {
            id: self.ids.fetch_add(1, Ordering::Relaxed),
            channel: channel.clone(),
            address: address.to_owned(),
            cursor: AtomicU64::new(after),
            push,
        });
        {
            let mut threads = self.threads.lock();
            let members = threads.entry(thread).or_default();
            if members.len() >= usize::try_from(each_max).unwrap_or(usize::MAX) {
                metrics::counter!("patchbay_ingress_bound_hit_total", "bound" => "connections_per_address")
                    .increment(1);
                return Err(RegisterError::TooMany);
            }
            members.push(Arc::clone(&member));
        }
        // From here on dropping the registration cleans up, whatever happens.
        let registration = Registration {
            hub: Arc::clone(self),
            thread,
            member,
            pushes,
        };
        self.registrar
            .live(LiveChange {
                thread,
                gateway: self.instance.clone(),
                on: true,
            })
            .await?;
        Ok(registration)
    }

    /// Pushes to every connection of a thread; answers how many there are.
    pub fn push(&self, thread: ThreadId, push: &Push) -> usize {
        let threads = self.threads.lock();
        let Some(members) = threads.get(&thread) else {
            return 0;
        };
        for member in members {
            if member.push.try_send(push.clone()).is_err() {
                metrics::counter!("patchbay_ingress_bound_hit_total", "bound" => "pushes_per_connection")
                    .increment(1);
            }
        }
        members.len()
    }

    /// Connections of this gateway.
    pub fn connections(&self) -> usize {
        self.threads.lock().values().map(Vec::len).sum()
    }

    /// Tells another gateway that a device is connected here since then.
    pub fn tell_taken_over(
        &self,
        bus: &dyn Bus,
        gateway: &InstanceId,
        thread_id: ThreadId,
        since: Time,
    ) {
        if let Ok(body) = serde_json::to_vec(&Nudge::TakenOver { thread_id, since }) {
            bus.nudge(&Mailbox::Gateway(gateway.0.clone()), body.into());
        }
    }

    /// What a contact has seen: written in the background, in batches.
    pub fn seen(
        &self,
        channel: &ChannelId,
        address: &str,
        delivered: Option<u64>,
        read: Option<u64>,
    ) {
        let thread = ThreadId::of(channel, address);
        self.registrar.seen(patchbay_store::Seen {
            thread,
            delivered,
            read,
        });
    }

    /// Every `of`-th connection, the `turn`-th slice: for the comparison of cursors.
    pub(super) fn slice(&self, turn: u64, of: u64) -> Vec<Arc<Member>> {
        let threads = self.threads.lock();
        threads
            .values()
            .flatten()
            .filter(|member| member.id % of == turn % of)
            .cloned()
            .collect()
    }

    fn leave(&self, thread: ThreadId, member: &Member) {
        let mut threads = self.threads.lock();
        let Some(members) = threads.get_mut(&thread) else {
            return;
        };
        members.retain(|other| other.id != member.id);
        if members.is_empty() {
            threads.remove(&thread);
            let gone = LiveChange {
                thread,
                gateway: self.instance.clone(),
                on: false,
            };
            // Under the lock, so that a connection that comes at the same time is written after it.
            self.registrar.gone(gone);
        }
    }
}

impl Member {
    pub(super) fn tell_newest(&self, newest: u64) {
        let _ = self.push.try_send(Push::Newest(newest));
    }
}

impl Registration {
    /// The next push.
    pub async fn next(&mut self) -> Option<Push> {
        self.pushes.recv().await
    }

    /// The next push, if it is there already.
    pub fn try_next(&mut self) -> Option<Push> {
        self.pushes.try_recv().ok()
    }

    /// Everything up to `seq` was sent to the client.
    pub fn advance(&self, seq: u64) {
        self.member.cursor.store(seq, Ordering::Relaxed);
    }

    /// The greatest number the client was sent without a gap.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.member.cursor.load(Ordering::Relaxed)
    }

    /// Whose thread it is.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        self.thread
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.hub.leave(self.thread, &self.member);
    }
}
