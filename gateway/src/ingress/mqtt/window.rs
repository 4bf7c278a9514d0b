//! What a device was sent and has not acknowledged, and what was read behind it, in order. Never
//! more than the device takes: one that acknowledges everything but the first is sent no more.

use std::collections::VecDeque;

use patchbay_message::MessageId;
use patchbay_sdk::Await;

/// The messages on their way to one device.
pub(super) struct Window {
    /// Entries from the first that waits for its PUBACK on, at most.
    size: usize,
    open: VecDeque<Entry>,
    next_id: u16,
}

/// A message that was read.
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) message: MessageId,
    /// Waits for this packet's PUBACK; 0 = it is through.
    pub(super) id: u16,
    /// What the device is to answer by, and in which time.
    pub(super) awaits: Option<(String, Await)>,
    /// It was sent, or there is a word on it: worth writing down.
    pub(super) counts: bool,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            open: VecDeque::new(),
            next_id: 0,
        }
    }

    /// How many more there is room for. What came through behind one that waits takes room too.
    pub(super) fn room(&self) -> usize {
        let waiting = self.open.iter().skip_while(|entry| entry.id == 0);
        self.size.saturating_sub(waiting.count())
    }

    /// How many wait for their PUBACK.
    pub(super) fn n_unacked(&self) -> usize {
        self.open.iter().filter(|entry| entry.id != 0).count()
    }

    /// A packet id that no message on its way has.
    pub(super) fn id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if self.open.iter().all(|entry| entry.id != self.next_id) {
                return self.next_id;
            }
        }
    }

    /// The next one; however much comes through behind one that waits without being sent, or with
    /// QoS 0, it is one entry.
    pub(super) fn push(&mut self, entry: Entry) {
        let last = self.open.back_mut();
        match last.filter(|last| last.id == 0 && entry.id == 0) {
            Some(last) => {
                last.seq = entry.seq;
                last.counts |= entry.counts;
            }
            None => self.open.push_back(entry),
        }
    }

    /// The PUBACK of a packet has come: which message that was, and what is to be answered.
    pub(super) fn acked(&mut self, id: u16) -> Option<(MessageId, Option<(String, Await)>)> {
        let mut waiting = self.open.iter_mut().filter(|entry| entry.id != 0);
        let entry = waiting.find(|entry| entry.id == id)?;
        entry.id = 0;
        Some((entry.message, entry.awaits.take()))
    }

    /// Forgets what is through at the front; answers up to where, if that is worth writing.
    pub(super) fn settle(&mut self) -> Option<u64> {
        let mut through = None;
        while let Some(entry) = self.open.pop_front_if(|entry| entry.id == 0) {
            if entry.counts {
                through = Some(entry.seq);
            }
        }
        through
    }
}
