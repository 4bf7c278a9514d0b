//! Reads whole rows. Each list of columns names what its reader takes, in that order; `$t` is the
//! table's name in the statement.

pub(super) mod tickets;

use patchbay_message::{Direction, ReceiptState};

use super::{error::Fail, sql::Columns};
use crate::{
    Agent, Contact, Conversation, ConversationState, DeadLetter, Event, MessageKind, MessageRow,
    Parked, Presence, Role, Thread, Token,
};

macro_rules! contact_columns {
    ($t:literal) => {
        concat!(
            $t,
            ".id, ",
            $t,
            ".name, ",
            $t,
            ".locale, ",
            $t,
            ".attributes, ",
            $t,
            ".created_at"
        )
    };
}

macro_rules! thread_columns {
    ($t:literal) => {
        concat!(
            $t,
            ".id, ",
            $t,
            ".channel, ",
            $t,
            ".channel_kind, ",
            $t,
            ".address, ",
            $t,
            ".contact, ",
            $t,
            ".partition, ",
            $t,
            ".verified, ",
            $t,
            ".last_seq, ",
            $t,
            ".last_out_seq, ",
            $t,
            ".delivered_seq, ",
            $t,
            ".read_seq, ",
            $t,
            ".version"
        )
    };
}

macro_rules! conversation_columns {
    ($t:literal) => {
        concat!(
            $t,
            ".id, ",
            $t,
            ".contact, ",
            $t,
            ".thread, ",
            $t,
            ".channel, ",
            $t,
            ".partition, ",
            $t,
            ".state, ",
            $t,
            ".grp, ",
            $t,
            ".agent, ",
            $t,
            ".last_agent, ",
            $t,
            ".waiting_since, ",
            $t,
            ".snoozed_until, ",
            $t,
            ".created_at, ",
            $t,
            ".updated_at, ",
            $t,
            ".last_pos, ",
            $t,
            ".unread, ",
            $t,
            ".last_preview, ",
            $t,
            ".last_from, ",
            $t,
            ".last_message_at, ",
            $t,
            ".version"
        )
    };
}

/// How many columns a contact has.
pub(super) const CONTACT_COLUMNS: usize = 5;

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
            "SELECT id, name, role, capacity, load, presence, assigned_at, active, \
             ARRAY(SELECT grp FROM grp_agent WHERE agent = agent.id ORDER BY grp) FROM agent ",
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
    contact_columns, conversation_columns, select_agent, select_dead, select_message,
    select_parked, select_token, thread_columns,
};

pub(super) fn contact(c: &mut Columns<'_>) -> Result<Contact, Fail> {
    Ok(Contact {
        id: c.id()?,
        name: c.get()?,
        locale: c.get()?,
        attributes: c.json()?,
        created_at: c.time()?,
    })
}

pub(super) fn thread(c: &mut Columns<'_>) -> Result<Thread, Fail> {
    Ok(Thread {
        id: c.id()?,
        channel: c.channel()?,
        channel_kind: c.get()?,
        address: c.get()?,
        contact_id: c.id()?,
        partition: c.small()?,
        verified: c.get()?,
        last_seq: c.number()?,
        last_out_seq: c.number()?,
        delivered_seq: c.number()?,
        read_seq: c.number()?,
        version: c.get()?,
    })
}

pub(super) fn conversation(c: &mut Columns<'_>) -> Result<Conversation, Fail> {
    Ok(Conversation {
        id: c.id()?,
        contact_id: c.id()?,
        thread_id: c.id()?,
        channel: c.channel()?,
        partition: c.small()?,
        state: c.word(ConversationState::from_word)?,
        group_id: c.opt_id()?,
        agent_id: c.opt_id()?,
        last_agent_id: c.opt_id()?,
        waiting_since: c.opt_time()?,
        snoozed_until: c.opt_time()?,
        created_at: c.time()?,
        updated_at: c.time()?,
        last_pos: c.number()?,
        unread: c.number()?,
        last_preview: c.get()?,
        last_from: c.get()?,
        last_message_at: c.opt_time()?,
        version: c.get()?,
    })
}

pub(super) fn message(c: &mut Columns<'_>) -> Result<MessageRow, Fail> {
    Ok(MessageRow {
        id: c.id()?,
        conversation_id: c.id()?,
        thread_id: c.id()?,
        pos: c.number()?,
        thread_seq: c.opt_number()?,
        out_seq: c.opt_number()?,
        kind: c.word(MessageKind::from_word)?,
        direction: direction(c)?,
        sender: c.json()?,
        agent_id: c.opt_id()?,
        content: c.json()?,
        external_id: c.get()?,
        at: c.time()?,
        state: c.get::<Option<&str>>()?.map(ReceiptState::from),
        reason: c.get()?,
        attempts: c.number()?,
        expires_at: c.opt_time()?,
    })
}

pub(super) fn agent(c: &mut Columns<'_>) -> Result<Agent, Fail> {
    Ok(Agent {
        id: c.id()?,
        name: c.get()?,
        role: c.word(Role::from_word)?,
        capacity: c.number()?,
        load: c.number()?,
        presence: c.word(Presence::from_word)?,
        assigned_at: c.opt_time()?,
        active: c.get()?,
        groups: c
            .get::<Vec<uuid::Uuid>>()?
            .into_iter()
            .map(patchbay_message::GroupId)
            .collect(),
    })
}

pub(super) fn token(c: &mut Columns<'_>) -> Result<Token, Fail> {
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

/// `seq, kind, conversation, agent, data, at`.
pub(super) fn event(c: &mut Columns<'_>) -> Result<Event, Fail> {
    Ok(Event {
        seq: c.number()?,
        kind: c.get()?,
        conversation_id: c.opt_id()?,
        agent_id: c.opt_id()?,
        data: c.json()?,
        at: c.time()?,
    })
}

pub(super) fn parked(c: &mut Columns<'_>) -> Result<Parked, Fail> {
    Ok(Parked {
        id: c.id()?,
        lane: c.id()?,
        out_seq: c.number()?,
        due: c.time()?,
        reason: c.get()?,
        attempts: c.number()?,
        envelope: c.bytes()?,
    })
}

pub(super) fn dead(c: &mut Columns<'_>) -> Result<DeadLetter, Fail> {
    Ok(DeadLetter {
        id: c.id()?,
        direction: direction(c)?,
        channel: c.channel()?,
        conversation_id: c.opt_id()?,
        lane: c.opt_id()?,
        reason: c.get()?,
        detail: c.get()?,
        attempts: c.number()?,
        exchange: c.opt_json()?,
        envelope: c.bytes()?,
        at: c.time()?,
        status: c.get()?,
    })
}

fn direction(c: &mut Columns<'_>) -> Result<Direction, Fail> {
    Ok(Direction::from(c.get::<&str>()?))
}
