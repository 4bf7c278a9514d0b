//! The one thread that writes the journal: takes all that waits, commits it at once, answers.
//!
//! While one commit is on its way to the disk the next batch gathers by itself: group commit
//! without a timer.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{cell::Cell, journal::Journal};
use crate::{Message, PublishError, Queue};

/// Room in the queues for one publish; given back unless the writer keeps it.
pub(super) struct Reservation {
    /// What was reserved: cell, messages, bytes.
    held: Vec<(Arc<Cell>, usize, u64)>,
}

impl Reservation {
    /// Reserves for a batch in all of its queues, or in none.
    pub(super) fn of(batch: &[(Arc<Cell>, Message)]) -> Result<Self, PublishError> {
        let mut reservation = Self { held: Vec::new() };
        for run in batch.chunk_by(|(a, _), (b, _)| Arc::ptr_eq(a, b)) {
            let bytes = run.iter().map(|(_, m)| m.body.len() as u64).sum();
            run[0].0.reserve(run.len(), bytes)?;
            reservation.held.push((run[0].0.clone(), run.len(), bytes));
        }
        Ok(reservation)
    }

    fn keep(mut self) {
        self.held.clear();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for (cell, n, bytes) in &self.held {
            cell.release(*n, *bytes);
        }
    }
}

/// A batch on its way into the journal.
pub(super) struct Publish {
    pub(super) batch: Vec<(Arc<Cell>, Message)>,
    pub(super) reservation: Reservation,
    pub(super) room: OwnedSemaphorePermit,
    pub(super) done: oneshot::Sender<Result<(), PublishError>>,
}

/// What waits for the writer. Bounded by the permits each publish holds, and by the prefetch of
/// each consumer.
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

struct Waiting {
    publishes: Vec<Publish>,
    /// Queues in which something was acked.
    acked: HashMap<Queue, Arc<Cell>>,
    acked_since: Option<Instant>,
    closing: bool,
}

/// One round of work; none when the bus is closed and nothing is left.
struct Round {
    publishes: Vec<Publish>,
    acked: Vec<Arc<Cell>>,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                publishes: Vec::new(),
                acked: HashMap::new(),
                acked_since: None,
                closing: false,
            }),
            wake: Condvar::new(),
        }
    }

    /// Hands a batch over; gives it back if the writer has gone.
    pub(super) fn publish(&self, publish: Publish) -> Result<(), Publish> {
        let mut waiting = self.waiting.lock();
        if waiting.closing {
            return Err(publish);
        }
        waiting.publishes.push(publish);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// Something was acked in the queue. Written with the next publish, or after a short while.
    pub(super) fn acked(&self, cell: &Arc<Cell>) {
        let mut waiting = self.waiting.lock();
        waiting
            .acked
            .entry(cell.queue)
            .or_insert_with(|| cell.clone());
        if waiting.acked_since.is_none() {
            waiting.acked_since = Some(Instant::now());
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Nothing more is taken; the writer ends when it has written what waits.
    pub(super) fn close(&self) {
        self.waiting.lock().closing = true;
        self.wake.notify_one();
    }

    /// The writer has ended; who still waits is told so.
    pub(super) fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closing = true;
        let publishes = std::mem::take(&mut waiting.publishes);
        drop(waiting);
        drop(publishes);
    }

    /// The next round, once there is something to publish, or acks have waited for `ack_delay`,
    /// or `probe_at` is reached.
    fn next(
        &self,
        ack_delay: Duration,
        commit_max: usize,
        probe_at: Option<Instant>,
    ) -> Option<Round> {
        let mut waiting = self.waiting.lock();
        loop {
            let acks_due = waiting.acked_since.map(|since| since + ack_delay);
            let due = match probe_at {
                Some(probe_at) => Some(probe_at),
                None => acks_due,
            };
            if !waiting.publishes.is_empty() || due.is_some_and(|due| due <= Instant::now()) {
                break;
            }
            if waiting.closing {
                // While writing fails, acks are not worth waiting for: their messages come again.
                if acks_due.is_some() && probe_at.is_none() {
                    break;
                }
                return None;
            }
            match due {
                Some(due) => {
                    self.wake.wait_until(&mut waiting, due);
                }
                None => self.wake.wait(&mut waiting),
            }
        }
        waiting.acked_since = None;
        let mut n_messages = 0;
        let n_publishes = waiting
            .publishes
            .iter()
            .take_while(|publish| {
                let fits = n_messages < commit_max;
                n_messages += publish.batch.len();
                fits
            })
            .count();
        Some(Round {
            publishes: waiting.publishes.drain(..n_publishes).collect(),
            acked: waiting.acked.drain().map(|(_, cell)| cell).collect(),
        })
    }
}

/// While writing fails it is tried again this often, so that health does not wait for a publish.
const PROBE_DELAY: Duration = Duration::from_secs(1);

/// Called with what went wrong, or with none when writing works again.
pub(super) type Report<'a> = &'a dyn Fn(Option<String>);

/// Runs until the intake is closed and empty.
pub(super) fn run(
    journal: &mut Journal,
    intake: &Intake,
    ack_delay: Duration,
    commit_max: usize,
    report: Report<'_>,
) {
    let mut probe_at = None;
    while let Some(round) = intake.next(ack_delay, commit_max, probe_at) {
        let works = write(journal, intake, round, probe_at.is_some(), report);
        probe_at = (!works).then(|| Instant::now() + PROBE_DELAY);
    }
}

/// Writes one round, reports how it went, then answers. True if it worked.
fn write(
    journal: &mut Journal,
    intake: &Intake,
    round: Round,
    probing: bool,
    report: Report<'_>,
) -> bool {
    let seqs: Vec<Vec<u64>> = round
        .publishes
        .iter()
        .map(|publish| {
            publish
                .batch
                .iter()
                .map(|(cell, _)| cell.assign())
                .collect()
        })
        .collect();
    let mut acked: Vec<(Arc<Cell>, Vec<u64>)> = round
        .acked
        .into_iter()
        .map(|cell| {
            let seqs = cell.take_acked();
            (cell, seqs)
        })
        .collect();
    let result = journal.commit(|changes| {
        for (publish, seqs) in round.publishes.iter().zip(&seqs) {
            for ((cell, message), seq) in publish.batch.iter().zip(seqs) {
                changes.append(cell.queue, *seq, message)?;
            }
        }
        for (cell, seqs) in &mut acked {
            changes.delete(cell.queue, seqs)?;
        }
        if probing { changes.probe() } else { Ok(()) }
    });
    let problem = result
        .err()
        .map(|error| format!("cannot write the journal: {error}"));
    report(problem.clone());
    let Some(problem) = problem else {
        for (publish, seqs) in round.publishes.into_iter().zip(seqs) {
            publish.settle(seqs);
        }
        return true;
    };
    for publish in round.publishes {
        // The caller may have given up waiting.
        let _ = publish
            .done
            .send(Err(PublishError::Unavailable(problem.clone())));
    }
    for (cell, seqs) in acked {
        cell.give_back_acked(seqs);
        intake.acked(&cell);
    }
    false
}

impl Publish {
    /// It is durable: deliver it and answer.
    fn settle(self, seqs: Vec<u64>) {
        self.reservation.keep();
        let mut entries = self.batch.into_iter().zip(seqs).peekable();
        while let Some(((cell, _), _)) = entries.peek() {
            let cell = cell.clone();
            cell.committed(std::iter::from_fn(|| {
                entries
                    .next_if(|((next, _), _)| Arc::ptr_eq(next, &cell))
                    .map(|((_, message), seq)| (seq, message))
            }));
        }
        drop(self.room);
        // The caller may have given up waiting.
        let _ = self.done.send(Ok(()));
    }
}
