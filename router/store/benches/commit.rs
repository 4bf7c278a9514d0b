//! What a router does all day: load facts of a batch of messages, commit what follows from them.
//! Counted in messages, for batches of 1, 50 and 500, by 1 and by 16 partitions at once.

use std::sync::Arc;

use divan::{Bencher, counter::ItemsCount};
use patchbay_message::{
    Attributes, ChannelId, Clock, ContactId, Content, ConversationId, Direction, InstanceId,
    MessageId, Party, SystemClock, ThreadId,
};
use patchbay_store::{
    Changes, Contact, Conversation, ConversationState, ConversationUpdate, Fence, MessageKind,
    MessageRow, NewEvent, OutboxRow, SqliteOptions, SqliteStore, Store, Thread, ThreadUpdate, Want,
};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// One partition of the router with its conversations.
struct Partition {
    store: Arc<dyn Store>,
    fence: Fence,
    name: String,
    addresses: Vec<String>,
    next: u64,
}

fn channel() -> ChannelId {
    ChannelId::new("web").expect("a good name")
}

impl Partition {
    async fn begin(store: &Arc<dyn Store>, n: usize, batch: usize) -> Self {
        let name = format!("inbound.{n}");
        let fence = store
            .lease(
                &name,
                &InstanceId::new(),
                std::time::Duration::from_secs(3600),
            )
            .await
            .expect("the store answers")
            .expect("is free");
        let addresses: Vec<_> = (0..batch).map(|i| format!("visitor-{n}-{i}")).collect();
        let mut changes = Changes::default();
        for address in &addresses {
            newcomer(address, &mut changes);
        }
        store.commit(changes).await.expect("newcomers");
        Self {
            store: Arc::clone(store),
            fence,
            name,
            addresses,
            next: 1,
        }
    }

    /// One message of every address.
    async fn batch(&mut self) {
        let ids: Vec<_> = self.addresses.iter().map(|_| MessageId::new()).collect();
        let want = Want {
            processed: ids
                .iter()
                .map(|id| (self.name.clone(), id.to_string()))
                .collect(),
            dedupe: ids.iter().map(|id| format!("web:{id}")).collect(),
            addresses: self
                .addresses
                .iter()
                .map(|a| (channel(), a.clone()))
                .collect(),
            outbox: Some(self.name.clone()),
            ..Want::default()
        };
        let facts = self.store.facts(&want).await.expect("facts");
        let mut changes = Changes {
            fences: vec![self.fence.clone()],
            processed: want.processed,
            dedupe: want.dedupe.into_iter().zip(ids.iter().copied()).collect(),
            outbox_done: vec![(self.name.clone(), facts.outbox_seq)],
            ..Changes::default()
        };
        for (address, id) in self.addresses.iter().zip(&ids) {
            let thread = &facts.threads[&(channel(), address.clone())];
            let conversation = &facts.conversations[&facts.current[&thread.id]];
            said(thread, conversation, *id, &mut changes);
            changes.outbox.push(OutboxRow {
                partition: self.name.clone(),
                seq: self.next,
                shard: 0,
                id: *id,
                envelope: vec![b'x'; 500].into(),
            });
            self.next += 1;
        }
        self.store.commit(changes).await.expect("commits");
    }
}

fn newcomer(address: &str, changes: &mut Changes) {
    let now = SystemClock.now();
    let contact = Contact {
        id: ContactId::new(),
        name: Some(address.to_owned()),
        locale: None,
        attributes: Attributes::new(),
        created_at: now,
    };
    let thread = Thread {
        id: ThreadId::new(),
        channel: channel(),
        channel_kind: "webchat".to_owned(),
        address: address.to_owned(),
        contact_id: contact.id,
        partition: 0,
        verified: false,
        last_seq: 0,
        last_out_seq: 0,
        delivered_seq: 0,
        read_seq: 0,
        version: 0,
    };
    changes.conversations.push(Conversation {
        id: ConversationId::new(),
        contact_id: contact.id,
        thread_id: thread.id,
        channel: channel(),
        partition: 0,
        state: ConversationState::Open,
        group_id: None,
        agent_id: None,
        last_agent_id: None,
        waiting_since: None,
        snoozed_until: None,
        created_at: now,
        updated_at: now,
        last_pos: 0,
        unread: 0,
        last_preview: None,
        last_from: None,
        last_message_at: None,
        version: 0,
    });
    changes.contacts.push(contact);
    changes.threads.push(thread);
}

fn said(thread: &Thread, conversation: &Conversation, id: MessageId, changes: &mut Changes) {
    let now = SystemClock.now();
    let pos = conversation.last_pos + 1;
    changes.messages.push(MessageRow {
        id,
        conversation_id: conversation.id,
        thread_id: thread.id,
        pos,
        thread_seq: Some(thread.last_seq + 1),
        out_seq: None,
        kind: MessageKind::Message,
        direction: Direction::Inbound,
        sender: Party {
            address: thread.address.clone(),
            ..Party::default()
        },
        agent_id: None,
        content: vec![Content::text(
            "Where is my order? It should have been here on Monday.",
        )],
        external_id: None,
        at: now,
        state: None,
        reason: None,
        attempts: 0,
    });
    changes.thread_updates.push(ThreadUpdate {
        id: thread.id,
        version: thread.version,
        last_seq: thread.last_seq + 1,
        last_out_seq: thread.last_out_seq,
        verified: false,
    });
    changes.conversation_updates.push(ConversationUpdate {
        from: conversation.state,
        row: Conversation {
            last_pos: pos,
            unread: conversation.unread + 1,
            updated_at: now,
            last_preview: Some("Where is my order?".to_owned()),
            ..conversation.clone()
        },
    });
    changes.events.push(NewEvent {
        kind: "message",
        conversation_id: Some(conversation.id),
        agent_id: None,
        data: serde_json::json!({ "message_id": id }),
    });
}

fn run(bencher: Bencher<'_, '_>, partitions: usize, batch: usize) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let store: Arc<dyn Store> =
        SqliteStore::open(folder.path().join("store.db"), SqliteOptions::default())
            .expect("a store");
    let begun = (0..partitions).map(|n| Partition::begin(&store, n, batch));
    let mut all = runtime.block_on(futures_util::future::join_all(begun));
    bencher
        .counter(ItemsCount::new(partitions * batch))
        .bench_local(|| {
            let tasks: Vec<_> = all
                .drain(..)
                .map(|mut partition| {
                    runtime.spawn(async move {
                        partition.batch().await;
                        partition
                    })
                })
                .collect();
            for task in tasks {
                all.push(runtime.block_on(task).expect("no panic"));
            }
        });
}

#[divan::bench(args = [1, 50, 500], max_time = 3)]
fn one_partition(bencher: Bencher<'_, '_>, batch: usize) {
    run(bencher, 1, batch);
}

#[divan::bench(args = [1, 50, 500], max_time = 3)]
fn sixteen_partitions(bencher: Bencher<'_, '_>, batch: usize) {
    run(bencher, 16, batch);
}
