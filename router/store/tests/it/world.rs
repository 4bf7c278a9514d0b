//! Rows to test with, and the shortest way to have a contact, a thread and a conversation.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use patchbay_message::{
    AgentId, Attributes, ChannelId, ContactId, Content, ConversationId, Direction, GroupId,
    InstanceId, MessageId, Party, ReceiptState, Severity, SystemClock, ThreadId, TicketId, Time,
};
use patchbay_store::{
    AgentUpdate, Changes, CommitError, Contact, Conversation, ConversationState, Device, Fence,
    Group, MessageKind, MessageRow, NewEvent, Presence, Role, Store, Strategy, Thread, Ticket,
    TicketEntry, TicketEvent, TicketState,
};

pub(crate) type Dyn = Arc<dyn Store>;

/// Long enough that nothing expires while a test runs.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) fn now() -> Time {
    patchbay_message::Clock::now(&SystemClock)
}

pub(crate) fn web() -> ChannelId {
    ChannelId::new("web").expect("a good name")
}

pub(crate) fn contact(name: &str) -> Contact {
    Contact {
        id: ContactId::new(),
        name: Some(name.to_owned()),
        locale: Some("en".to_owned()),
        attributes: Attributes::new(),
        created_at: now(),
    }
}

pub(crate) fn thread(contact: &Contact, address: &str) -> Thread {
    Thread {
        id: ThreadId::new(),
        channel: web(),
        channel_kind: "webchat".to_owned(),
        address: address.to_owned(),
        contact_id: contact.id,
        partition: 3,
        verified: false,
        last_seq: 0,
        last_out_seq: 0,
        delivered_seq: 0,
        read_seq: 0,
        version: 0,
    }
}

pub(crate) fn conversation(thread: &Thread, state: ConversationState) -> Conversation {
    let at = now();
    Conversation {
        id: ConversationId::new(),
        contact_id: thread.contact_id,
        thread_id: thread.id,
        channel: thread.channel.clone(),
        partition: thread.partition,
        state,
        group_id: None,
        agent_id: None,
        last_agent_id: None,
        waiting_since: None,
        snoozed_until: None,
        created_at: at,
        updated_at: at,
        last_pos: 0,
        unread: 0,
        last_preview: None,
        last_from: None,
        last_message_at: None,
        version: 0,
    }
}

pub(crate) fn inbound(of: &Conversation, n: u64) -> MessageRow {
    MessageRow {
        id: MessageId::new(),
        conversation_id: of.id,
        thread_id: of.thread_id,
        pos: n,
        thread_seq: Some(n),
        out_seq: None,
        kind: MessageKind::Message,
        direction: Direction::Inbound,
        sender: Party {
            address: "visitor".to_owned(),
            ..Party::default()
        },
        agent_id: None,
        content: vec![Content::text(format!("message {n}"))],
        external_id: None,
        at: now(),
        state: None,
        reason: None,
        attempts: 0,
        expires_at: None,
    }
}

/// An outbound; its lane number is its thread number.
pub(crate) fn outbound(of: &Conversation, n: u64) -> MessageRow {
    MessageRow {
        direction: Direction::Outbound,
        out_seq: Some(n),
        state: Some(ReceiptState::Queued),
        ..inbound(of, n)
    }
}

/// A new ticket about a fault of the talk's contact, a device.
pub(crate) fn ticket(of: &Talk, code: &str) -> Ticket {
    let at = now();
    Ticket {
        id: TicketId::new(),
        number: 0,
        channel: of.thread.channel.clone(),
        device: of.thread.address.clone(),
        code: code.to_owned(),
        contact_id: of.contact.id,
        conversation_id: of.conversation.id,
        partition: of.thread.partition,
        state: TicketState::New,
        category: None,
        severity: Severity::Major,
        title: format!("{code} on {}", of.thread.address),
        group_id: None,
        agent_id: None,
        last_agent_id: None,
        waiting_since: Some(at),
        n_raised: 1,
        n_flaps: 0,
        settles_at: None,
        first_raised_at: at,
        raised_at: at,
        cleared_at: None,
        created_at: at,
        updated_at: at,
        closed_at: None,
        last_pos: 0,
        version: 0,
    }
}

/// A ticket in the store, as it is there.
pub(crate) async fn opened(store: &Dyn, row: Ticket) -> Ticket {
    let id = row.id;
    let changes = Changes {
        tickets: vec![row],
        ..Changes::default()
    };
    store.commit(changes).await.expect("a new ticket");
    let view = store.ticket(id).await.expect("the store answers");
    view.expect("it is there").ticket
}

pub(crate) fn entry(of: &Ticket, pos: u64, kind: TicketEvent) -> TicketEntry {
    TicketEntry {
        ticket_id: of.id,
        pos,
        kind,
        agent_id: None,
        message_id: None,
        occurred_at: None,
        text: None,
        data: serde_json::json!({}),
        at: now(),
    }
}

/// How the talk's contact, a device, stands: it has said nothing of note.
pub(crate) fn device(of: &Talk) -> Device {
    Device {
        thread_id: of.thread.id,
        channel: of.thread.channel.clone(),
        address: of.thread.address.clone(),
        partition: of.thread.partition,
        seen_at: now(),
        silent_at: None,
        silence: None,
        readings: Attributes::new(),
        readings_at: None,
        location: None,
        faults: std::collections::BTreeMap::new(),
    }
}

/// A contact with one thread and one conversation, in the store.
pub(crate) struct Talk {
    pub(crate) contact: Contact,
    pub(crate) thread: Thread,
    pub(crate) conversation: Conversation,
}

pub(crate) async fn talk(store: &Dyn, name: &str, state: ConversationState) -> Talk {
    talk_with(store, name, state, |_| {}).await
}

/// The same, with the last word on the conversation's row.
pub(crate) async fn talk_with(
    store: &Dyn,
    name: &str,
    state: ConversationState,
    change: impl FnOnce(&mut Conversation),
) -> Talk {
    let contact = contact(name);
    let thread = thread(&contact, &format!("{name}@example"));
    let mut conversation = conversation(&thread, state);
    change(&mut conversation);
    let changes = Changes {
        contacts: vec![contact.clone()],
        threads: vec![thread.clone()],
        conversations: vec![conversation.clone()],
        ..Changes::default()
    };
    store.commit(changes).await.expect("a new talk");
    Talk {
        contact,
        thread,
        conversation,
    }
}

pub(crate) async fn lease(store: &Dyn, name: &str) -> Fence {
    store
        .lease(name, &InstanceId::new(), LONG)
        .await
        .expect("the store answers")
        .expect("the lease is free")
}

pub(crate) async fn agent(store: &Dyn, name: &str, capacity: u32) -> AgentId {
    let id = AgentId::new();
    let update = AgentUpdate {
        id,
        name: Some(name.to_owned()),
        role: Some(Role::Agent),
        capacity: Some(capacity),
        groups: None,
        active: None,
    };
    store.save_agent(&update).await.expect("a new agent");
    store
        .presence(id, Presence::Online)
        .await
        .expect("comes online");
    id
}

pub(crate) async fn group(store: &Dyn, name: &str, members: &[AgentId]) -> GroupId {
    let id = GroupId::new();
    let group = Group {
        id,
        name: name.to_owned(),
        strategy: Strategy::RoundRobin,
        members: members.to_vec(),
        channels: Vec::new(),
    };
    store.save_group(&group).await.expect("a new group");
    id
}

/// Asks again until there is an answer; fails after ten seconds.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs all at once and answers how many succeeded; every other one must be a Conflict.
pub(crate) async fn race(store: &Dyn, commits: Vec<Changes>) -> usize {
    let tasks = commits.into_iter().map(|changes| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.commit(changes).await })
    });
    let mut won = 0;
    for task in futures_util::future::join_all(tasks).await {
        match task.expect("no panic") {
            Ok(_) => won += 1,
            Err(CommitError::Conflict(_)) => {}
            Err(other) => panic!("a loser of a race must see a Conflict, got: {other}"),
        }
    }
    won
}

/// An event of some kind with a number in it.
pub(crate) fn event(n: u64) -> NewEvent {
    NewEvent {
        kind: "message",
        conversation_id: None,
        agent_id: None,
        data: serde_json::json!({ "n": n }),
    }
}
