//! The facts as they change while a batch is decided, and what has to be written of it in the end.
//!
//! A row touched several times is written once, on the version it was loaded with.

mod work;

use std::collections::{HashMap, HashSet};

use patchbay_message::{
    AgentId, ChannelId, CommandId, ContactId, ConversationId, GroupId, LiveSignal, MessageId,
    Outcome, SignalBody, ThreadId, Time,
};
use patchbay_store::{
    Agent, AgentLoad, Changes, Contact, Conversation, ConversationState, ConversationUpdate, Facts,
    Group, MessageRow, OutboxRow, Thread, ThreadUpdate,
};
use uuid::Uuid;

pub(crate) use self::work::FaultKey;
pub use self::work::Tally;
use self::work::Work;
use super::{
    Context, Decision, SOURCE, mark,
    moves::{agent_event, conversation_event, may_take, message_event, shift},
};
use crate::states;

/// A row, how it was loaded, and whether it has changed.
struct Held<T, W> {
    row: T,
    /// What it was decided on; none for a row that is new.
    was: Option<W>,
    touched: bool,
}

/// The working copy.
pub(crate) struct Board<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) ids: &'a mut dyn FnMut() -> Uuid,
    pub(crate) out: Changes,
    pub(crate) agents: HashMap<AgentId, Agent>,
    pub(crate) groups: HashMap<GroupId, Group>,
    pub(crate) outcomes: HashMap<CommandId, Outcome>,
    done: HashSet<MessageId>,
    dedupe: HashMap<String, MessageId>,
    contacts: HashMap<ContactId, Held<Contact, ()>>,
    threads: HashMap<ThreadId, Held<Thread, i64>>,
    conversations: HashMap<ConversationId, Held<Conversation, (ConversationState, i64)>>,
    current: HashMap<ThreadId, ConversationId>,
    /// What was touched, in order, so that the same batch always gives the same changes.
    order: (
        Vec<ContactId>,
        Vec<ThreadId>,
        Vec<ConversationId>,
        Vec<AgentId>,
    ),
    work: Work,
    outbox_seq: u64,
    wakes_assigner: bool,
    signals: Vec<LiveSignal>,
}

impl<'a> Board<'a> {
    pub(crate) fn new(
        mut facts: Facts,
        context: &'a Context<'a>,
        ids: &'a mut dyn FnMut() -> Uuid,
    ) -> Self {
        let held_thread = |row: Thread| Held {
            was: Some(row.version),
            row,
            touched: false,
        };
        let held_conversation = |row: Conversation| Held {
            was: Some((row.state, row.version)),
            row,
            touched: false,
        };
        let held_contact = |row: Contact| Held {
            was: Some(()),
            row,
            touched: false,
        };
        Self {
            work: Work::of(&mut facts),
            outbox_seq: context.outbox_seq,
            context,
            ids,
            out: Changes::default(),
            agents: facts.agents,
            groups: facts.groups,
            outcomes: facts.outcomes,
            done: facts
                .processed
                .iter()
                .filter(|(source, _)| source == SOURCE)
                .filter_map(|(_, id)| id.parse().ok())
                .collect(),
            dedupe: facts.dedupe,
            contacts: (facts.contacts.into_iter())
                .map(|(id, row)| (id, held_contact(row)))
                .collect(),
            threads: (facts.threads.into_values())
                .map(|row| (row.id, held_thread(row)))
                .collect(),
            conversations: (facts.conversations.into_iter())
                .map(|(id, row)| (id, held_conversation(row)))
                .collect(),
            current: facts.current,
            order: Default::default(),
            wakes_assigner: false,
            signals: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.context.now
    }

    pub(crate) fn is_processed(&self, id: MessageId) -> bool {
        self.done.contains(&id)
    }

    pub(crate) fn processed(&mut self, id: MessageId) {
        self.done.insert(id);
        self.out.processed.push(mark(id));
    }

    /// Who has this key already, in the store or earlier in the batch.
    pub(crate) fn holder(&self, key: &str) -> Option<MessageId> {
        self.dedupe.get(key).copied()
    }

    pub(crate) fn claim(&mut self, key: &str, id: MessageId) {
        self.dedupe.insert(key.to_owned(), id);
        self.out.dedupe.push((key.to_owned(), id));
    }

    pub(crate) fn contact(&self, id: ContactId) -> Option<&Contact> {
        self.contacts.get(&id).map(|held| &held.row)
    }

    pub(crate) fn contact_mut(&mut self, id: ContactId) -> Option<&mut Contact> {
        let held = self.contacts.get_mut(&id)?;
        touch(&mut held.touched, &mut self.order.0, id);
        Some(&mut held.row)
    }

    pub(crate) fn thread(&self, id: ThreadId) -> Option<&Thread> {
        self.threads.get(&id).map(|held| &held.row)
    }

    pub(crate) fn thread_mut(&mut self, id: ThreadId) -> Option<&mut Thread> {
        let held = self.threads.get_mut(&id)?;
        touch(&mut held.touched, &mut self.order.1, id);
        Some(&mut held.row)
    }

    pub(crate) fn conversation(&self, id: ConversationId) -> Option<&Conversation> {
        self.conversations.get(&id).map(|held| &held.row)
    }

    pub(crate) fn conversation_mut(&mut self, id: ConversationId) -> Option<&mut Conversation> {
        let held = self.conversations.get_mut(&id)?;
        touch(&mut held.touched, &mut self.order.2, id);
        Some(&mut held.row)
    }

    /// The version a conversation has now, as a reader would see it after this commit.
    pub(crate) fn version(&self, id: ConversationId) -> Option<i64> {
        let held = self.conversations.get(&id)?;
        Some(match held.was {
            Some((_, version)) => version + i64::from(held.touched),
            None => held.row.version,
        })
    }

    pub(crate) fn current(&self, thread: ThreadId) -> Option<ConversationId> {
        self.current.get(&thread).copied()
    }

    pub(crate) fn add_contact(&mut self, row: Contact) {
        self.order.0.push(row.id);
        self.contacts.insert(row.id, new(row));
    }

    pub(crate) fn add_thread(&mut self, row: Thread) {
        self.order.1.push(row.id);
        self.threads.insert(row.id, new(row));
    }

    pub(crate) fn add_conversation(&mut self, row: Conversation) {
        self.order.2.push(row.id);
        self.current.insert(row.thread_id, row.id);
        self.wakes_assigner |= states::queued(row.state);
        self.conversations.insert(row.id, new(row));
    }

    pub(crate) fn add_outbox(&mut self, shard: u16, id: MessageId, envelope: bytes::Bytes) {
        self.outbox_seq += 1;
        self.out.outbox.push(OutboxRow {
            partition: self.context.fence.name.clone(),
            seq: self.outbox_seq,
            shard,
            id,
            envelope,
        });
    }

    pub(crate) fn add_message(&mut self, row: MessageRow) {
        self.out.events.push(message_event(&row));
        self.out.messages.push(row);
    }

    pub(crate) fn signal(&mut self, thread_id: ThreadId, body: SignalBody) {
        self.signals.push(LiveSignal { thread_id, body });
    }

    /// The group in charge of a channel's new conversations; of several the first by name.
    pub(crate) fn group_of(&self, channel: &ChannelId) -> Option<GroupId> {
        crate::assign::group_of(&self.groups, channel)
    }

    /// Whether this agent can be given one more without anybody saying so.
    pub(crate) fn may_take(&self, agent: AgentId) -> bool {
        self.agents.get(&agent).is_some_and(may_take)
    }

    /// Moves a conversation to a state and an agent, and keeps what depends on it true: loads,
    /// since when it waits, until when it rests, who had it before. `force`: a human said so, the
    /// agent's limit and presence do not count.
    pub(crate) fn shift(
        &mut self,
        id: ConversationId,
        to: ConversationState,
        agent: Option<AgentId>,
        force: bool,
    ) {
        let now = self.now();
        let Some(row) = self.conversation_mut(id) else {
            return;
        };
        let was_queued = states::queued(row.state);
        let (less, more) = shift(row, to, agent, now);
        self.wakes_assigner |= states::queued(to) && !was_queued;
        if let Some(less) = less {
            self.load(less, -1, force);
        }
        if let Some(more) = more {
            self.load(more, 1, force);
        }
    }

    fn load(&mut self, id: AgentId, delta: i32, force: bool) {
        let now = self.now();
        self.wakes_assigner |= delta < 0;
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.load = agent.load.saturating_add_signed(delta);
        }
        if !self.order.3.contains(&id) {
            self.order.3.push(id);
        }
        self.out.loads.push(AgentLoad {
            agent: id,
            delta,
            force,
            assigned_at: (delta > 0).then_some(now),
        });
    }

    /// Everything touched becomes rows to write and events.
    pub(crate) fn finish(mut self) -> Decision {
        let (contacts, threads, conversations, agents) = std::mem::take(&mut self.order);
        for id in contacts {
            if let Some(held) = self.contacts.remove(&id) {
                self.out.contacts.push(held.row);
            }
        }
        for id in threads {
            if let Some(held) = self.threads.remove(&id) {
                self.write_thread(held);
            }
        }
        for id in conversations {
            if let Some(held) = self.conversations.remove(&id) {
                self.write_conversation(held);
            }
        }
        let tally = self.finish_work();
        for id in agents {
            self.out.events.push(agent_event(id));
        }
        if !self.out.processed.is_empty() {
            self.out.fences.push(self.context.fence.clone());
        }
        Decision {
            changes: self.out,
            wakes_assigner: self.wakes_assigner,
            signals: self.signals,
            tally,
            ..Decision::default()
        }
    }

    fn write_thread(&mut self, held: Held<Thread, i64>) {
        match held.was {
            None => self.out.threads.push(held.row),
            Some(version) => self.out.thread_updates.push(ThreadUpdate {
                id: held.row.id,
                version,
                last_seq: held.row.last_seq,
                last_out_seq: held.row.last_out_seq,
                verified: held.row.verified,
            }),
        }
    }

    fn write_conversation(&mut self, held: Held<Conversation, (ConversationState, i64)>) {
        self.out.events.push(conversation_event(&held.row));
        match held.was {
            None => self.out.conversations.push(held.row),
            Some((from, _)) => self.out.conversation_updates.push(ConversationUpdate {
                row: held.row,
                from,
            }),
        }
    }
}

fn new<T, W>(row: T) -> Held<T, W> {
    Held {
        row,
        was: None,
        touched: true,
    }
}

fn touch<I: Copy>(touched: &mut bool, order: &mut Vec<I>, id: I) {
    if !std::mem::replace(touched, true) {
        order.push(id);
    }
}
