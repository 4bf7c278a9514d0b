//! The one thread that writes. It takes what waits, up to a bound, and commits it as one
//! transaction with one fsync; each piece of work has a savepoint of its own, so that one which
//! fails takes back only its own rows.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{SqliteOptions, checkpoint, error::Fail};
use crate::StoreError;

/// The handle to the writing thread; dropping it waits until what is queued is written.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// A piece of work with whoever waits for it.
trait Job: Send {
    /// Does the work inside a savepoint; false takes it back.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Answers, after the transaction has ended; `failed` says why it was not committed.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct Task<F, T> {
    work: Option<F>,
    result: Option<Result<T, Fail>>,
    reply: oneshot::Sender<Result<T, Fail>>,
}

impl<F, T> Job for Task<F, T>
where
    F: FnOnce(&Connection) -> Result<T, Fail> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        // Nobody waits any more: not begun is better than done unseen.
        if self.reply.is_closed() {
            return false;
        }
        let result = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or_else(|_| Err(Fail::refused("the writer panicked on it")));
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let result = match (self.result, failed) {
            // What went wrong with the work itself says more than the group's failure.
            (Some(Err(fail)), _) => Err(fail),
            (_, Some(why)) => Err(Fail::Store(why.to_owned())),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => return,
        };
        // Nobody may be waiting any more.
        let _ = self.reply.send(result);
    }
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        options: &SqliteOptions,
        checkpoint: checkpoint::Handle,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(options.queue_max.max(1));
        let batch_max = options.batch_max.max(1);
        let wal_pages_max = options.wal_pages_max;
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&connection, queue, batch_max, wal_pages_max, &checkpoint))
            .map_err(|error| StoreError(format!("no thread for the writer: {error}")))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Queues the work and waits until it is durable, or has failed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T, Fail> {
        let ended = || Fail::Store("the writer has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Task {
            work: Some(work),
            result: None,
            reply,
        });
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        if jobs.capacity() == 0 {
            metrics::counter!("patchbay_store_bound_hit_total", "bound" => "writer_queue")
                .increment(1);
        }
        jobs.send(job).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been answered as an error to everyone who waited.
            let _ = thread.join();
        }
    }
}

fn run(
    connection: &Connection,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    batch_max: usize,
    wal_pages_max: u32,
    checkpoint: &checkpoint::Handle,
) {
    let mut batch = Vec::new();
    while queue.blocking_recv_many(&mut batch, batch_max) > 0 {
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        metrics::histogram!("patchbay_store_batch_size").record(batch.len() as f64);
        let failed = transact(connection, &mut batch).err();
        if let Some(why) = &failed {
            tracing::warn!(error = %why, "store: a group of commits failed");
        }
        for job in batch.drain(..) {
            job.answer(failed.as_deref());
        }
        checkpoint.wrote();
        if checkpoint.log_pages() > wal_pages_max {
            checkpoint.help(connection);
        }
    }
}

/// One transaction around the batch. An error means that none of it happened.
fn transact(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), String> {
    let execute = |sql: &str| -> Result<(), String> {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    execute("BEGIN IMMEDIATE")?;
    let mut all = || -> Result<(), String> {
        for job in batch.iter_mut() {
            execute("SAVEPOINT job")?;
            if !job.run(connection) {
                // Some errors (disk full, I/O) end the whole transaction; then this fails too.
                execute("ROLLBACK TO job")?;
            }
            execute("RELEASE job")?;
        }
        execute("COMMIT")
    };
    let result = all();
    if result.is_err() && !connection.is_autocommit() {
        execute("ROLLBACK")?;
    }
    result
}
