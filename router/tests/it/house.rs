//! A house to route in: embedded bus, SQLite store, agents, visitors, and as many routers as a test
//! starts. Everything waits for the thing itself, with a deadline.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, Message, Queue, partition_of};
use patchbay_message::{
    AgentId, ChannelId, Clock, Command, CommandId, CommandName, Content, Envelope, InstanceId,
    MessageId, Outcome, OutcomeStatus, SystemClock, ThreadId,
};
use patchbay_router::{RouterOptions, Status, Stores};
use patchbay_store::{
    AgentUpdate, Conversation, ConversationFilter, DeadFilter, DeadLetter, MessageRow, Presence,
    Role, SqliteOptions, SqliteStore, Store,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Partitions and shards of every house.
pub(crate) const N: u16 = 4;
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct House {
    pub(crate) bus: Arc<EmbeddedBus>,
    pub(crate) store: Arc<dyn Store>,
    _folder: TempDir,
}

/// A running router.
pub(crate) struct Running {
    pub(crate) status: Arc<Status>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops it in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("the router stops in time")
            .expect("the router does not panic");
    }

    /// Ends it as a crash would: nothing is finished, nothing given up.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(crate) fn channel() -> ChannelId {
    ChannelId::new("web-main").unwrap()
}

pub(crate) fn thread(visitor: &str) -> ThreadId {
    ThreadId::of(&channel(), visitor)
}

pub(crate) fn partition(visitor: &str) -> u16 {
    partition_of(&format!("web-main/{visitor}"), N)
}

/// Short times, so that tests are quick.
pub(crate) fn options() -> RouterOptions {
    let mut options = RouterOptions {
        partitions: N,
        lease_ttl: Duration::from_millis(500),
        retry_min: Duration::from_millis(10),
        retry_max: Duration::from_millis(200),
        rescan_every: Duration::from_millis(200),
        relay_flush_after: Duration::from_millis(50),
        drain_max: Duration::from_millis(500),
        ..RouterOptions::default()
    };
    options.rules.shards = N;
    options
}

pub(crate) fn house() -> House {
    house_with(Arc::new(SystemClock))
}

/// A house whose store goes by this clock.
pub(crate) fn house_with(clock: Arc<dyn Clock>) -> House {
    let folder = tempfile::tempdir().unwrap();
    let bus = EmbeddedBus::open(folder.path().join("bus.db"), EmbeddedOptions::default()).unwrap();
    let options = SqliteOptions {
        clock,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    House {
        bus,
        store,
        _folder: folder,
    }
}

/// Waits until `look` finds something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A contact's message as it comes from the normalizer; `fields` are added or replaced.
pub(crate) fn said(visitor: &str, text: &str, fields: &Value) -> (Queue, Message) {
    let id = MessageId::new();
    let mut envelope = json!({
        "schema": 1, "type": "message", "id": id, "direction": "inbound",
        "channel": {"id": "web-main", "kind": "webchat"},
        "partition_key": format!("web-main/{visitor}"),
        "sender": {"address": visitor, "name": format!("Visitor {visitor}")},
        "content": [{"type": "text", "text": text}],
        "received_at": SystemClock.now(), "authenticity": "token",
    });
    let fields = fields.as_object().cloned().unwrap_or_default();
    envelope.as_object_mut().unwrap().extend(fields);
    let message = Message {
        id,
        kind: "message".into(),
        body: Bytes::from(envelope.to_string()),
    };
    (Queue::Inbound(partition(visitor)), message)
}

/// A command that only names what is to be done.
pub(crate) fn command(name: CommandName, agent_id: Option<AgentId>) -> Command {
    let id = CommandId::new();
    Command {
        id,
        name,
        conversation_id: patchbay_message::ConversationId::new(),
        agent_id,
        expected_version: None,
        idempotency_key: id.to_string(),
        content: vec![],
        assignee: None,
        group: None,
        until: None,
        ticket_id: None,
        expires_at: None,
        category: None,
        severity: None,
        title: None,
    }
}

impl House {
    /// Starts a router of its own instance on this bus.
    pub(crate) fn router_on(&self, bus: Arc<dyn Bus>, options: RouterOptions) -> Running {
        self.router_with(bus, self.store.clone().into(), options)
    }

    /// The same, on these stores.
    pub(crate) fn router_with(
        &self,
        bus: Arc<dyn Bus>,
        stores: Stores,
        options: RouterOptions,
    ) -> Running {
        let stop = CancellationToken::new();
        let status = options.status.clone();
        let task = tokio::spawn(patchbay_router::run(
            options,
            bus,
            stores,
            Arc::new(SystemClock),
            InstanceId::new(),
            stop.clone(),
        ));
        Running { status, stop, task }
    }

    pub(crate) fn router(&self) -> Running {
        self.router_on(self.bus.clone(), options())
    }

    pub(crate) async fn agent(&self, name: &str, capacity: u32) -> AgentId {
        let id = AgentId::new();
        let update = AgentUpdate {
            id,
            name: Some(name.to_owned()),
            role: Some(Role::Agent),
            capacity: Some(capacity),
            groups: None,
            active: None,
        };
        self.store.save_agent(&update).await.unwrap();
        self.store.presence(id, Presence::Online).await.unwrap();
        id
    }

    pub(crate) async fn say(&self, visitor: &str, text: &str) {
        self.publish(vec![said(visitor, text, &Value::Null)]).await;
    }

    pub(crate) async fn publish(&self, batch: Vec<(Queue, Message)>) {
        self.bus.publish(batch).await.unwrap();
    }

    /// The visitor's conversation, once there is one and it looks right.
    pub(crate) async fn conversation(
        &self,
        visitor: &str,
        right: impl Fn(&Conversation) -> bool,
    ) -> Conversation {
        let what = format!("the conversation of {visitor}");
        until(&what, || async {
            let standing = self.store.standing(thread(visitor)).await.unwrap();
            standing.map(|(row, _)| row).filter(|row| right(row))
        })
        .await
    }

    /// What the visitor sees, once it is this much.
    pub(crate) async fn history(&self, visitor: &str, n: usize) -> Vec<MessageRow> {
        until(&format!("{n} messages of {visitor}"), || async {
            let rows = self.store.history(thread(visitor), 0, 1000).await.unwrap();
            (rows.len() >= n).then_some(rows)
        })
        .await
    }

    /// Sends a command and waits for its outcome.
    pub(crate) async fn ask(&self, on: &Conversation, command: Command) -> Outcome {
        let id = command.id;
        self.publish(vec![ordered(on, command)]).await;
        until("the outcome", || async {
            self.store.outcome(id).await.unwrap()
        })
        .await
    }

    /// The same, and it has to be done.
    pub(crate) async fn done(&self, on: &Conversation, command: Command) -> Outcome {
        let outcome = self.ask(on, command).await;
        assert_eq!(outcome.status, OutcomeStatus::Done, "{outcome:?}");
        outcome
    }

    pub(crate) async fn all(&self) -> Vec<Conversation> {
        let filter = ConversationFilter {
            limit: 1000,
            ..ConversationFilter::default()
        };
        let page = self.store.conversations(&filter).await.unwrap();
        (page.items.into_iter())
            .map(|view| view.conversation)
            .collect()
    }

    pub(crate) async fn dead(&self) -> Vec<DeadLetter> {
        let filter = DeadFilter {
            limit: 1000,
            ..DeadFilter::default()
        };
        self.store.dead(&filter).await.unwrap().items
    }

    /// What comes out for the sinks, once it is this much; in each shard's order.
    pub(crate) async fn sent(&self, n: usize) -> Vec<Envelope> {
        let mut sent = Vec::new();
        let mut consumers = Vec::new();
        for shard in 0..N {
            consumers.push(
                self.bus
                    .consume(Queue::Outbound(shard), 1000)
                    .await
                    .unwrap(),
            );
        }
        let began = Instant::now();
        while sent.len() < n {
            assert!(
                began.elapsed() < DEADLINE,
                "{} of {n} outbounds came",
                sent.len()
            );
            for consumer in &mut consumers {
                let wait = Duration::from_millis(20);
                let Ok(got) = tokio::time::timeout(wait, consumer.recv(1000)).await else {
                    continue;
                };
                for delivery in got.unwrap() {
                    sent.push(serde_json::from_slice(&delivery.message.body).unwrap());
                    delivery.ack();
                }
            }
        }
        sent
    }
}

/// A command in its envelope, for the conversation's partition.
pub(crate) fn ordered(on: &Conversation, mut command: Command) -> (Queue, Message) {
    command.conversation_id = on.id;
    let id = MessageId(command.id.0);
    let envelope = json!({
        "schema": 1, "type": "command", "id": id, "direction": "inbound",
        "channel": {"id": "web-main", "kind": "webchat"}, "partition_key": on.thread_id,
        "received_at": SystemClock.now(), "authenticity": "token", "command": command,
    });
    let message = Message {
        id,
        kind: "command".into(),
        body: Bytes::from(envelope.to_string()),
    };
    (Queue::Inbound(on.partition), message)
}

pub(crate) fn reply(agent: AgentId, text: &str) -> Command {
    Command {
        content: vec![Content::text(text)],
        ..command(CommandName::Reply, Some(agent))
    }
}

/// The texts of these rows, in their order.
pub(crate) fn texts(rows: &[MessageRow]) -> Vec<&str> {
    rows.iter()
        .filter_map(|row| row.content.first()?.as_text())
        .collect()
}
