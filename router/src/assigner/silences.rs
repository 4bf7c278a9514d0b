//! Devices that were silent for too long: their own partitions are told, and decide.
//!
//! Beside the assigner's looks and at its own pace: a bus that does not take what is told holds up
//! nobody who waits for an agent, and one partition's queue not the others'. Nothing is lost if the bus
//! does not take it, or if we end before it is decided: the devices are found again.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use patchbay_bus::{Message, PublishError, Queue};
use patchbay_message::{ThreadId, Time};
use patchbay_store::{Cursor, Device, StoreError, Want, limits};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{shared::Shared, silence};

/// The list is read from its beginning again after this long: what comes in front of where we are has
/// come late, or could not be told.
const ROUND: Duration = Duration::from_secs(30);
/// Silences that are remembered as told. Those past it are told once in every round.
const TOLD_MAX: usize = 65_536;

/// Some silences of one partition.
struct Batch {
    partition: u16,
    devices: Vec<(ThreadId, Time)>,
    messages: Vec<(Queue, Message)>,
}

/// The partition, its devices, and whether the bus has them now.
type Told = (u16, Vec<(ThreadId, Time)>, Result<(), PublishError>);

/// Who tells.
pub(super) struct Teller {
    shared: Arc<Shared>,
    /// Up to here the list was read.
    after: Option<Cursor>,
    /// When it is read from its beginning again.
    starts_over: Instant,
    /// Told and perhaps not decided yet: which silence, and when it was told.
    told: HashMap<ThreadId, (Time, Instant)>,
    /// At most one batch of each partition.
    under_way: FuturesUnordered<BoxFuture<'static, Told>>,
    /// The partitions of which one is.
    busy: HashSet<u16>,
}

impl Teller {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            after: None,
            starts_over: Instant::now() + ROUND,
            told: HashMap::new(),
            under_way: FuturesUnordered::new(),
            busy: HashSet::new(),
        }
    }

    /// For ever; dropped to stop it.
    pub(super) async fn run(mut self) -> Infallible {
        sleep(self.shared.options.silence_grace).await;
        let mut backoff = self.shared.backoff();
        loop {
            match self.look().await {
                Ok(more) => {
                    backoff.reset();
                    self.gather(more).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "silent devices cannot be read");
                    backoff.wait().await;
                }
            }
        }
    }

    /// Reads on and tells what is untold; answers whether there is more to be read at once.
    async fn look(&mut self) -> Result<bool, StoreError> {
        if self.starts_over <= Instant::now() {
            self.starts_over = Instant::now() + ROUND;
            self.after = None;
            let again = self.shared.options.silence_again;
            self.told.retain(|_, (_, at)| at.elapsed() < again);
        }
        let now = self.shared.clock.now();
        let want = Want {
            silent_until: Some(now),
            silent_after: self.after.clone(),
            ..Want::default()
        };
        let silent = self.shared.journal.facts(&want).await?.silent;
        let more = silent.len() >= limits::SILENT_MAX as usize;
        let last = silent.last();
        self.after = last.and_then(place).or(self.after.take());
        for batch in self.batches(&silent, now) {
            self.tell(batch);
        }
        Ok(more)
    }

    /// What is to be told now, by partition. Those of a partition that is busy are found again.
    fn batches(&mut self, silent: &[Device], now: Time) -> Vec<Batch> {
        let mut batches: HashMap<u16, Batch> = HashMap::new();
        for device in silent {
            let told = self.told.get(&device.thread_id);
            if told.map(|(silent_at, _)| *silent_at) == device.silent_at {
                continue;
            }
            let partition = device.partition;
            if self.busy.contains(&partition) {
                self.start_over_soon();
                continue;
            }
            let (Some(silent_at), Some(message)) = (device.silent_at, message(device, now)) else {
                continue;
            };
            let batch = batches.entry(partition).or_insert_with(|| Batch {
                partition,
                devices: Vec::new(),
                messages: Vec::new(),
            });
            batch.devices.push((device.thread_id, silent_at));
            batch.messages.push((Queue::Inbound(partition), message));
        }
        batches.into_values().collect()
    }

    fn tell(&mut self, batch: Batch) {
        let Batch {
            partition,
            devices,
            messages,
        } = batch;
        self.busy.insert(partition);
        let bus = self.shared.bus.clone();
        let told = async move { (partition, devices, bus.publish(messages).await) };
        self.under_way.push(told.boxed());
    }

    /// Takes in what the bus answers until it is time to look again: as soon as all is told if there is
    /// more to be read. Whoever is not answered by then keeps only their own partition waiting.
    async fn gather(&mut self, more: bool) {
        let until = Instant::now() + self.shared.options.rescan_every;
        while !more || !self.under_way.is_empty() {
            tokio::select! {
                Some(told) = self.under_way.next() => self.ended(told),
                () = sleep_until(until) => return,
            }
        }
    }

    fn ended(&mut self, (partition, devices, told): Told) {
        self.busy.remove(&partition);
        match told {
            Ok(()) => {
                let n = devices.len();
                metrics::counter!("patchbay_router_silences_total").increment(n as u64);
                tracing::info!(partition, devices = n, "silent for too long");
                let now = Instant::now();
                let room = TOLD_MAX.saturating_sub(self.told.len());
                let devices = devices.into_iter().take(room);
                self.told
                    .extend(devices.map(|(thread, silent_at)| (thread, (silent_at, now))));
            }
            Err(error) => {
                tracing::warn!(partition, %error, "silence is told later");
                self.start_over_soon();
            }
        }
    }

    fn start_over_soon(&mut self) {
        let soon = Instant::now() + self.shared.options.retry_max;
        self.starts_over = self.starts_over.min(soon);
    }
}

/// Where a device stands in the list.
fn place(device: &Device) -> Option<Cursor> {
    let at = device.silent_at?;
    let id = device.thread_id.0;
    Some(Cursor { at, id })
}

fn message(device: &Device, now: Time) -> Option<Message> {
    let envelope = silence::envelope(device, now)?;
    Some(Message {
        id: envelope.id,
        kind: "message".into(),
        body: envelope.to_bytes().ok()?.into(),
    })
}
