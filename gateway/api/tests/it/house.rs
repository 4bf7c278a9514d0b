//! A house for the API: SQLite or PostgreSQL, the embedded bus, a router, and agents with tokens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use bytes::Bytes;
use patchbay_api::{Api, ApiOptions};
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, Message, Queue, partition_of};
use patchbay_message::{ChannelId, Clock, InstanceId, MessageId, SystemClock, ThreadId, Time};
use patchbay_router::RouterOptions;
use patchbay_store::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store, blobs};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    call::{Answer, Call},
    valve::Valve,
};

/// Partitions and shards of every house.
const N: u16 = 2;
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// The system's clock, moved by a test.
#[derive(Default)]
pub(crate) struct Moved(AtomicI64);

impl Moved {
    pub(crate) fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Moved {
    fn now(&self) -> Time {
        Time::from_ms(SystemClock.now().as_ms() + self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct House {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<Valve>,
    pub(crate) clock: Arc<Moved>,
    pub(crate) app: Router,
    pub(crate) operator: Router,
    router: Option<(CancellationToken, JoinHandle<()>)>,
    _stop: DropGuard,
    _folder: TempDir,
}

pub(crate) fn channel() -> ChannelId {
    ChannelId::new("web-main").unwrap()
}

pub(crate) fn thread(visitor: &str) -> ThreadId {
    ThreadId::of(&channel(), visitor)
}

/// Waits until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn options() -> ApiOptions {
    ApiOptions {
        command_wait: Duration::from_secs(20),
        ticket_ttl: Duration::from_secs(30),
        requests_per_second: 10_000,
        presence_grace: Duration::from_millis(400),
        upload_bytes_max: 64 * 1024,
        upload_types: vec!["image/*".into(), "text/plain".into()],
        sockets_max: 16,
        partitions: N,
        channels: vec![
            (channel(), "webchat".into()),
            (ChannelId::new("sms-main").unwrap(), "http".into()),
        ],
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(options()).await
    }

    /// Nobody routes: the test does it itself.
    pub(crate) async fn without_router(options: ApiOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Moved::default());
        let sqlite = SqliteOptions {
            clock: clock.clone(),
            ..SqliteOptions::default()
        };
        let store = SqliteStore::open(folder.path().join("store.db"), sqlite).unwrap();
        Self::over(store, clock, folder, options).await
    }

    /// The same, on an empty schema of the PostgreSQL that all tests share.
    pub(crate) async fn on_postgresql(options: ApiOptions) -> Self {
        let server = std::env::var("PATCHBAY_TEST_PG")
            .expect("PATCHBAY_TEST_PG is not set: run the tests by `make test`");
        let schema = format!("t{}", uuid::Uuid::now_v7().simple());
        let connected = tokio_postgres::connect(&server, tokio_postgres::NoTls);
        let (client, connection) = connected.await.unwrap();
        tokio::spawn(connection);
        let create = format!("CREATE SCHEMA {schema}");
        client.batch_execute(&create).await.unwrap();
        let url = format!("{server}?options=-csearch_path%3D{schema}");
        let store = PostgresStore::connect(&url, PostgresOptions::default());
        let folder = tempfile::tempdir().unwrap();
        Self::over(store.await.unwrap(), Arc::default(), folder, options).await
    }

    async fn over(
        store: Arc<dyn Store>,
        clock: Arc<Moved>,
        folder: TempDir,
        options: ApiOptions,
    ) -> Self {
        let bus = EmbeddedBus::open(folder.path().join("bus.db"), EmbeddedOptions::default());
        let bus = Valve::new(bus.unwrap());
        let blobs = blobs::open("file", folder.path()).await.unwrap();
        let stop = CancellationToken::new();
        let api = Api::open(
            store.clone(),
            bus.clone(),
            blobs,
            clock.clone(),
            options,
            stop.clone(),
        )
        .await
        .unwrap();
        tokio::spawn(api.clone().follow(stop.clone()));
        Self {
            store,
            bus,
            clock,
            app: api.clone().routes(),
            operator: api.operator_routes(),
            router: None,
            _stop: stop.drop_guard(),
            _folder: folder,
        }
    }

    pub(crate) async fn with(options: ApiOptions) -> Self {
        let mut house = Self::without_router(options).await;
        house.route();
        house
    }

    /// Starts the router.
    pub(crate) fn route(&mut self) {
        let mut options = RouterOptions {
            partitions: N,
            rescan_every: Duration::from_millis(100),
            retry_min: Duration::from_millis(10),
            ..RouterOptions::default()
        };
        options.rules.shards = N;
        let stop = CancellationToken::new();
        let task = tokio::spawn(patchbay_router::run(
            options,
            self.bus.clone(),
            self.store.clone(),
            self.clock.clone(),
            InstanceId::new(),
            stop.clone(),
        ));
        self.router = Some((stop, task));
    }

    /// Stops the router in order.
    pub(crate) async fn stop_router(&mut self) {
        let (stop, task) = self.router.take().expect("a router runs");
        stop.cancel();
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        Call::new(self.app.clone(), method, path)
    }

    /// As the operator on the admin listener.
    pub(crate) fn operate(&self, method: &str, path: &str) -> Call {
        Call::new(self.operator.clone(), method, path)
    }

    /// An agent, or whoever has this role: id and token.
    pub(crate) async fn agent(&self, name: &str, role: &str) -> (String, String) {
        let fields = json!({ "name": name, "role": role, "capacity": 100 });
        let agent = self.operate("POST", "/agents").json(&fields).send().await;
        let id = agent.ok()["id"].as_str().unwrap().to_owned();
        let fields = json!({ "name": "console", "agent_id": id });
        let token = self.operate("POST", "/tokens").json(&fields).send().await;
        (id, token.ok()["token"].as_str().unwrap().to_owned())
    }

    /// A contact says something; answers its conversation once it is there.
    pub(crate) async fn say(&self, visitor: &str, text: &str) -> String {
        self.publish(said(visitor, text, &Value::Null)).await;
        self.heard(visitor, text).await
    }

    pub(crate) async fn publish(&self, (queue, message): (Queue, Message)) {
        self.bus.bus.publish(vec![(queue, message)]).await.unwrap();
    }

    /// The visitor's conversation, once its newest message is this.
    pub(crate) async fn heard(&self, visitor: &str, text: &str) -> String {
        until("the contact's message", || async {
            let standing = self.store.standing(thread(visitor)).await.unwrap();
            let (row, _) = standing?;
            (row.last_preview.as_deref() == Some(text)).then(|| row.id.to_string())
        })
        .await
    }

    pub(crate) async fn reply(&self, id: &str, token: &str, text: &str, key: &str) -> Answer {
        let body = json!({ "content": [{ "type": "text", "text": text }] });
        let call = self.call("POST", &format!("/conversations/{id}/reply"));
        call.token(token).key(key).json(&body).send().await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path).token(token).send().await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call("POST", path).token(token).json(body).send().await
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some((stop, _)) = &self.router {
            stop.cancel();
        }
    }
}

/// A contact's message as it comes from the normalizer; `fields` are added or replaced.
pub(crate) fn said(visitor: &str, text: &str, fields: &Value) -> (Queue, Message) {
    let id = MessageId::new();
    let key = format!("web-main/{visitor}");
    let mut envelope = json!({
        "schema": 1, "type": "message", "id": id, "direction": "inbound",
        "channel": {"id": "web-main", "kind": "webchat"},
        "partition_key": key,
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
    (Queue::Inbound(partition_of(&key, N)), message)
}
