//! A contact says something: contact, thread and conversation are found or made, the message gets
//! its numbers.

use patchbay_message::{
    Attributes, ContactId, Content, ConversationId, Direction, Envelope, MessageId, Party,
    ThreadId, Time,
};
use patchbay_store::{
    Contact, Conversation, ConversationState, MediaFetch, MessageKind, MessageRow, ReplyWindow,
    Thread,
};

use super::{Board, Ending, Voice, notice, preview, report};
use crate::states::{self, Next, Trigger};

pub(super) fn take(
    board: &mut Board<'_>,
    id: MessageId,
    envelope: &Envelope,
) -> (Ending, Option<ConversationId>) {
    if let Some(key) = &envelope.dedupe_key {
        if board.holder(key).is_some() {
            return (Ending::Repeat, None);
        }
        board.claim(key, envelope.id);
    }
    board.processed(id);
    let sender = envelope
        .sender
        .as_ref()
        .expect("an item is a message only if it has a sender");
    let thread = thread_of(board, envelope, sender);
    if report::is_report(board, envelope, thread) {
        return report::take(board, envelope, sender, thread);
    }
    let conversation = conversation_of(board, envelope, thread);
    say(board, envelope, sender, thread, conversation);
    report::beside(board, envelope, sender, thread, conversation);
    (Ending::Routed, Some(conversation))
}

/// The sender's thread, made if this address never wrote before; the contact is kept up to date.
fn thread_of(board: &mut Board<'_>, envelope: &Envelope, sender: &Party) -> ThreadId {
    let id = ThreadId::of(&envelope.channel.id, &sender.address);
    let Some(known) = board.thread(id) else {
        let contact_id = ContactId((board.ids)());
        board.add_contact(Contact {
            id: contact_id,
            name: sender.name.clone(),
            locale: sender.locale.clone(),
            attributes: sender.attributes.clone(),
            created_at: board.now(),
        });
        board.add_thread(Thread {
            id,
            channel: envelope.channel.id.clone(),
            channel_kind: envelope.channel.kind.clone(),
            address: sender.address.clone(),
            contact_id,
            partition: board.context.partition,
            verified: sender.verified,
            last_seq: 0,
            last_out_seq: 0,
            delivered_seq: 0,
            read_seq: 0,
            version: 1,
        });
        return id;
    };
    let (contact_id, was_verified) = (known.contact_id, known.verified);
    if board
        .contact(contact_id)
        .is_some_and(|contact| is_news(contact, sender))
        && let Some(contact) = board.contact_mut(contact_id)
    {
        contact.name = sender.name.clone().or(contact.name.take());
        contact.locale = sender.locale.clone().or(contact.locale.take());
        merge(&mut contact.attributes, &sender.attributes);
    }
    if sender.verified
        && !was_verified
        && let Some(thread) = board.thread_mut(id)
    {
        thread.verified = true;
    }
    id
}

fn is_news(contact: &Contact, sender: &Party) -> bool {
    (sender.name.is_some() && sender.name != contact.name)
        || (sender.locale.is_some() && sender.locale != contact.locale)
        || (sender.attributes.iter()).any(|(key, value)| contact.attributes.get(key) != Some(value))
}

fn merge(attributes: &mut Attributes, news: &Attributes) {
    for (key, value) in news {
        attributes.insert(key.clone(), value.clone());
    }
}

/// The conversation the message belongs to, moved by it, or a new one.
fn conversation_of(board: &mut Board<'_>, envelope: &Envelope, thread: ThreadId) -> ConversationId {
    let current = board
        .current(thread)
        .and_then(|id| board.conversation(id))
        .map(|row| (row.id, row.state, row.agent_id, row.last_agent_id));
    let Some((id, from, agent, last_agent)) = current else {
        return begin(board, envelope, thread, ConversationState::New);
    };
    match states::next(from, Trigger::ContactMessage) {
        Next::To(to) => board.shift(id, to, agent, false),
        Next::OpenOrWaiting => take_up(board, id, agent.or(last_agent)),
        Next::Another | Next::Refused => {
            return begin(board, envelope, thread, ConversationState::New);
        }
    }
    id
}

/// A resting conversation is taken up again: by the agent who had it, or by the queue.
fn take_up(board: &mut Board<'_>, id: ConversationId, had_it: Option<patchbay_message::AgentId>) {
    match had_it.filter(|&agent| board.may_take(agent)) {
        Some(agent) => board.shift(id, ConversationState::Open, Some(agent), false),
        None => board.shift(id, ConversationState::Waiting, None, false),
    }
    notice(
        board,
        id,
        Voice::System,
        "reopened",
        "Taken up again by the contact's message",
    );
}

/// A conversation begins, in this state.
pub(super) fn begin(
    board: &mut Board<'_>,
    envelope: &Envelope,
    thread: ThreadId,
    state: ConversationState,
) -> ConversationId {
    let now = board.now();
    let id = ConversationId((board.ids)());
    let contact_id = board
        .thread(thread)
        .expect("the thread was found or made before its conversation")
        .contact_id;
    let group_id = board.group_of(&envelope.channel.id);
    board.add_conversation(Conversation {
        id,
        contact_id,
        thread_id: thread,
        channel: envelope.channel.id.clone(),
        partition: board.context.partition,
        state,
        group_id,
        agent_id: None,
        last_agent_id: None,
        waiting_since: states::queued(state).then_some(now),
        snoozed_until: None,
        created_at: now,
        updated_at: now,
        last_pos: 0,
        unread: 0,
        last_preview: None,
        last_from: None,
        last_message_at: None,
        version: 1,
    });
    id
}

/// Numbers the message and writes it down.
fn say(
    board: &mut Board<'_>,
    envelope: &Envelope,
    sender: &Party,
    thread: ThreadId,
    conversation: ConversationId,
) {
    let now = board.now();
    board.out.windows.extend(window(envelope, thread));
    board.out.fetches.extend(fetch(envelope, now));
    let mut line = row(envelope, sender, thread, conversation, now);
    line.thread_seq = board.thread_mut(thread).map(|row| {
        row.last_seq += 1;
        row.last_seq
    });
    let row = board
        .conversation_mut(conversation)
        .expect("the conversation was found or made before its message");
    row.last_pos += 1;
    row.unread = row.unread.saturating_add(1);
    row.last_preview = Some(preview(&envelope.content));
    row.last_from = Some("contact".into());
    row.last_message_at = Some(line.at);
    row.updated_at = now;
    line.pos = row.last_pos;
    board.add_message(line);
}

/// How long and how often the message lets us answer, if its channel says.
fn window(envelope: &Envelope, thread: ThreadId) -> Option<ReplyWindow> {
    let reply = envelope.reply.as_ref()?;
    (reply.expires_at.is_some() || reply.quota.is_some()).then_some(ReplyWindow {
        thread,
        message: envelope.id,
        ends_at: reply.expires_at,
        quota: reply.quota,
    })
}

/// Files that are still at the provider are fetched afterwards: what was said is there at once.
fn fetch(envelope: &Envelope, now: Time) -> Option<MediaFetch> {
    let is_away = |part: &Content| match part {
        Content::Known(part) => part.media().is_some_and(|media| media.handle().is_some()),
        Content::Other(_) => false,
    };
    let is_away = envelope.content.iter().any(is_away);
    is_away.then(|| MediaFetch {
        message: envelope.id,
        channel: envelope.channel.id.clone(),
        due: now,
        attempts: 0,
    })
}

/// What came in as a row that has no numbers yet.
pub(super) fn row(
    envelope: &Envelope,
    sender: &Party,
    thread: ThreadId,
    conversation: ConversationId,
    now: Time,
) -> MessageRow {
    MessageRow {
        id: envelope.id,
        conversation_id: conversation,
        thread_id: thread,
        pos: 0,
        thread_seq: None,
        out_seq: None,
        kind: MessageKind::Message,
        direction: Direction::Inbound,
        sender: sender.clone(),
        agent_id: None,
        content: envelope.content.clone(),
        external_id: envelope.external_id.clone(),
        // A sender's clock may be ahead; what was said is never said in the future.
        at: envelope.sent_at.unwrap_or(envelope.received_at).min(now),
        state: None,
        reason: None,
        attempts: 0,
        expires_at: None,
    }
}
