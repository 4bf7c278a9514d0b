//! The rules of receipts on rows that are in memory. Pure.

use std::collections::BTreeMap;

use patchbay_message::{ConversationId, MessageId, ReceiptState, ThreadId};
use serde_json::json;

use super::expects::Expects;
use crate::{Changes, NewEvent, ReceiptWord, Seen, postgres::events};

/// What rose by one commit, and the events to be written of it.
#[derive(Default)]
pub(in crate::postgres) struct Rose {
    pub(in crate::postgres) delivered: Vec<(MessageId, ReceiptState)>,
    pub(in crate::postgres) deliveries: Vec<NewEvent>,
    pub(in crate::postgres) seen: Vec<NewEvent>,
}

/// A part of a message that went out under an external id; or a word on one we do not know yet.
pub(super) struct Part {
    pub(super) message: Option<MessageId>,
    pub(super) part: i32,
    pub(super) state: Option<ReceiptState>,
    pub(super) reason: Option<String>,
    pub(super) changed: bool,
}

/// An outbound message.
pub(super) struct Message {
    pub(super) thread: ThreadId,
    pub(super) thread_seq: u64,
    pub(super) conversation: ConversationId,
    pub(super) state: Option<ReceiptState>,
    pub(super) attempts: u32,
    /// Of the newest state.
    pub(super) reason: Option<String>,
    pub(super) rose: bool,
    pub(super) counted: bool,
}

/// The numbers of a thread.
pub(super) struct Thread {
    pub(super) last: u64,
    pub(super) delivered: u64,
    pub(super) read: u64,
    pub(super) rose: bool,
}

/// The rows concerned. Ordered, so that they are written in the order of their keys.
#[derive(Default)]
pub(super) struct Model {
    /// By channel and external id.
    pub(super) parts: BTreeMap<(String, String), Part>,
    pub(super) messages: BTreeMap<MessageId, Message>,
    pub(super) threads: BTreeMap<ThreadId, Thread>,
    /// The conversation of a thread that an event is about.
    pub(super) conversations: BTreeMap<ThreadId, ConversationId>,
    /// Answers that are waited for.
    pub(super) expects: Expects,
}

impl Model {
    pub(super) fn apply(&mut self, changes: &Changes) -> Rose {
        let mut rose = Rose::default();
        for (channel, external_id, message, part) in &changes.sent {
            let key = (channel.to_string(), external_id.clone());
            if let Some(found) = self.parts.get_mut(&key) {
                found.belongs(*message, i32::from(*part));
            }
        }
        // All parts are there before any is added up.
        for (_, _, message, _) in &changes.sent {
            self.add_up(*message, None, &mut rose);
        }
        for row in &changes.expects {
            self.expects.wait(row, &self.parts, &self.messages);
        }
        for word in &changes.receipts {
            if self.expects.is_void(word) {
                continue;
            }
            if let Some(message) = word.message {
                self.own_word(message, word, &mut rose);
            }
            if let Some(external_id) = &word.external_id {
                self.provider_word(external_id, word, &mut rose);
            }
            if let Some(which) = word.ends() {
                self.expects.end(word, which, &self.parts);
            }
        }
        for seen in &changes.seen {
            self.watermarks(seen, &mut rose);
        }
        rose
    }

    /// Our own word is on the whole message.
    fn own_word(&mut self, id: MessageId, word: &ReceiptWord, rose: &mut Rose) {
        if let (Some(message), Some(attempts)) = (self.messages.get_mut(&id), word.attempts)
            && attempts > message.attempts
        {
            message.attempts = attempts;
            message.counted = true;
        }
        self.raise(id, &word.state, word.reason.as_deref(), word.rank(), rose);
    }

    /// The provider's word is on one part, of a message that we may not know yet.
    fn provider_word(&mut self, external_id: &str, word: &ReceiptWord, rose: &mut Rose) {
        let key = (word.channel.to_string(), external_id.to_owned());
        let Some(part) = self.parts.get_mut(&key) else {
            return;
        };
        if word.rank() <= rank(part.state.as_ref()) {
            return;
        }
        part.state = Some(word.state.clone());
        part.reason.clone_from(&word.reason);
        part.changed = true;
        if let Some(message) = part.message {
            self.add_up(message, Some(word), rose);
        }
    }

    /// A message is as far as the part that is least far; a part that failed fails it.
    fn add_up(&mut self, id: MessageId, word: Option<&ReceiptWord>, rose: &mut Rose) {
        let mut parts: Vec<&Part> = self
            .parts
            .values()
            .filter(|part| part.message == Some(id))
            .collect();
        parts.sort_by_key(|part| part.part);
        let failed = parts.iter().find(|part| {
            matches!(
                part.state,
                Some(ReceiptState::Failed | ReceiptState::Expired)
            )
        });
        let least = || parts.iter().min_by_key(|part| rank(part.state.as_ref()));
        let Some(part) = failed.or_else(least) else {
            return;
        };
        if let (Some(state), reason) = (part.state.clone(), part.reason.clone()) {
            let rank = match word {
                Some(word) if word.state == state => word.rank(),
                _ => state.rank(),
            };
            self.raise(id, &state, reason.as_deref(), rank, rose);
        }
    }

    /// Takes the state if one of that rank takes the place of what is there.
    fn raise(
        &mut self,
        id: MessageId,
        state: &ReceiptState,
        reason: Option<&str>,
        by_rank: u8,
        rose: &mut Rose,
    ) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        if by_rank <= rank(message.state.as_ref()) {
            return;
        }
        message.state = Some(state.clone());
        message.reason = reason.map(str::to_owned);
        message.rose = true;
        rose.delivered.push((id, state.clone()));
        rose.deliveries.push(events::about(
            "delivery",
            Some(message.conversation),
            json!({
                "conversation_id": message.conversation,
                "message_id": id,
                "delivery": { "state": state, "reason": reason, "attempts": message.attempts },
            }),
        ));
    }

    /// Watermarks rise, never past what there is; outbound messages that they pass rise with them.
    fn watermarks(&mut self, seen: &Seen, rose: &mut Rose) {
        let Some(thread) = self.threads.get_mut(&seen.thread) else {
            return;
        };
        let (delivered_before, read_before) = (thread.delivered, thread.read);
        let read = seen.read.unwrap_or(0).min(thread.last).max(read_before);
        let delivered = seen.delivered.unwrap_or(0).min(thread.last);
        let delivered = delivered.max(delivered_before).max(read);
        if (delivered, read) == (delivered_before, read_before) {
            return;
        }
        (thread.delivered, thread.read, thread.rose) = (delivered, read, true);
        for id in self.passed(seen.thread, read_before, read) {
            let state = ReceiptState::Read;
            self.raise(id, &state, None, state.rank(), rose);
        }
        for id in self.passed(seen.thread, delivered_before.max(read), delivered) {
            let state = ReceiptState::Delivered;
            self.raise(id, &state, None, state.rank(), rose);
        }
        let conversation = self.conversations.get(&seen.thread).copied();
        rose.seen.push(events::about(
            "seen",
            conversation,
            json!({ "conversation_id": conversation, "delivered": delivered, "read": read }),
        ));
    }

    /// Outbound messages of a thread with numbers after `from`, up to `to`.
    fn passed(&self, thread: ThreadId, from: u64, to: u64) -> Vec<MessageId> {
        let mut passed: Vec<(u64, MessageId)> = self
            .messages
            .iter()
            .filter(|(_, m)| m.thread == thread && m.thread_seq > from && m.thread_seq <= to)
            .map(|(id, m)| (m.thread_seq, *id))
            .collect();
        passed.sort_unstable();
        passed.into_iter().map(|(_, id)| id).collect()
    }
}

impl Part {
    /// The part went out under this external id. A provider that gives an id again means another
    /// message by it, and what it said before was about the other.
    fn belongs(&mut self, message: MessageId, part: i32) {
        if self.message == Some(message) {
            return;
        }
        if self.message.is_some() {
            self.state = None;
            self.reason = None;
        }
        self.message = Some(message);
        self.part = part;
        self.changed = true;
    }
}

fn rank(state: Option<&ReceiptState>) -> u8 {
    state.map_or(0, ReceiptState::rank)
}
