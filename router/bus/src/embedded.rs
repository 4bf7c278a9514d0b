//! The bus within one process: a SQLite journal, written in groups, served from memory.
//!
//! For `patchbay up`: nothing to install. One process owns the journal; consumers and publishers
//! are tasks of it. What was in the journal when it was opened counts as redelivered, since nobody
//! knows how far the last owner got with it.

mod cell;
mod consumer;
mod journal;
mod mailboxes;
mod writer;

use std::{
    collections::HashMap,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use self::{
    cell::{Bounds, Cell},
    consumer::EmbeddedConsumer,
    journal::Journal,
    mailboxes::Mailboxes,
    writer::{Intake, Publish, Reservation},
};
use crate::{
    Bus, BusError, Consumer, Health, Mailbox, Message, PublishError, Queue, check_size,
    meter::{Meter, count_by_kind},
};

/// The bounds of an embedded bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Messages one queue holds at most; past it a publish is refused as full.
    pub queue_length_max: usize,
    /// Bytes of bodies one queue holds at most.
    pub queue_bytes_max: u64,
    /// Bytes of bodies of one queue kept in memory; what is past it is read back from the journal.
    pub tail_bytes_max: usize,
    /// Bytes of publishes waiting for the disk; past it publishers wait, up to `confirm_timeout`.
    pub in_flight_bytes_max: u32,
    /// Messages written in one transaction, about.
    pub commit_max: usize,
    /// How long an ack may wait for a publish whose commit it can share.
    pub ack_delay: Duration,
    /// A publish that is not on disk after this long is reported as unavailable.
    pub confirm_timeout: Duration,
    /// Messages a mailbox holds for a slow listener.
    pub mailbox_max: usize,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            queue_length_max: 200_000,
            queue_bytes_max: 512 * 1024 * 1024,
            tail_bytes_max: 4 * 1024 * 1024,
            in_flight_bytes_max: 32 * 1024 * 1024,
            commit_max: 1024,
            ack_delay: Duration::from_millis(5),
            confirm_timeout: Duration::from_secs(10),
            mailbox_max: 1024,
        }
    }
}

/// Messages read back from the journal at a time.
const REFILL_MAX: usize = 512;
/// With fewer ready messages than this the next ones are read back.
const REFILL_BELOW: usize = 128;
/// What a message weighs in flight besides its body.
const MESSAGE_OVERHEAD_BYTES: usize = 512;

/// The bus in this process, see the module.
pub struct EmbeddedBus {
    shared: Arc<Shared>,
}

struct Shared {
    options: EmbeddedOptions,
    cells: RwLock<HashMap<Queue, Arc<Cell>>>,
    intake: Intake,
    /// Bytes that may still be in flight.
    room: Arc<Semaphore>,
    reader: Mutex<Journal>,
    mailboxes: Mailboxes,
    problem: Mutex<Option<String>>,
    consumer_ids: AtomicU64,
    meter: Meter,
    /// Set when the writer has ended and the journal is free.
    ended: AtomicBool,
    ending: Notify,
}

impl EmbeddedBus {
    /// Opens the journal at `path`, making it if need be. Blocks for a moment.
    ///
    /// # Errors
    /// The file cannot be opened, is not a journal of this version, or belongs to another process.
    pub fn open(path: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Arc<Self>, BusError> {
        let path = path.as_ref();
        let lock = journal::lock(path)?;
        let mut journal = Journal::open(path)?;
        let reader = Journal::open_reader(path)?;
        let left = journal
            .left()
            .map_err(|error| BusError(format!("cannot read the journal: {error}")))?;
        let bounds = bounds(&options);
        let cells = left
            .iter()
            .map(|left| {
                (
                    left.queue,
                    Arc::new(Cell::new(left.queue, bounds, Some(left))),
                )
            })
            .collect();
        let shared = Arc::new(Shared {
            cells: RwLock::new(cells),
            intake: Intake::new(),
            room: Arc::new(Semaphore::new(options.in_flight_bytes_max as usize)),
            reader: Mutex::new(reader),
            mailboxes: Mailboxes::new(options.mailbox_max),
            problem: Mutex::new(None),
            consumer_ids: AtomicU64::new(0),
            meter: Meter::new(),
            ended: AtomicBool::new(false),
            ending: Notify::new(),
            options,
        });
        let writing = shared.clone();
        std::thread::Builder::new()
            .name("bus-journal".to_owned())
            .spawn(move || {
                let _ended = Ended(&writing);
                writing.write(&mut journal);
                drop(journal);
                drop(lock);
            })
            .map_err(|error| BusError(format!("cannot start the journal's writer: {error}")))?;
        Ok(Arc::new(Self { shared }))
    }
}

fn bounds(options: &EmbeddedOptions) -> Bounds {
    Bounds {
        length_max: options.queue_length_max,
        bytes_max: options.queue_bytes_max,
        tail_bytes_max: options.tail_bytes_max,
        refill_below: REFILL_BELOW,
    }
}

/// Dropped when the writer ends, by a panic too.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.intake.abandon();
        self.0.room.close();
        self.0.ended.store(true, Ordering::Release);
        let closed = Shared::closed();
        if std::thread::panicking() {
            *self.0.problem.lock() = Some("the journal's writer has failed".to_owned());
        }
        for cell in self.0.cells.read().values() {
            cell.break_off(&closed.0);
        }
        self.0.ending.notify_waiters();
    }
}

impl Shared {
    fn closed() -> BusError {
        BusError("the embedded bus is closed".to_owned())
    }

    fn write(&self, journal: &mut Journal) {
        let report = |problem: Option<String>| {
            let mut known = self.problem.lock();
            if *known != problem {
                match &problem {
                    Some(problem) => tracing::error!(%problem, "bus journal fails"),
                    None => tracing::info!("bus journal works again"),
                }
                *known = problem;
            }
        };
        writer::run(
            journal,
            &self.intake,
            self.options.ack_delay,
            self.options.commit_max,
            &report,
        );
    }

    fn cell(&self, queue: Queue) -> Arc<Cell> {
        if let Some(cell) = self.cells.read().get(&queue) {
            return cell.clone();
        }
        self.cells
            .write()
            .entry(queue)
            .or_insert_with(|| Arc::new(Cell::new(queue, bounds(&self.options), None)))
            .clone()
    }

    /// Reads on in the background; the consumer is woken when it is done.
    fn refill(self: &Arc<Self>, cell: &Arc<Cell>, seqs: Range<u64>) {
        let (shared, cell) = (self.clone(), cell.clone());
        tokio::task::spawn_blocking(move || {
            let bytes_max = shared.options.tail_bytes_max;
            let end = seqs.end;
            let found = shared
                .reader
                .lock()
                .read(cell.queue, seqs, REFILL_MAX, bytes_max);
            match found {
                Ok(found) => {
                    // Fewer than asked for means that the range is exhausted.
                    let bytes: usize = found.iter().map(|(_, m)| m.body.len()).sum();
                    let partial = found.len() == REFILL_MAX || bytes >= bytes_max;
                    let read_to = match found.last() {
                        Some((last, _)) if partial => last + 1,
                        _ => end,
                    };
                    cell.refill(found, read_to);
                }
                Err(error) => {
                    let problem = format!("cannot read the journal: {error}");
                    tracing::error!(%problem, "bus journal fails");
                    cell.break_off(&problem);
                }
            }
        });
    }

    async fn store(&self, batch: Vec<(Queue, Message)>) -> Result<(), PublishError> {
        let unavailable = || PublishError::Unavailable(Self::closed().0);
        let weight: usize = batch
            .iter()
            .map(|(_, m)| m.body.len() + MESSAGE_OVERHEAD_BYTES)
            .sum();
        // A batch beyond the bound goes alone.
        let weight = u32::try_from(weight)
            .unwrap_or(u32::MAX)
            .min(self.options.in_flight_bytes_max);
        let batch: Vec<(Arc<Cell>, Message)> = batch
            .into_iter()
            .map(|(queue, message)| (self.cell(queue), message))
            .collect();
        let room = self
            .room
            .clone()
            .acquire_many_owned(weight)
            .await
            .map_err(|_| unavailable())?;
        let reservation = Reservation::of(&batch)?;
        let (done, answer) = oneshot::channel();
        let publish = Publish {
            batch,
            reservation,
            room,
            done,
        };
        self.intake.publish(publish).map_err(|_| unavailable())?;
        answer.await.map_err(|_| unavailable())?
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    async fn publish(&self, batch: Vec<(Queue, Message)>) -> Result<(), PublishError> {
        if batch.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let by_kind = count_by_kind(batch.iter().map(|(queue, _)| queue));
        let timeout = self.shared.options.confirm_timeout;
        let result = match check_size(&batch) {
            Ok(()) => tokio::time::timeout(timeout, self.shared.store(batch))
                .await
                .unwrap_or_else(|_| {
                    Err(PublishError::Unavailable(format!(
                        "not on disk after {} s",
                        timeout.as_secs_f64()
                    )))
                }),
            Err(error) => Err(error),
        };
        self.shared
            .meter
            .published(by_kind, &result, began.elapsed());
        result
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BusError> {
        let cell = self.shared.cell(queue);
        let id = self.shared.consumer_ids.fetch_add(1, Ordering::Relaxed);
        let consumer = EmbeddedConsumer::new(&self.shared, cell, id, prefetch);
        // Looked at last: whoever joins before the end is told of the end.
        if self.shared.ended.load(Ordering::Acquire) {
            return Err(Shared::closed());
        }
        Ok(Box::new(consumer))
    }

    fn nudge(&self, mailbox: &Mailbox, body: Bytes) {
        self.shared.mailboxes.send(mailbox, &body);
    }

    async fn mailbox(&self, mailbox: Mailbox) -> Result<mpsc::Receiver<Bytes>, BusError> {
        if self.shared.ended.load(Ordering::Acquire) {
            return Err(Shared::closed());
        }
        Ok(self.shared.mailboxes.open(mailbox))
    }

    async fn depth(&self, queue: Queue) -> Result<u64, BusError> {
        Ok(self.shared.cell(queue).depth())
    }

    fn health(&self) -> Health {
        Health {
            problem: self.shared.problem.lock().clone(),
            reconnects: 0,
        }
    }

    async fn close(&self) {
        self.shared.intake.close();
        self.shared.mailboxes.close();
        loop {
            let ending = self.shared.ending.notified();
            if self.shared.ended.load(Ordering::Acquire) {
                return;
            }
            ending.await;
        }
    }
}

impl Drop for EmbeddedBus {
    fn drop(&mut self) {
        self.shared.intake.close();
        self.shared.mailboxes.close();
    }
}
