//! Moves the write-ahead log into the database file, off the writer's path.
//!
//! A passive checkpoint never stops the writer, but it cannot let the log begin anew while the
//! writer keeps on writing. So when the log has grown past its bound the writer does the rest
//! itself between two groups: little is left to copy by then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;

use crate::StoreError;

/// Groups written before a checkpoint is worth its fsync.
const GROUPS_MIN: u32 = 256;
/// ... or this long after the first of them.
const PAUSE: Duration = Duration::from_secs(1);

/// The checkpointing thread; dropping it waits for its end.
pub(super) struct Checkpointer {
    handle: Handle,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the writer tells the checkpointing thread, and asks it.
#[derive(Clone)]
pub(super) struct Handle {
    wake: SyncSender<()>,
    groups: Arc<AtomicU32>,
    pages: Arc<AtomicU32>,
}

impl Handle {
    /// A group was written.
    pub(super) fn wrote(&self) {
        if self.groups.fetch_add(1, Ordering::Relaxed) + 1 >= GROUPS_MIN {
            // Full means that it is about to wake anyway.
            let _ = self.wake.try_send(());
        }
    }

    /// How long the log was at the last checkpoint.
    pub(super) fn log_pages(&self) -> u32 {
        self.pages.load(Ordering::Relaxed)
    }

    /// The writer's share: with nobody writing, the rest is copied, and once the readers of the old
    /// log are through (a few milliseconds; the busy timeout at most) the next write begins it anew.
    pub(super) fn help(&self, connection: &Connection) {
        metrics::counter!("patchbay_store_bound_hit_total", "bound" => "wal").increment(1);
        checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)");
        // However that went, the next look is after the next checkpoint of the other thread.
        self.pages.store(0, Ordering::Relaxed);
    }
}

impl Checkpointer {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (wake, woken) = sync_channel(1);
        let handle = Handle {
            wake,
            groups: Arc::default(),
            pages: Arc::default(),
        };
        let (groups, pages) = (Arc::clone(&handle.groups), Arc::clone(&handle.pages));
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || {
                loop {
                    // Woken, or time is up: the same to us.
                    let _ = woken.recv_timeout(PAUSE);
                    let ended = end.load(Ordering::SeqCst);
                    if groups.swap(0, Ordering::Relaxed) > 0 {
                        let log = checkpoint(&connection, "PRAGMA wal_checkpoint(PASSIVE)");
                        pages.store(log, Ordering::Relaxed);
                    }
                    if ended {
                        return;
                    }
                }
            })
            .map_err(|error| StoreError(format!("no thread for checkpoints: {error}")))?;
        Ok(Self {
            handle,
            ended,
            thread: Some(thread),
        })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = self.handle.wake.try_send(());
        if let Some(thread) = self.thread.take() {
            // Nothing is lost if it panicked: the log is applied at the next start.
            let _ = thread.join();
        }
    }
}

/// Answers how many pages the log has; a failure only means that it goes on growing.
fn checkpoint(connection: &Connection, pragma: &str) -> u32 {
    match connection.query_row(pragma, [], |row| row.get::<_, i64>(1)) {
        // -1 while another checkpoint is running.
        Ok(log) => u32::try_from(log).unwrap_or(0),
        Err(error) => {
            tracing::warn!(%error, "store: a checkpoint failed");
            0
        }
    }
}
