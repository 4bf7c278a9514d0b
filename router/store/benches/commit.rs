//! What a router does all day: load facts of a batch of messages, commit what follows from them.
//! Counted in messages, for batches of 1, 50 and 500, by 1 and by 16 partitions at once. The same for
//! faults of devices, each of which opens a ticket.

#[path = "commit/faults.rs"]
mod faults;

use std::sync::Arc;

use divan::{Bencher, counter::ItemsCount};
use patchbay_message::{
    Attributes, ChannelId, Clock, ContactId, Content, ConversationId, Direction, InstanceId,
    MessageId, Party, SystemClock, ThreadId,
};
use patchbay_store::{
    Changes, Contact, Conversation, ConversationState, ConversationUpdate, Fence, LaneDone,
    MessageKind, MessageRow, NewEvent, OutboxRow, PostgresOptions, PostgresStore, SqliteOptions,
    SqliteStore, Store, Thread, ThreadUpdate, Want,
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
        expires_at: None,
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

/// An empty store, and what has to live as long.
struct Home {
    store: Arc<dyn Store>,
    _folder: Option<tempfile::TempDir>,
}

impl Home {
    fn sqlite() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        Some(Self {
            store: SqliteStore::open(path, SqliteOptions::default()).expect("a store"),
            _folder: Some(folder),
        })
    }

    /// On the server of `PATCHBAY_TEST_PG`; nothing is measured without. Its `fsync` should be on.
    fn postgres(runtime: &Runtime) -> Option<Self> {
        let Ok(server) = std::env::var("PATCHBAY_TEST_PG") else {
            eprintln!("PATCHBAY_TEST_PG is not set: PostgreSQL is not measured");
            return None;
        };
        let schema = format!("b{}", uuid::Uuid::now_v7().simple());
        let url = format!("{server}?options=-csearch_path%3D{schema}");
        let opened = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls)
                .await
                .expect("the server answers");
            tokio::spawn(connection);
            let create = format!("CREATE SCHEMA {schema}");
            client.batch_execute(&create).await.expect("a schema");
            PostgresStore::connect(&url, PostgresOptions::default()).await
        });
        Some(Self {
            store: opened.expect("a store"),
            _folder: None,
        })
    }
}

fn run(
    bencher: Bencher<'_, '_>,
    home: Option<Home>,
    runtime: &Runtime,
    partitions: usize,
    batch: usize,
) {
    let Some(home) = home else { return };
    let begun = (0..partitions).map(|n| Partition::begin(&home.store, n, batch));
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

/// What sinks do: a small commit for every message sent, of many lanes at once.
fn send(bencher: Bencher<'_, '_>, home: Option<Home>, runtime: &Runtime, lanes: usize) {
    let Some(home) = home else { return };
    let mut next = vec![(ThreadId::new(), 1); lanes];
    next.iter_mut().for_each(|lane| lane.0 = ThreadId::new());
    bencher.counter(ItemsCount::new(lanes)).bench_local(|| {
        let tasks: Vec<_> = next
            .iter_mut()
            .map(|(lane, out_seq)| {
                let (store, message) = (Arc::clone(&home.store), MessageId::new());
                let changes = Changes {
                    lanes_done: vec![LaneDone {
                        lane: *lane,
                        out_seq: *out_seq,
                    }],
                    sent: vec![(channel(), message.to_string(), message, 0)],
                    events: vec![NewEvent {
                        kind: "message",
                        conversation_id: None,
                        agent_id: None,
                        data: serde_json::json!({ "message_id": message }),
                    }],
                    ..Changes::default()
                };
                *out_seq += 1;
                runtime.spawn(async move { store.commit(changes).await.expect("commits") })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).expect("no panic");
        }
    });
}

macro_rules! measure {
    ($backend:ident, $open:expr) => {
        mod $backend {
            use super::*;

            #[divan::bench(args = [1, 50, 500], max_time = 3)]
            fn one_partition(bencher: Bencher<'_, '_>, batch: usize) {
                let runtime = Runtime::new().expect("a runtime");
                run(bencher, $open(&runtime), &runtime, 1, batch);
            }

            #[divan::bench(args = [1, 50, 500], max_time = 3)]
            fn sixteen_partitions(bencher: Bencher<'_, '_>, batch: usize) {
                let runtime = Runtime::new().expect("a runtime");
                run(bencher, $open(&runtime), &runtime, 16, batch);
            }

            #[divan::bench(args = [1, 64, 512], max_time = 3)]
            fn lanes(bencher: Bencher<'_, '_>, lanes: usize) {
                let runtime = Runtime::new().expect("a runtime");
                send(bencher, $open(&runtime), &runtime, lanes);
            }

            #[divan::bench(args = [1, 50, 500], max_time = 3)]
            fn devices(bencher: Bencher<'_, '_>, batch: usize) {
                let runtime = Runtime::new().expect("a runtime");
                faults::report(bencher, $open(&runtime), &runtime, batch);
            }
        }
    };
}
measure!(sqlite, |_| Home::sqlite());
measure!(postgres, Home::postgres);
