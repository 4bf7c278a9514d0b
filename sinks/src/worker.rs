//! What every part of the sink worker shares, and its bounds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{ChannelId, Clock, InstanceId, LogNudge, Time};
use patchbay_sdk::{Cx, Random, Secret, TokenName};
use patchbay_store::Store;
use serde::Serialize;
use tokio::sync::{Notify, Semaphore, watch};

use crate::{
    Channels, Files, OpenChannel,
    ask::Asks,
    errand::Errands,
    gate::Gates,
    http::{Http, HttpOptions},
    media::MediaOptions,
    mqtt::Mqtt,
    tokens::TokenOptions,
};

/// Readers of the event log are told this often at most.
const TELL_EVERY: Duration = Duration::from_millis(2);

/// Bounds and surroundings of the sink worker.
#[derive(Debug, Clone)]
pub struct SinksOptions {
    /// Our configured public address, without a slash at the end.
    pub public_url: String,
    /// Outbound queues, as fixed at install.
    pub shards: u16,
    /// How long a shard stays ours without a renewal: how long a crash is noticed late.
    pub lease_ttl: Duration,
    /// Deliveries of one shard not yet acked.
    pub prefetch: u16,
    /// Messages on their way at once in this process, all channels together. Well below
    /// [`patchbay_store::limits::ROWS_MAX`], so that a look at what is due sees more than these.
    pub in_flight_max: u32,
    /// How long calls under way may take to finish when the worker stops or gives a shard away.
    pub stop_grace: Duration,
    /// Lanes remembered, all shards together; past it those at rest are forgotten.
    pub lanes_max: usize,
    /// Times an adapter is asked for the next step of one try.
    pub exchanges_max: u16,
    /// Between two looks at parked messages, should nothing give a reason for an earlier one.
    pub parked_tick: Duration,
    /// Parked messages taken up in one look.
    pub parked_batch_max: u32,
    /// Where files that go out are read, and those that came in are kept.
    pub files: Files,
    /// Bounds of HTTP requests.
    pub http: HttpOptions,
    /// Bounds of fetching tokens.
    pub tokens: TokenOptions,
    /// Bounds of fetching files.
    pub media: MediaOptions,
    /// How the worker is, for `/readyz`.
    pub status: Arc<Status>,
}

impl SinksOptions {
    /// The defaults.
    #[must_use]
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            shards: 16,
            lease_ttl: Duration::from_secs(10),
            prefetch: 1000,
            in_flight_max: 512,
            stop_grace: Duration::from_secs(10),
            lanes_max: 100_000,
            exchanges_max: 32,
            parked_tick: Duration::from_secs(1),
            parked_batch_max: 400,
            files: Files::default(),
            http: HttpOptions::default(),
            tokens: TokenOptions::default(),
            media: MediaOptions::default(),
            status: Arc::default(),
        }
    }
}

/// How the worker is. Shared with whoever answers `/readyz`.
#[derive(Debug, Default)]
pub struct Status {
    now: Mutex<StatusNow>,
}

/// How the worker is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusNow {
    /// Shards this process sends for.
    pub shards: Vec<u16>,
    /// What is wrong, a sentence; none if all is well.
    pub problem: Option<String>,
    /// The first round of leases is done.
    pub ready: bool,
    /// What is wrong with the connections to brokers, by channel.
    pub brokers: BTreeMap<ChannelId, String>,
}

impl Status {
    /// How the worker is now.
    #[must_use]
    pub fn now(&self) -> StatusNow {
        self.now.lock().clone()
    }

    /// What keeps the worker from being ready, a sentence.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let now = self.now.lock();
        let waiting = (!now.ready).then(|| "not yet started".to_owned());
        let broker = (now.brokers.iter().next()).map(|(channel, why)| format!("{channel}: {why}"));
        now.problem.clone().or(waiting).or(broker)
    }

    /// How the connection to a channel's broker is.
    pub(crate) fn broker(&self, channel: &ChannelId, problem: Option<String>) {
        self.change(|now| {
            match problem {
                Some(problem) => now.brokers.insert(channel.clone(), problem),
                None => now.brokers.remove(channel),
            };
        });
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut StatusNow)) {
        change(&mut self.now.lock());
    }
}

/// Shared by all tasks of the worker.
pub(crate) struct Worker {
    pub(crate) options: SinksOptions,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) instance: InstanceId,
    pub(crate) http: Http,
    /// For answers that are files.
    pub(crate) file_http: Http,
    pub(crate) mqtt: Mqtt,
    pub(crate) gates: Gates,
    pub(crate) errands: Errands,
    /// What gateways were asked about answers they hold back.
    pub(crate) asks: Asks,
    /// Messages on their way, all channels together.
    pub(crate) total: Arc<Semaphore>,
    /// Told when a channel was resumed: what is parked may be due.
    pub(crate) resumed: watch::Sender<()>,
    /// The newest number of the event log that was written here; 0 if it is not known.
    pub(crate) newest: AtomicU64,
    /// Something was written.
    pub(crate) news: Notify,
}

impl Worker {
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Tells readers of the event log that there is something new; 0 = look.
    pub(crate) fn nudge_log(&self, seq: u64) {
        self.newest.fetch_max(seq, Ordering::Relaxed);
        self.news.notify_one();
    }

    /// Sends what [`Self::nudge_log`] wants told, for ever: one nudge tells of all that shards wrote
    /// in a moment.
    pub(crate) async fn tell_log(&self) {
        loop {
            self.news.notified().await;
            let seq = self.newest.load(Ordering::Relaxed);
            self.nudge(LogNudge::MAILBOX, &LogNudge { seq });
            tokio::time::sleep(TELL_EVERY).await;
        }
    }

    /// Tells everyone that a channel was paused or rests.
    pub(crate) fn nudge_channel(&self, body: &serde_json::Value) {
        self.nudge(CHANNEL_MAILBOX, body);
    }

    fn nudge(&self, mailbox: &str, body: &impl Serialize) {
        let body = serde_json::to_vec(body).expect("a nudge is JSON");
        let event = Mailbox::Event(mailbox.to_owned());
        self.bus.nudge(&event, Bytes::from(body));
    }

    /// What an adapter may know of its surroundings, and the tokens it is lent.
    pub(crate) fn cx<'a>(
        &'a self,
        channel: &'a OpenChannel,
        token: &'a dyn Fn(TokenName) -> Option<Secret>,
    ) -> Cx<'a> {
        self.errands.cx(channel, token)
    }
}

/// The event type by which pausing, resuming and resting are told.
pub(crate) const CHANNEL_MAILBOX: &str = "channel";

/// Random bytes of the operating system.
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(bytes)
            .expect("the operating system has random bytes");
    }
}
