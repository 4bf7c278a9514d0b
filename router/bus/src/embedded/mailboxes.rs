//! Lossy addresses within this process: a bounded queue for each listener.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::{Mailbox, meter};

/// The type that stands for all types when listening.
const ANY: &str = "*";

pub(super) struct Mailboxes {
    capacity: usize,
    listeners: RwLock<HashMap<Mailbox, Vec<mpsc::Sender<Bytes>>>>,
}

impl Mailboxes {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            listeners: RwLock::default(),
        }
    }

    pub(super) fn open(&self, mailbox: Mailbox) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(self.capacity);
        let mut listeners = self.listeners.write();
        // Listeners that went are swept here, so their number is bounded by those alive.
        listeners.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        listeners.entry(mailbox).or_default().push(sender);
        receiver
    }

    pub(super) fn send(&self, mailbox: &Mailbox, body: &Bytes) {
        let listeners = self.listeners.read();
        let any = match mailbox {
            Mailbox::Event(kind) if kind != ANY => listeners.get(&Mailbox::Event(ANY.to_owned())),
            Mailbox::Event(_) | Mailbox::Gateway(_) | Mailbox::Sinks(_) => None,
        };
        for sender in listeners.get(mailbox).into_iter().chain(any).flatten() {
            if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(body.clone()) {
                meter::bound_hit("mailbox_max");
            }
        }
    }

    /// Ends every listener.
    pub(super) fn close(&self) {
        self.listeners.write().clear();
    }
}
