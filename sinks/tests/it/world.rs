//! What a test needs: a store, a bus, channels of a test kind, and someone to play the router.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, Message, Queue, partition_of};
use patchbay_message::{
    Attributes, Authenticity, ChannelId, ChannelRef, Clock, Content, ConversationId, Direction,
    Envelope, EnvelopeType, InstanceId, MessageId, Party, ReceiptState, SCHEMA_VERSION,
    SystemClock, ThreadId,
};
use patchbay_sdk::{
    Answer, Channel, Cx, Decoded, Effect, Exchange, HttpOut, Link, LiveOut, Manifest, OutLimits,
    Reject, Reply, Request, Scope, SendError, Sent, Session, Slot, Step, Wire,
};
use patchbay_sinks::{Channels, OpenChannel, RetryPolicy, SendLimits, SinksOptions};
use patchbay_store::{
    Changes, DeadFilter, DeadLetter, MessageKind, MessageRow, SqliteOptions, SqliteStore, Store,
    blobs::Blobs,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{kept::Kept, ride::ridden};

pub(crate) const SHARDS: u16 = 4;
/// Nothing a test waits for takes this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// The test kind: one request per part; its words are HTTP statuses.
struct Fake {
    url: Option<String>,
    /// The provider takes an idempotency key.
    keyed: bool,
    answer_timeout: Duration,
    /// Answers may wait for a reply of one text.
    rides: bool,
}

/// A kind whose contacts can be answered for a while only.
pub(crate) const WINDOWED: Manifest = Manifest {
    reply_window: Some(Duration::from_secs(48 * 3600)),
    quota: Some(5),
    ..MANIFEST
};

const MANIFEST: Manifest = Manifest {
    id: "fake",
    title: "Fake",
    content_out: &["text"],
    limits: OutLimits {
        text_bytes_max: None,
        media_bytes_max: None,
        parts_max: None,
    },
    ack_deadline: None,
    redelivers: true,
    reply_window: None,
    quota: None,
};

impl Channel for Fake {
    fn links(&self) -> Vec<Link> {
        match self.url {
            Some(_) => vec![Link::Http],
            None => vec![Link::Http, Link::Socket],
        }
    }

    fn decode(&self, _: &Cx<'_>, _: &mut Session, _: Wire<'_>) -> Result<Decoded, Reject> {
        Err(Reject::NotFound)
    }

    fn send(
        &self,
        _: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        let to = &outbound.recipient.as_ref().expect("a recipient").address;
        let Some(url) = &self.url else {
            return Ok(live(outbound, to, past));
        };
        for exchange in past {
            judge(exchange, to)?;
        }
        let Some(part) = outbound.content.get(past.len()) else {
            return Ok(Step::Done(sent(past)));
        };
        let text = part.as_text().ok_or(SendError::Unsupported)?;
        assert_ne!(text, "panic", "a bug in the adapter");
        let body = serde_json::json!({ "to": to, "text": text });
        Ok(Step::Call(Request::Http(HttpOut {
            method: Method::POST,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
            effect: Effect::Deliver {
                part: u16::try_from(past.len()).expect("few"),
                key: self.keyed.then(|| outbound.id.to_string()),
            },
            timeout: self.answer_timeout,
        })))
    }

    fn rides(&self) -> bool {
        self.rides
    }

    fn ride(
        &self,
        _: &Cx<'_>,
        _: &Slot,
        outbound: &Envelope,
        _: &[Exchange],
    ) -> Result<Step<Reply>, SendError> {
        let [part] = outbound.content.as_slice() else {
            return Err(SendError::Unsupported);
        };
        let text = part.as_text().ok_or(SendError::Unsupported)?;
        Ok(Step::Done(ridden(text)))
    }
}

fn live(outbound: &Envelope, to: &str, past: &[Exchange]) -> Step<Vec<Sent>> {
    if past.is_empty() {
        return Step::Call(Request::Live(LiveOut {
            id: outbound.id,
            address: to.to_owned(),
            seq: outbound.thread_seq.expect("routed"),
            frame: outbound.content[0].as_text().expect("a text").to_owned(),
        }));
    }
    Step::Done(vec![Sent {
        part: 0,
        external_id: None,
        state: ReceiptState::Sent,
        awaits: None,
    }])
}

fn judge(exchange: &Exchange, to: &str) -> Result<(), SendError> {
    let Exchange::Answered(Answer::Http {
        status, headers, ..
    }) = exchange
    else {
        return Err(match exchange {
            Exchange::NotSent(_) => SendError::Retry(None),
            _ => SendError::Unknown,
        });
    };
    let seconds = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(Duration::from_secs_f64(value.parse().ok()?))
    };
    let pause = seconds("retry-after");
    match *status {
        StatusCode::OK => Ok(()),
        StatusCode::TOO_MANY_REQUESTS => {
            let scope = if headers.contains_key("x-contact") {
                Scope::Contact
            } else {
                Scope::Channel
            };
            Err(SendError::Throttled(scope, pause.unwrap_or_default()))
        }
        StatusCode::BAD_REQUEST => Err(SendError::Payload("the provider says no".to_owned())),
        StatusCode::FORBIDDEN => Err(SendError::Blocked),
        StatusCode::GONE => Err(SendError::Gone(to.to_owned())),
        StatusCode::UNAUTHORIZED => Err(SendError::Account("wrong password".to_owned())),
        _ => Err(SendError::Retry(pause)),
    }
}

fn sent(past: &[Exchange]) -> Vec<Sent> {
    let ids = past.iter().enumerate().map(|(part, exchange)| {
        let Exchange::Answered(Answer::Http { body, .. }) = exchange else {
            panic!("judged before");
        };
        let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        Sent {
            part: u16::try_from(part).expect("few"),
            external_id: body["id"].as_str().map(str::to_owned),
            state: ReceiptState::Accepted,
            awaits: None,
        }
    });
    ids.collect()
}

/// A channel of the test kind, to be changed before it is opened.
pub(crate) struct Plan {
    pub(crate) id: &'static str,
    pub(crate) url: Option<String>,
    pub(crate) keyed: bool,
    pub(crate) rides: bool,
    pub(crate) answer_timeout: Duration,
    pub(crate) limits: SendLimits,
    pub(crate) retry: RetryPolicy,
    /// Another one than the test kind.
    pub(crate) channel: Option<Box<dyn Channel>>,
    pub(crate) manifest: &'static Manifest,
}

impl Plan {
    /// Sends as this channel says; retries soon.
    pub(crate) fn of(id: &'static str, channel: Box<dyn Channel>) -> Self {
        Self {
            channel: Some(channel),
            ..Self::http(id, "")
        }
    }

    /// Sends by requests to `url`; retries soon.
    pub(crate) fn http(id: &'static str, url: &str) -> Self {
        Self {
            id,
            url: Some(url.to_owned()),
            keyed: false,
            rides: false,
            answer_timeout: Duration::from_secs(10),
            limits: SendLimits::default(),
            retry: RetryPolicy {
                delay_min: Duration::from_millis(50),
                delay_max: Duration::from_millis(400),
                ..RetryPolicy::default()
            },
            channel: None,
            manifest: &MANIFEST,
        }
    }

    /// Contacts can be answered only after they have written.
    pub(crate) fn windowed(self) -> Self {
        Self {
            manifest: &WINDOWED,
            ..self
        }
    }

    /// Answers of the provider's requests may wait for a reply.
    pub(crate) fn riding(self) -> Self {
        Self {
            rides: true,
            ..self
        }
    }

    /// Sends by live pushes.
    pub(crate) fn live(id: &'static str) -> Self {
        Self {
            url: None,
            ..Self::http(id, "")
        }
    }

    fn open(self) -> OpenChannel {
        OpenChannel {
            id: channel(self.id),
            kind: self.manifest,
            channel: self.channel.unwrap_or_else(|| {
                Box::new(Fake {
                    url: self.url,
                    keyed: self.keyed,
                    answer_timeout: self.answer_timeout,
                    rides: self.rides,
                })
            }),
            limits: self.limits,
            retry: self.retry,
        }
    }
}

pub(crate) fn channel(id: &str) -> ChannelId {
    ChannelId::new(id).expect("a channel id")
}

/// A store, a bus, and channels.
pub(crate) struct World {
    pub(crate) bus: Arc<EmbeddedBus>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) clock: Arc<SystemClock>,
    conversations: Mutex<std::collections::HashMap<ThreadId, (ConversationId, u64)>>,
    _folder: Option<TempDir>,
}

/// A running worker. Dropping it kills it as it stands.
pub(crate) struct Sinks {
    pub(crate) options: SinksOptions,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Sinks {
    /// Stops it as a signal would.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, &mut self.running).await;
        ended.expect("it stops").expect("it stops well");
    }

    /// Ends it at once, as a crash would: nothing is finished, nothing is given up.
    pub(crate) async fn kill(mut self) {
        self.running.abort();
        let ended = (&mut self.running).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }
}

impl World {
    pub(crate) fn new(plans: impl IntoIterator<Item = Plan>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut world = Self::at(folder.path(), plans);
        world._folder = Some(folder);
        world
    }

    /// A world in a folder that outlives it.
    pub(crate) fn at(path: &std::path::Path, plans: impl IntoIterator<Item = Plan>) -> Self {
        let store = SqliteStore::open(path.join("store.db"), SqliteOptions::default());
        Self::on(store.expect("a store"), path, plans)
    }

    /// A world on this store.
    pub(crate) fn on(
        store: Arc<dyn Store>,
        path: &std::path::Path,
        plans: impl IntoIterator<Item = Plan>,
    ) -> Self {
        let bus = EmbeddedBus::open(path.join("bus.db"), EmbeddedOptions::default());
        Self {
            bus: bus.expect("a bus"),
            store,
            blobs: Arc::new(Kept::default()),
            channels: Arc::new(Channels::new(plans.into_iter().map(Plan::open))),
            clock: Arc::new(SystemClock),
            conversations: Mutex::default(),
            _folder: None,
        }
    }

    pub(crate) fn now(&self) -> patchbay_message::Time {
        self.clock.now()
    }

    /// A worker with short leases.
    pub(crate) fn sinks(&self) -> Sinks {
        self.sinks_with(|_| {})
    }

    pub(crate) fn sinks_with(&self, change: impl FnOnce(&mut SinksOptions)) -> Sinks {
        let mut options = SinksOptions::new("https://chat.example");
        options.shards = SHARDS;
        options.lease_ttl = Duration::from_millis(900);
        options.stop_grace = Duration::from_secs(5);
        options.files = self.blobs.clone().into();
        change(&mut options);
        let stop = CancellationToken::new();
        let running = patchbay_sinks::run(
            options.clone(),
            self.bus.clone(),
            self.store.clone(),
            self.channels.clone(),
            self.clock.clone(),
            InstanceId::new(),
            stop.clone(),
        );
        let running = tokio::spawn(async move { running.await.expect("an HTTP client") });
        Sinks {
            options,
            stop,
            running,
        }
    }

    /// What the router does for a reply: keeps the message and publishes it.
    pub(crate) async fn reply(&self, on: &str, to: &str, seq: u64, texts: &[&str]) -> MessageId {
        let envelope = self.keep(on, to, seq, texts).await;
        self.publish(&[&envelope]).await;
        envelope.id
    }

    /// Keeps a message as the router does, without publishing it.
    pub(crate) async fn keep(&self, on: &str, to: &str, seq: u64, texts: &[&str]) -> Envelope {
        let channel = channel(on);
        let thread = ThreadId::of(&channel, to);
        let (conversation, pos) = {
            let mut all = self.conversations.lock();
            let own = all.entry(thread).or_insert((ConversationId::new(), 0));
            own.1 += 1;
            *own
        };
        let envelope = envelope(&channel, to, conversation, seq, texts, self.clock.now());
        let row = MessageRow {
            id: envelope.id,
            conversation_id: conversation,
            thread_id: thread,
            pos,
            thread_seq: Some(seq),
            out_seq: Some(seq),
            kind: MessageKind::Message,
            direction: Direction::Outbound,
            sender: Party::default(),
            agent_id: None,
            content: envelope.content.clone(),
            external_id: None,
            at: envelope.received_at,
            state: Some(ReceiptState::Queued),
            reason: None,
            attempts: 0,
            expires_at: None,
        };
        self.commit(Changes {
            messages: vec![row],
            ..Changes::default()
        })
        .await;
        envelope
    }

    pub(crate) async fn publish(&self, envelopes: &[&Envelope]) {
        let batch = envelopes
            .iter()
            .map(|envelope| {
                let lane = envelope.lane_key.as_deref().expect("a lane");
                let message = Message {
                    id: envelope.id,
                    kind: "message".into(),
                    body: Bytes::from(serde_json::to_vec(envelope).expect("JSON")),
                };
                (Queue::Outbound(partition_of(lane, SHARDS)), message)
            })
            .collect();
        self.bus.publish(batch).await.expect("published");
    }

    pub(crate) async fn commit(&self, changes: Changes) {
        self.store.commit(changes).await.expect("committed");
    }

    pub(crate) async fn message(&self, id: MessageId) -> MessageRow {
        let found = self.store.message(id).await.expect("the store answers");
        found.expect("the message is there")
    }

    /// Waits until a message has this state.
    pub(crate) async fn state(&self, id: MessageId, state: ReceiptState) -> MessageRow {
        let mut last = None;
        let waiting = async {
            loop {
                let row = self.message(id).await;
                if row.state.as_ref() == Some(&state) {
                    return row;
                }
                last = row.state;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| panic!("message is {last:?}, not {state}"))
    }

    /// Waits until `found` answers something.
    pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
        &self,
        what: &str,
        mut found: impl FnMut() -> F,
    ) -> T {
        let waiting = async {
            loop {
                if let Some(found) = found().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| panic!("waited in vain for: {what}"))
    }

    pub(crate) async fn dead(&self) -> Vec<DeadLetter> {
        let filter = DeadFilter {
            limit: 100,
            ..DeadFilter::default()
        };
        self.store
            .dead(&filter)
            .await
            .expect("the store answers")
            .items
    }

    /// What is parked in a lane: number and reason.
    pub(crate) async fn parked(&self, on: &str, to: &str) -> Vec<(u64, String)> {
        let lane = ThreadId::of(&channel(on), to);
        let rows = self
            .store
            .parked(lane, 100)
            .await
            .expect("the store answers");
        rows.into_iter()
            .map(|row| (row.out_seq, row.reason))
            .collect()
    }

    /// Messages not yet taken from the bus for good.
    pub(crate) async fn depth(&self) -> u64 {
        let mut depth = 0;
        for shard in 0..SHARDS {
            let queue = Queue::Outbound(shard);
            depth += self.bus.depth(queue).await.expect("the bus answers");
        }
        depth
    }
}

fn envelope(
    channel: &ChannelId,
    to: &str,
    conversation: ConversationId,
    seq: u64,
    texts: &[&str],
    now: patchbay_message::Time,
) -> Envelope {
    Envelope {
        schema: SCHEMA_VERSION,
        kind: EnvelopeType::Message,
        id: MessageId::new(),
        direction: Direction::Outbound,
        channel: ChannelRef {
            id: channel.clone(),
            kind: "fake".to_owned(),
        },
        partition_key: format!("{channel}:{to}"),
        thread_hints: Attributes::new(),
        conversation_id: Some(conversation),
        thread_seq: Some(seq),
        lane_key: Some(ThreadId::of(channel, to).to_string()),
        out_seq: Some(seq),
        hop: None,
        sender: None,
        recipient: Some(Party {
            address: to.to_owned(),
            ..Party::default()
        }),
        external_id: None,
        dedupe_key: None,
        in_reply_to: None,
        sent_at: None,
        received_at: now,
        content: texts.iter().map(|text| Content::text(*text)).collect(),
        receipt: None,
        command: None,
        reply: None,
        authenticity: Authenticity::None,
        attributes: Attributes::new(),
        expires_at: None,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        extra: Attributes::new(),
    }
}
