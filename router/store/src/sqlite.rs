//! The store in one SQLite file, for one process: nothing to install.
//!
//! One thread writes and groups waiting commits into one transaction (`writer`), a few connections
//! read snapshots beside it (`readers`), a third thread moves the write-ahead log into the file
//! (`checkpoint`). What only this process needs to know, heartbeats and rate buckets, is in memory.

mod checkpoint;
mod desk;
mod error;
mod events;
mod facts;
mod journal;
mod lanes;
mod leases;
mod media;
mod memory;
mod migrate;
mod people;
#[cfg(test)]
mod plans;
mod provider_tokens;
mod pulls;
mod readers;
mod receipts;
mod rows;
mod sql;
mod sweep;
mod tickets;
mod windows;
mod writer;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use patchbay_message::{Clock, SystemClock, Time};
use rusqlite::{Connection, OpenFlags};

use self::{
    checkpoint::Checkpointer, error::Fail, memory::Memory, readers::Readers, writer::Writer,
};
use crate::StoreError;

/// How the SQLite store is run.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Commits that are grouped into one transaction, at most.
    pub batch_max: usize,
    /// Commits that wait for the writer, at most; past it callers wait for room.
    pub queue_max: usize,
    /// Connections that read.
    pub readers: usize,
    /// Pages of the write-ahead log (4 KiB each) past which the writer itself helps to empty it.
    pub wal_pages_max: u32,
    /// The store's clock: judges leases and retention, stamps events.
    pub clock: Arc<dyn Clock>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            batch_max: 500,
            queue_max: 4096,
            readers: 4,
            wal_pages_max: 16_384,
            clock: Arc::new(SystemClock),
        }
    }
}

impl std::fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("batch_max", &self.batch_max)
            .field("queue_max", &self.queue_max)
            .field("readers", &self.readers)
            .field("wal_pages_max", &self.wal_pages_max)
            .finish_non_exhaustive()
    }
}

/// The store in one SQLite file. Dropping the last handle writes what is queued and closes it.
pub struct SqliteStore {
    // Dropped in this order: the writer ends, then the others close, and the lock goes last.
    writer: Writer,
    _checkpointer: Checkpointer,
    readers: Readers,
    memory: Memory,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    _lock: File,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, creates it if it is not there, and brings its schema up to date. Blocks for
    /// as long as that takes.
    ///
    /// # Errors
    /// The folder cannot be written, the file is no database of ours, another process has it open,
    /// or its schema is too new for this version.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Arc<Self>, StoreError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        let mut connection = connect(path)?;
        migrate::migrate(&mut connection, options.clock.now())
            .map_err(|fail| named(path, &fail))?;
        // Whoever held a lease or a live connection, or was fetching a token, is gone: this process
        // has the file to itself.
        connection
            .execute_batch(
                "UPDATE lease SET owner = NULL, expires_at = 0; DELETE FROM live;
                 UPDATE provider_token SET fetcher = NULL, fetch_until = NULL;",
            )
            .map_err(|error| named(path, &error.into()))?;
        let readers = (0..options.readers.max(1))
            .map(|_| connect_to_read(path))
            .collect::<Result<Vec<_>, _>>()?;
        let checkpointer = Checkpointer::start(connect(path)?)?;
        let writer = Writer::start(connection, &options, checkpointer.handle())?;
        Ok(Arc::new(Self {
            writer,
            _checkpointer: checkpointer,
            readers: Readers::new(readers),
            memory: Memory::default(),
            clock: options.clock,
            path: path.to_owned(),
            _lock: lock,
        }))
    }

    /// Writes a consistent copy of the database to a file that is not there yet, while it is in use.
    ///
    /// # Errors
    /// The file is there, or cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let target = to
            .to_str()
            .ok_or_else(|| StoreError("the backup's path is not UTF-8".to_owned()))?
            .to_owned();
        let connection = connect_to_read(&self.path)?;
        let copied =
            tokio::task::spawn_blocking(move || connection.execute("VACUUM INTO ?1", [target]));
        match copied.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(named(to, &error.into())),
            Err(error) => Err(StoreError(format!("the backup ended early: {error}"))),
        }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    /// For work that takes the time when it is written, not when it was queued.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Reads from one snapshot.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(work).await.map_err(StoreError::from)
    }

    /// Writes in the next group; returns when it is durable.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T, Fail> {
        self.writer.write(work).await
    }
}

/// How long a statement waits for another connection's lock: only checkpoints hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 256;

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(connection)
    };
    open().map_err(|error| named(path, &error.into()))
}

fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.execute_batch("PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;")?;
        Ok(connection)
    };
    open().map_err(|error| named(path, &error.into()))
}

/// Two processes on one file would each believe to hold every lease: the second is refused. The
/// kernel gives the lock back when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, StoreError> {
    let beside: PathBuf = path.with_added_extension("lock");
    let file = File::create(&beside)
        .map_err(|error| StoreError(format!("cannot write {}: {error}", beside.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError(format!(
            "{} is in use by another process; one SQLite file serves one process, several need \
             PostgreSQL",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError(format!(
            "cannot lock {}: {error}",
            beside.display()
        ))),
    }
}

fn named(path: &Path, fail: &Fail) -> StoreError {
    StoreError(format!("{}: {fail}", path.display()))
}
