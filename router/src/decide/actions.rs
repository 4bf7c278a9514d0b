//! The commands one by one. Each checks everything before it changes anything.

use patchbay_message::{
    AgentId, Command, Content, Direction, Envelope, MessageId, ReceiptState, SignalBody, Time,
};
use patchbay_store::{
    Agent, Conversation, ConversationState, MessageKind, MessageRow, Presence, Role,
};

use super::{
    Board, Voice,
    command::{Refusal, refuse},
    notice, outbound, preview,
};
use crate::states::{self, Next, Trigger};

/// What all of them need.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    /// What carried the command.
    pub(super) envelope: &'a Envelope,
    /// The command.
    pub(super) command: &'a Command,
    /// The conversation as it was.
    pub(super) conversation: &'a Conversation,
    /// Who asks.
    pub(super) voice: Voice<'a>,
}

/// Where the trigger leads, if it is allowed and leads to one state.
fn next(conversation: &Conversation, trigger: Trigger) -> Result<ConversationState, Refusal> {
    match states::next(conversation.state, trigger) {
        Next::To(to) => Ok(to),
        Next::OpenOrWaiting => Ok(ConversationState::Open),
        Next::Another | Next::Refused => refuse(
            "state",
            format!(
                "not possible while the conversation is {}",
                conversation.state
            ),
        ),
    }
}

pub(super) fn check_content(command: &Command) -> Result<(), Refusal> {
    let blank = |part: &Content| part.as_text().is_some_and(|text| text.trim().is_empty());
    if command.content.iter().all(blank) {
        return refuse("content", "there is nothing to say");
    }
    Ok(command.check()?)
}

/// A reply that has its numbers and is in the outbox; its row is not written yet.
struct Sent {
    id: MessageId,
    thread_seq: u64,
    out_seq: u64,
    expires_at: Time,
}

pub(super) fn reply(board: &mut Board<'_>, order: Order<'_>) -> Result<MessageId, Refusal> {
    let Order {
        command,
        conversation,
        voice,
        ..
    } = order;
    check_content(command)?;
    let trigger = match voice {
        Voice::Agent(_) => Trigger::AgentReply,
        Voice::System => Trigger::SystemReply,
    };
    let to = next(conversation, trigger)?;
    // Who answers a conversation that nobody has takes it.
    let agent = conversation.agent_id.or(voice.id());
    let takes = agent.filter(|_| conversation.agent_id.is_none());
    let sent = send(board, order)?;
    board.shift(conversation.id, to, agent, true);
    if let (Some(_), Voice::Agent(taker)) = (takes, voice) {
        told_assigned(board, conversation, taker, voice);
    }
    let id = write(board, order, &sent);
    if let Some(held) = board.conversation_mut(conversation.id)
        && voice.id().is_some()
    {
        held.unread = 0;
    }
    Ok(id)
}

/// A reply that belongs to a ticket: it goes out whatever state the conversation is in, and leaves
/// its state, its agent and what is unread as they are.
pub(super) fn send_beside(board: &mut Board<'_>, order: Order<'_>) -> Result<MessageId, Refusal> {
    check_content(order.command)?;
    let sent = send(board, order)?;
    Ok(write(board, order, &sent))
}

/// Numbers a reply and puts it into the outbox.
fn send(board: &mut Board<'_>, order: Order<'_>) -> Result<Sent, Refusal> {
    let Some(mut thread) = board.thread(order.conversation.thread_id).cloned() else {
        return refuse("not_found", "the conversation has no thread");
    };
    thread.last_seq += 1;
    thread.last_out_seq += 1;
    let id = MessageId((board.ids)());
    let (shard, body) = outbound::envelope(board, id, &thread, order)?;
    if let Some(held) = board.thread_mut(thread.id) {
        held.clone_from(&thread);
    }
    board.add_outbox(shard, id, body);
    Ok(Sent {
        id,
        thread_seq: thread.last_seq,
        out_seq: thread.last_out_seq,
        expires_at: outbound::expires_at(board, &thread, order.command),
    })
}

/// Writes down what was sent.
fn write(board: &mut Board<'_>, order: Order<'_>, sent: &Sent) -> MessageId {
    let mut row = message_row(board, sent.id, order, MessageKind::Message);
    row.thread_seq = Some(sent.thread_seq);
    row.out_seq = Some(sent.out_seq);
    row.state = Some(ReceiptState::Queued);
    row.expires_at = Some(sent.expires_at);
    if let Some(held) = board.conversation_mut(order.conversation.id) {
        held.last_preview = Some(preview(&order.command.content));
        held.last_from = Some(order.voice.word().into());
        held.last_message_at = Some(row.at);
    }
    board.add_message(row);
    sent.id
}

pub(super) fn note(board: &mut Board<'_>, order: Order<'_>) -> Result<MessageId, Refusal> {
    check_content(order.command)?;
    let id = MessageId((board.ids)());
    let row = message_row(board, id, order, MessageKind::Note);
    board.add_message(row);
    Ok(id)
}

/// The row of a reply or note; takes the conversation's next `pos`.
fn message_row(
    board: &mut Board<'_>,
    id: MessageId,
    order: Order<'_>,
    kind: MessageKind,
) -> MessageRow {
    let Order {
        command,
        conversation,
        voice,
        ..
    } = order;
    let now = board.now();
    let pos = board.conversation_mut(conversation.id).map_or(0, |held| {
        held.last_pos += 1;
        held.updated_at = now;
        held.last_pos
    });
    MessageRow {
        id,
        conversation_id: conversation.id,
        thread_id: conversation.thread_id,
        pos,
        thread_seq: None,
        out_seq: None,
        kind,
        direction: Direction::Outbound,
        sender: voice.party(),
        agent_id: voice.id(),
        content: command.content.clone(),
        external_id: None,
        at: now,
        state: None,
        reason: None,
        attempts: 0,
        expires_at: None,
    }
}

pub(super) fn assign(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let Order {
        command,
        conversation,
        voice,
        ..
    } = order;
    let group = match command.group {
        None => None,
        Some(id) => match board.groups.get(&id) {
            Some(group) => Some(group.clone()),
            None => return refuse("not_found", "there is no such group"),
        },
    };
    match command.assignee {
        Some(assignee) => {
            let to = next(conversation, Trigger::Assign)?;
            let agent = assignable(board, assignee)?;
            if conversation.agent_id == Some(assignee) && conversation.state == to {
                return Ok(());
            }
            // What a human says goes beyond the limit and to agents who are not there; what a
            // machine says does not.
            let force = voice.id().is_some();
            if !force {
                has_room(&agent)?;
            }
            board.shift(conversation.id, to, Some(assignee), force);
            told_assigned(board, conversation, &agent, voice);
        }
        None => {
            let to = next(conversation, Trigger::Enqueue)?;
            board.shift(conversation.id, to, None, true);
            if let Some(held) = board.conversation_mut(conversation.id) {
                // Whoever put it back is not to be given it again at once.
                held.last_agent_id = None;
            }
            let text = match &group {
                Some(group) => format!("Put into the queue of {}{}", group.name, voice.by()),
                None => format!("Put into the queue{}", voice.by()),
            };
            notice(board, conversation.id, voice, "queued", &text);
        }
    }
    if let (Some(group), Some(held)) = (group, board.conversation_mut(conversation.id)) {
        held.group_id = Some(group.id);
    }
    Ok(())
}

pub(super) fn assignable(board: &Board<'_>, id: AgentId) -> Result<Agent, Refusal> {
    match board.agents.get(&id) {
        Some(agent) if agent.active && agent.role != Role::Auditor => Ok(agent.clone()),
        _ => refuse("not_found", "there is no such agent to assign to"),
    }
}

pub(super) fn has_room(agent: &Agent) -> Result<(), Refusal> {
    if agent.presence != Presence::Online {
        return refuse("offline", format!("{} is {}", agent.name, agent.presence));
    }
    if agent.load >= agent.capacity {
        return refuse("capacity", format!("{} has no room", agent.name));
    }
    Ok(())
}

/// Console and contact learn who has the conversation now.
fn told_assigned(
    board: &mut Board<'_>,
    conversation: &Conversation,
    agent: &Agent,
    voice: Voice<'_>,
) {
    let text = if voice.id() == Some(agent.id) {
        format!("Taken by {}", agent.name)
    } else {
        format!("Assigned to {}{}", agent.name, voice.by())
    };
    notice(board, conversation.id, voice, "assigned", &text);
    let agent = Some(agent.name.clone());
    board.signal(conversation.thread_id, SignalBody::Assigned { agent });
}

pub(super) fn resolve(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let to = next(order.conversation, Trigger::Resolve)?;
    leave(board, order, to, "resolved", "Resolved");
    Ok(())
}

pub(super) fn close(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let to = next(order.conversation, Trigger::Close)?;
    leave(board, order, to, "closed", "Closed");
    Ok(())
}

/// The conversation leaves its agent.
fn leave(board: &mut Board<'_>, order: Order<'_>, to: ConversationState, what: &str, text: &str) {
    let Order {
        conversation,
        voice,
        ..
    } = order;
    board.shift(conversation.id, to, None, true);
    if let Some(held) = board.conversation_mut(conversation.id) {
        held.unread = 0;
    }
    notice(
        board,
        conversation.id,
        voice,
        what,
        &format!("{text}{}", voice.by()),
    );
    board.signal(conversation.thread_id, SignalBody::Closed);
}

pub(super) fn reopen(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let Order {
        conversation,
        voice,
        ..
    } = order;
    let to = next(conversation, Trigger::Reopen)?;
    // Who asks has it, unless it rests with somebody; nobody asking, whoever had it and has room.
    let had_it = conversation.agent_id.or(conversation.last_agent_id);
    let (to, agent, force) = match (conversation.agent_id, voice.id()) {
        (Some(agent), Some(_)) => (to, Some(agent), true),
        (None, Some(asker)) => (to, Some(asker), true),
        (_, None) => match had_it.filter(|&agent| board.may_take(agent)) {
            Some(agent) => (to, Some(agent), false),
            None => (ConversationState::Waiting, None, false),
        },
    };
    board.shift(conversation.id, to, agent, force);
    let text = format!("Reopened{}", voice.by());
    notice(board, conversation.id, voice, "reopened", &text);
    if let Some(agent) = agent.and_then(|id| board.agents.get(&id)) {
        let agent = Some(agent.name.clone());
        board.signal(conversation.thread_id, SignalBody::Assigned { agent });
    }
    Ok(())
}

pub(super) fn snooze(board: &mut Board<'_>, order: Order<'_>) -> Result<(), Refusal> {
    let Order {
        command,
        conversation,
        voice,
        ..
    } = order;
    let to = next(conversation, Trigger::Snooze)?;
    let Some(until) = command.until.filter(|&until| until > board.now()) else {
        return refuse("content", "`until` has to be a time to come");
    };
    board.shift(conversation.id, to, conversation.agent_id, true);
    if let Some(held) = board.conversation_mut(conversation.id) {
        held.snoozed_until = Some(until);
    }
    let text = format!("Snoozed until {until}{}", voice.by());
    notice(board, conversation.id, voice, "snoozed", &text);
    Ok(())
}
