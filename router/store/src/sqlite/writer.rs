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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::CommitError;

    /// A writer on a file that may grow to `pages_max`, with one table.
    fn writer(pages_max: u32) -> (Writer, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let connection = super::super::connect(&path).unwrap();
        connection
            .execute_batch(&format!(
                "CREATE TABLE t (x BLOB); PRAGMA max_page_count = {pages_max};"
            ))
            .unwrap();
        let checkpointer =
            checkpoint::Checkpointer::start(super::super::connect(&path).unwrap()).unwrap();
        let writer = Writer::start(connection, &SqliteOptions::default(), checkpointer.handle());
        (writer.unwrap(), folder)
    }

    async fn insert(writer: &Writer, bytes: usize) -> Result<usize, CommitError> {
        let work =
            move |db: &Connection| Ok(db.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes])?);
        Ok(writer.write(work).await?)
    }

    async fn count(writer: &Writer) -> usize {
        writer
            .write(|db| Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?))
            .await
            .unwrap()
    }

    /// Everything in one group: whoever is told Ok is there, whoever is told otherwise is not, and
    /// when there is room again writing goes on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_disk_is_told_and_not_for_ever() {
        let (writer, _folder) = writer(40);
        let (open, gate) = sync_channel::<()>(1);
        let first = writer.write(move |_| {
            gate.recv().unwrap();
            Ok(())
        });
        let rest = async {
            // One after the other they enter the queue, while the first still holds the writer.
            let all = [100, 100, 1_000_000, 100].map(|bytes| insert(&writer, bytes));
            let open = async { open.send(()).unwrap() };
            futures_util::future::join(futures_util::future::join_all(all), open)
                .await
                .0
        };
        let (_, answers) = futures_util::future::join(first, rest).await;
        let full = answers[2].as_ref().unwrap_err();
        assert!(
            matches!(full, CommitError::Store(_)),
            "worth another try: {full:?}"
        );
        let told = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(count(&writer).await, told);

        let more = |db: &Connection| Ok(db.execute_batch("PRAGMA max_page_count = 4000")?);
        writer.write(more).await.unwrap();
        insert(&writer, 1_000_000).await.unwrap();
        assert_eq!(count(&writer).await, told + 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_panic_is_refused_and_harms_no_other() {
        let (writer, _folder) = writer(1000);
        let bad = writer.write(|db| -> Result<(), Fail> {
            db.execute("INSERT INTO t VALUES (1)", [])?;
            panic!("on purpose");
        });
        let (bad, good) = futures_util::future::join(bad, insert(&writer, 1)).await;
        assert!(matches!(bad, Err(Fail::Commit(CommitError::Refused(_)))));
        good.unwrap();
        assert_eq!(count(&writer).await, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_queued_is_written_before_the_end() {
        let (writer, folder) = writer(1000);
        let queued: Vec<_> = (0..50)
            .map(|n| {
                let (reply, answer) = oneshot::channel();
                let job = Box::new(Task {
                    work: Some(move |db: &Connection| -> Result<(), Fail> {
                        db.execute("INSERT INTO t VALUES (?1)", [n])?;
                        Ok(())
                    }),
                    result: None,
                    reply,
                });
                assert!(writer.jobs.as_ref().unwrap().try_send(job).is_ok());
                answer
            })
            .collect();
        drop(writer);
        for answer in queued {
            answer.await.unwrap().unwrap();
        }
        let connection = super::super::connect(&folder.path().join("store.db")).unwrap();
        let rows: i64 = connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 50);
    }
}
