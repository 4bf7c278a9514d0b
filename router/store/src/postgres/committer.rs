//! Writes commits. What waits at the same time is merged into one transaction, since every commit
//! costs the disk a flush and the event log is written by one transaction at a time.
//!
//! Commits that share a row are not merged. If a merged group fails, nothing of it happened; its
//! members are then written one by one, each behind a savepoint, so that one which fails takes back
//! only its own rows. A commit that was told `Ok` is durable; one that was told an error of the
//! store is either wholly there or not at all.

mod attempt;

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, mpsc, oneshot};

use super::{Inner, apply::Touched, error::Fail};
use crate::{Changes, CommitError, Committed, StoreError};

/// Rows of a group past which nothing more is merged into it.
const ROWS_MAX: usize = 4096;
/// Messages below which a group waits for another such group to be written.
const FEW: usize = 128;
/// How often a group is tried that stood in another transaction's way.
const TRIES_MAX: u32 = 4;
/// The longest pause between two tries; a random part of it is waited.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A commit and whoever waits for it.
struct Job {
    changes: Changes,
    reply: oneshot::Sender<Result<Committed, CommitError>>,
}

/// The handle to the committers; they end when it is dropped and the queue is empty.
pub(super) struct Committer {
    jobs: mpsc::Sender<Job>,
}

impl Committer {
    pub(super) fn start(inner: &Arc<Inner>) -> Self {
        let (jobs, queue) = mpsc::channel(inner.options.queue_max.max(1));
        let source = Arc::new(Source {
            queue: Mutex::new(queue),
            few: Semaphore::new(1),
        });
        for _ in 0..inner.options.committers.max(1) {
            tokio::spawn(run(Arc::clone(inner), Arc::clone(&source)));
        }
        Self { jobs }
    }

    /// Queues the commit and waits until it is durable, or has failed.
    pub(super) async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        let ended = || StoreError("the committers have ended".to_owned());
        let (reply, answer) = oneshot::channel();
        if self.jobs.capacity() == 0 {
            metrics::counter!("patchbay_store_bound_hit_total", "bound" => "commit_queue")
                .increment(1);
        }
        let job = Job { changes, reply };
        self.jobs.send(job).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

/// What waits to be written, and who may write little of it.
struct Source {
    queue: Mutex<mpsc::Receiver<Job>>,
    /// Held while few rows are written: what comes meanwhile is written together, next.
    few: Semaphore,
}

impl Source {
    /// Takes what waits. Little is taken only when no other committer writes little: then it is
    /// more by now, and as dear as little. It is no longer waited for once it is much.
    async fn take(&self, batch: &mut Vec<Job>, batch_max: usize) -> Option<SemaphorePermit<'_>> {
        let mut queue = self.queue.lock().await;
        queue.recv_many(batch, batch_max).await;
        if batch.is_empty() {
            return None;
        }
        let mut is_open = true;
        let permit = loop {
            if !is_little(batch, batch_max) {
                return None;
            }
            let room = batch_max - batch.len();
            tokio::select! {
                biased;
                permit = self.few.acquire() => break permit.expect("it is never closed"),
                n = queue.recv_many(batch, room), if is_open => is_open = n > 0,
            }
        };
        while batch.len() < batch_max
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
        }
        is_little(batch, batch_max).then_some(permit)
    }
}

fn is_little(batch: &[Job], batch_max: usize) -> bool {
    let rows = batch.iter().map(|job| rows(&job.changes)).sum::<usize>();
    rows < FEW && batch.len() < batch_max
}

/// Roughly how many messages a commit is about.
fn rows(changes: &Changes) -> usize {
    changes.processed.len() + changes.lanes_done.len()
}

async fn run(inner: Arc<Inner>, source: Arc<Source>) {
    let batch_max = inner.options.batch_max.max(1);
    let mut batch = Vec::new();
    loop {
        let _few = source.take(&mut batch, batch_max).await;
        if batch.is_empty() {
            return;
        }
        // Nobody waits any more: not begun is better than done unseen.
        batch.retain(|job: &Job| !job.reply.is_closed());
        let mut waiting = VecDeque::from(std::mem::take(&mut batch));
        while !waiting.is_empty() {
            let group = next_group(&mut waiting);
            // Whoever waits for a group that panicked is told; the others go on.
            let written = AssertUnwindSafe(write(&inner, group)).catch_unwind();
            if written.await.is_err() {
                tracing::error!("store: a group of commits panicked");
            }
        }
    }
}

/// Those of the waiting that share no row with one before them, up to a bound; the others stay, in
/// their order.
fn next_group(waiting: &mut VecDeque<Job>) -> Vec<Job> {
    let mut touched = Touched::default();
    let mergeable: Vec<bool> = waiting
        .iter()
        .map(|job| touched.len() < ROWS_MAX && touched.add(&job.changes))
        .collect();
    drop(touched);
    let (mut group, mut rest) = (Vec::new(), VecDeque::new());
    for (job, merge) in waiting.drain(..).zip(mergeable) {
        if merge {
            group.push(job);
        } else {
            rest.push_back(job);
        }
    }
    *waiting = rest;
    group
}

async fn write(inner: &Inner, group: Vec<Job>) {
    #[expect(clippy::cast_precision_loss, reason = "a group is small")]
    metrics::histogram!("patchbay_store_batch_size").record(group.len() as f64);
    let changes: Vec<&Changes> = group.iter().map(|job| &job.changes).collect();
    let results = together(inner, &changes).await;
    for (job, result) in group.into_iter().zip(results) {
        // Nobody may be waiting any more.
        let _ = job.reply.send(result);
    }
}

type Results = Vec<Result<Committed, CommitError>>;

/// The group as one; if that cannot be, its members one by one.
async fn together(inner: &Inner, changes: &[&Changes]) -> Results {
    let mut tries = 1;
    loop {
        let fail = match inner.within(attempt::merged(inner, changes)).await {
            Ok(committed) => return committed.into_iter().map(Ok).collect(),
            Err(fail) => fail,
        };
        if fail.worth_a_retry() && tries < TRIES_MAX {
            tries += 1;
            metrics::counter!("patchbay_store_commit_retries_total").increment(1);
            tokio::time::sleep(PAUSE_MAX.mul_f64(fastrand::f64())).await;
        } else if changes.len() > 1 && fail.answered() {
            return one_by_one(inner, changes).await;
        } else {
            return all_failed(changes.len(), fail);
        }
    }
}

async fn one_by_one(inner: &Inner, changes: &[&Changes]) -> Results {
    metrics::counter!("patchbay_store_batches_split_total").increment(1);
    match inner.within(attempt::singly(inner, changes)).await {
        Ok(results) => results,
        Err(fail) => all_failed(changes.len(), fail),
    }
}

fn all_failed(members: usize, fail: Fail) -> Results {
    let error = CommitError::from(fail);
    vec![Err(error); members]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(rows: usize) -> Job {
        let (reply, _) = oneshot::channel();
        let mark = |n: usize| ("inbound.g1.0".to_owned(), n.to_string());
        let changes = Changes {
            processed: (0..rows).map(mark).collect(),
            ..Changes::default()
        };
        Job { changes, reply }
    }

    fn source() -> (mpsc::Sender<Job>, Source) {
        let (jobs, queue) = mpsc::channel(16);
        let source = Source {
            queue: Mutex::new(queue),
            few: Semaphore::new(1),
        };
        (jobs, source)
    }

    #[tokio::test]
    async fn what_has_become_much_does_not_wait_for_who_writes_little() {
        let (jobs, source) = source();
        let _writing = source.few.acquire().await.unwrap();
        let mut batch = Vec::new();
        let mut taking = Box::pin(source.take(&mut batch, 256));
        jobs.send(job(1)).await.unwrap();
        assert!((&mut taking).now_or_never().is_none(), "it is little");
        jobs.send(job(FEW)).await.unwrap();
        let taken = (&mut taking).now_or_never();
        assert!(taken.expect("it is much").is_none(), "without leave");
        drop(taking);
        assert_eq!(batch.len(), 2);
    }

    #[tokio::test]
    async fn little_is_gathered_while_little_is_written_and_at_the_end_too() {
        let (jobs, source) = source();
        let writing = source.few.acquire().await.unwrap();
        let mut batch = Vec::new();
        let mut taking = Box::pin(source.take(&mut batch, 256));
        jobs.send(job(1)).await.unwrap();
        assert!((&mut taking).now_or_never().is_none());
        jobs.send(job(1)).await.unwrap();
        drop(jobs);
        assert!((&mut taking).now_or_never().is_none());
        drop(writing);
        let permit = (&mut taking).now_or_never().expect("it is its turn");
        assert!(permit.is_some());
        drop((permit, taking));
        assert_eq!(batch.len(), 2);
    }
}
