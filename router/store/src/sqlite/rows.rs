//! Reads whole rows. Each `select_*!` names the columns its reader takes, in that order.

pub(super) mod tickets;

use patchbay_message::{AgentId, Direction, ReceiptState};

use super::{error::Fail, sql::Columns};
use crate::{
    Agent, Contact, Conversation, ConversationState, DeadLetter, Event, MessageKind, MessageRow,
    Parked, Presence, Role, Thread, Token,
};

macro_rules! select_contact {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, locale, attributes, created_at FROM contact ",
            $tail
        )
    };
}

macro_rules! select_thread {
    ($tail:literal) => {
        concat!(
            "SELECT id, channel, channel_kind, address, contact, partition, verified, last_seq, \
             last_out_seq, delivered_seq, read_seq, version FROM thread ",
            $tail
        )
    };
}

macro_rules! select_conversation {
    ($tail:literal) => {
        concat!(
            "SELECT id, contact, thread, channel, partition, state, grp, agent, last_agent, \
             waiting_since, snoozed_until, created_at, updated_at, last_pos, unread, \
             last_preview, last_from, last_message_at, version FROM conversation ",
            $tail
        )
    };
}

macro_rules! select_message {
    ($tail:literal) => {
        concat!(
            "SELECT id, conversation, thread, pos, thread_seq, out_seq, kind, direction, sender, \
             agent, content, external_id, at, state, reason, attempts, expires_at FROM message ",
            $tail
        )
    };
}

macro_rules! select_agent {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, role, capacity, load, presence, assigned_at, active FROM agent ",
            $tail
        )
    };
}

macro_rules! select_token {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, role, agent, created_at, expires_at, revoked_at FROM token ",
            $tail
        )
    };
}

macro_rules! select_event {
    ($tail:literal) => {
        concat!(
            "SELECT seq, kind, conversation, agent, data, at FROM event_log ",
            $tail
        )
    };
}

macro_rules! select_parked {
    ($tail:literal) => {
        concat!(
            "SELECT id, lane, out_seq, due, reason, attempts, envelope FROM parked ",
            $tail
        )
    };
}

macro_rules! select_dead {
    ($tail:literal) => {
        concat!(
            "SELECT id, direction, channel, conversation, lane, reason, detail, attempts, \
             exchange, envelope, at, status FROM dead ",
            $tail
        )
    };
}

pub(super) use {
    select_agent, select_contact, select_conversation, select_dead, select_event, select_message,
    select_parked, select_thread, select_token,
};

pub(super) fn contact(c: &mut Columns<'_, '_>) -> Result<Contact, Fail> {
    Ok(Contact {
        id: c.id()?,
        name: c.get()?,
        locale: c.get()?,
        attributes: c.json()?,
        created_at: c.time()?,
    })
}

pub(super) fn thread(c: &mut Columns<'_, '_>) -> Result<Thread, Fail> {
    Ok(Thread {
        id: c.id()?,
        channel: c.channel()?,
        channel_kind: c.get()?,
        address: c.get()?,
        contact_id: c.id()?,
        partition: c.get()?,
        verified: c.get()?,
        last_seq: c.get()?,
        last_out_seq: c.get()?,
        delivered_seq: c.get()?,
        read_seq: c.get()?,
        version: c.get()?,
    })
}

pub(super) fn conversation(c: &mut Columns<'_, '_>) -> Result<Conversation, Fail> {
    Ok(Conversation {
        id: c.id()?,
        contact_id: c.id()?,
        thread_id: c.id()?,
        channel: c.channel()?,
        partition: c.get()?,
        state: c.word(ConversationState::from_word)?,
        group_id: c.opt_id()?,
        agent_id: c.opt_id()?,
        last_agent_id: c.opt_id()?,
        waiting_since: c.opt_time()?,
        snoozed_until: c.opt_time()?,
        created_at: c.time()?,
        updated_at: c.time()?,
        last_pos: c.get()?,
        unread: c.get()?,
        last_preview: c.get()?,
        last_from: c.get()?,
        last_message_at: c.opt_time()?,
        version: c.get()?,
    })
}

pub(super) fn message(c: &mut Columns<'_, '_>) -> Result<MessageRow, Fail> {
    Ok(MessageRow {
        id: c.id()?,
        conversation_id: c.id()?,
        thread_id: c.id()?,
        pos: c.get()?,
        thread_seq: c.get()?,
        out_seq: c.get()?,
        kind: c.word(MessageKind::from_word)?,
        direction: direction(c)?,
        sender: c.json()?,
        agent_id: c.opt_id()?,
        content: c.json()?,
        external_id: c.get()?,
        at: c.time()?,
        state: c
            .get::<Option<String>>()?
            .map(|word| ReceiptState::from(word.as_str())),
        reason: c.get()?,
        attempts: c.get()?,
        expires_at: c.opt_time()?,
    })
}

/// Without groups, see [`super::desk::agents`].
pub(super) fn agent(c: &mut Columns<'_, '_>) -> Result<Agent, Fail> {
    Ok(Agent {
        id: c.id::<AgentId>()?,
        name: c.get()?,
        role: c.word(Role::from_word)?,
        capacity: c.get()?,
        load: c.get()?,
        presence: c.word(Presence::from_word)?,
        assigned_at: c.opt_time()?,
        active: c.get()?,
        groups: Vec::new(),
    })
}

pub(super) fn token(c: &mut Columns<'_, '_>) -> Result<Token, Fail> {
    Ok(Token {
        id: c.id()?,
        name: c.get()?,
        role: c.word(Role::from_word)?,
        agent_id: c.opt_id()?,
        created_at: c.time()?,
        expires_at: c.opt_time()?,
        revoked_at: c.opt_time()?,
    })
}

pub(super) fn event(c: &mut Columns<'_, '_>) -> Result<Event, Fail> {
    Ok(Event {
        seq: c.get()?,
        kind: c.get()?,
        conversation_id: c.opt_id()?,
        agent_id: c.opt_id()?,
        data: c.json()?,
        at: c.time()?,
    })
}

pub(super) fn parked(c: &mut Columns<'_, '_>) -> Result<Parked, Fail> {
    Ok(Parked {
        id: c.id()?,
        lane: c.id()?,
        out_seq: c.get()?,
        due: c.time()?,
        reason: c.get()?,
        attempts: c.get()?,
        envelope: c.bytes()?,
    })
}

pub(super) fn dead(c: &mut Columns<'_, '_>) -> Result<DeadLetter, Fail> {
    Ok(DeadLetter {
        id: c.id()?,
        direction: direction(c)?,
        channel: c.channel()?,
        conversation_id: c.opt_id()?,
        lane: c.opt_id()?,
        reason: c.get()?,
        detail: c.get()?,
        attempts: c.get()?,
        exchange: c.opt_json()?,
        envelope: c.bytes()?,
        at: c.time()?,
        status: c.get()?,
    })
}

fn direction(c: &mut Columns<'_, '_>) -> Result<Direction, Fail> {
    Ok(Direction::from(c.get::<String>()?.as_str()))
}
