//! A device reports: a message that asks nobody to answer. What it says of faults becomes a line in
//! the device's conversation and moves tickets; readings and events only say how the device stands.

use patchbay_message::{
    Content, ConversationId, Envelope, Fault, MessageId, Part, Party, ThreadId,
};
use patchbay_store::{ConversationState, Want};

use super::{Board, Ending, Voice, device, fault, message, notice, preview};
use crate::states::{self, Next, Trigger};

/// The hint by which an adapter says that a sender is a device, for messages that do not show it.
const DEVICE_HINT: &str = "device";

/// A message that a device has sent, as far as the device is concerned.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    /// What carried it.
    pub(super) envelope: &'a Envelope,
    /// The device.
    pub(super) address: &'a str,
    /// Its thread.
    pub(super) thread: ThreadId,
    /// Where it was written down, if it was.
    pub(super) conversation: Option<ConversationId>,
}

impl Said<'_> {
    /// It is what a broker keeps of the device, not something new.
    pub(super) fn is_retained(&self) -> bool {
        is_set(self.envelope, "retained")
    }

    /// The message, if it was written down.
    pub(super) fn message(&self) -> Option<MessageId> {
        self.conversation.map(|_| self.envelope.id)
    }
}

pub(super) fn is_set(envelope: &Envelope, attribute: &str) -> bool {
    envelope.attributes.get(attribute) == Some(&true.into())
}

/// The faults a message speaks of.
pub(super) fn faults(envelope: &Envelope) -> impl Iterator<Item = &Fault> {
    envelope.content.iter().filter_map(|part| match part {
        Content::Known(Part::Fault { fault, .. }) => Some(fault),
        _ => None,
    })
}

/// Whether the sender is a device: only devices have faults and readings. Events happen on people's
/// channels as well.
fn is_of_device(envelope: &Envelope) -> bool {
    let tells = |part: &Content| {
        matches!(
            part,
            Content::Known(Part::Fault { .. } | Part::Telemetry { .. })
        )
    };
    envelope.content.iter().any(tells)
        || device::hint(envelope).is_some()
        || envelope.thread_hints.get(DEVICE_HINT) == Some(&true.into())
}

/// Whether it holds nothing but faults, readings and events.
fn only_tells(envelope: &Envelope) -> bool {
    let tells = |part: &Content| {
        matches!(
            part,
            Content::Known(Part::Fault { .. } | Part::Telemetry { .. } | Part::Event { .. })
        )
    };
    !envelope.content.is_empty() && envelope.content.iter().all(tells)
}

/// Whether nobody is asked to answer.
pub(super) fn is_report(board: &Board<'_>, envelope: &Envelope, thread: ThreadId) -> bool {
    only_tells(envelope) && (is_of_device(envelope) || board.device(thread).is_some())
}

/// What has to be known to decide on what a device has sent.
pub(super) fn want(want: &mut Want, envelope: &Envelope, sender: &Party) {
    if !is_of_device(envelope) && !only_tells(envelope) {
        return;
    }
    let channel = &envelope.channel.id;
    want.devices.push(ThreadId::of(channel, &sender.address));
    for fault in faults(envelope) {
        let key = (channel.clone(), fault.device.clone(), fault.code.clone());
        want.faults.push(key);
    }
    if let Some(silence) = device::hint(envelope) {
        let key = (channel.clone(), sender.address.clone(), silence.code);
        want.faults.push(key);
    }
}

/// A report: the conversation's state, its agent and what is unread stay as they are.
pub(super) fn take(
    board: &mut Board<'_>,
    envelope: &Envelope,
    sender: &Party,
    thread: ThreadId,
) -> (Ending, Option<ConversationId>) {
    if device::was_heard_since(board, envelope, thread) {
        return (Ending::Routed, None);
    }
    let mut said = Said {
        envelope,
        address: &sender.address,
        thread,
        conversation: None,
    };
    if faults(envelope).any(|fault| fault::is_news(board, said, fault)) {
        let conversation = conversation_of(board, envelope, thread);
        write(board, envelope, sender, thread, conversation);
        said.conversation = Some(conversation);
    }
    apply(board, said);
    (Ending::Routed, said.conversation)
}

/// The conversation the report is a line of. One that is at rest and full is closed, so that its lines
/// go when their time has come, and another begins. Tickets keep theirs.
fn conversation_of(board: &mut Board<'_>, envelope: &Envelope, thread: ThreadId) -> ConversationId {
    let lines_max = board.context.rules.report_lines_max;
    let current = board.current(thread).and_then(|id| board.conversation(id));
    match current.map(|row| (row.id, row.state, row.last_pos)) {
        Some((id, ConversationState::Resolved, n)) if n >= lines_max => close(board, id),
        Some((id, ..)) => return id,
        None => {}
    }
    message::begin(board, envelope, thread, ConversationState::Resolved)
}

fn close(board: &mut Board<'_>, id: ConversationId) {
    if let Next::To(to) = states::next(ConversationState::Resolved, Trigger::Close) {
        board.shift(id, to, None, true);
        let text = "Closed: the device's reports go on in another conversation";
        notice(board, id, Voice::System, "closed", text);
    }
}

/// A message that asks for an answer: what it says of the device besides.
pub(super) fn beside(
    board: &mut Board<'_>,
    envelope: &Envelope,
    sender: &Party,
    thread: ThreadId,
    conversation: ConversationId,
) {
    if is_of_device(envelope) {
        let said = Said {
            envelope,
            address: &sender.address,
            thread,
            conversation: Some(conversation),
        };
        apply(board, said);
    }
}

/// Writes the report down; the device sees no number for it.
fn write(
    board: &mut Board<'_>,
    envelope: &Envelope,
    sender: &Party,
    thread: ThreadId,
    conversation: ConversationId,
) {
    let now = board.now();
    let mut line = message::row(envelope, sender, thread, conversation, now);
    if let Some(row) = board.conversation_mut(conversation) {
        row.last_pos += 1;
        row.last_preview = Some(preview(&envelope.content));
        row.last_from = Some("contact".into());
        row.last_message_at = Some(line.at);
        row.updated_at = now;
        line.pos = row.last_pos;
    }
    board.add_message(line);
}

/// In this order: that the device is there at all, then what it says, then how long it may be silent.
fn apply(board: &mut Board<'_>, said: Said<'_>) {
    let back = device::heard(board, said);
    for part in &said.envelope.content {
        match part {
            Content::Known(Part::Fault { fault, .. }) => {
                device::read(
                    board,
                    said.thread,
                    &fault.readings,
                    fault.location,
                    fault.occurred_at,
                );
                fault::take(board, said, fault, &back);
            }
            Content::Known(Part::Telemetry {
                readings, taken_at, ..
            }) => {
                let sent_at = said.envelope.sent_at;
                let at = taken_at.or(sent_at).unwrap_or(said.envelope.received_at);
                device::read(board, said.thread, readings, None, at);
            }
            _ => {}
        }
    }
    device::wind_up(board, said);
}
