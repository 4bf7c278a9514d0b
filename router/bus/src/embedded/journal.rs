//! The journal file: one SQLite table in WAL mode, written by one thread, read back by another.
//!
//! A message's row number is its queue in the upper and its place in the queue in the lower bits, so
//! that a queue is one contiguous range: appending, reading back and deleting touch few pages.

use std::{
    fs::{File, OpenOptions, TryLockError},
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use patchbay_message::MessageId;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::{BusError, Message, Queue, intern_kind};

/// Bits of a row number that say the place in the queue; 17 bits above them name the queue.
const PLACE_BITS: u32 = 44;
/// Written to the file's `user_version`; another number is another layout.
const LAYOUT: i64 = 1;
/// WAL pages (4 KiB each) after which the writer moves them into the file.
const CHECKPOINT_PAGES: i64 = 4000;

/// Where a queue's rows begin.
fn base_of(queue: Queue) -> i64 {
    let code = match queue {
        Queue::Inbound(p) => i64::from(p),
        Queue::Outbound(s) => (1 << 16) | i64::from(s),
    };
    code << PLACE_BITS
}

fn queue_of(code: i64) -> Queue {
    let index = u16::try_from(code & 0xffff).expect("masked to 16 bits");
    if code >> 16 == 0 {
        Queue::Inbound(index)
    } else {
        Queue::Outbound(index)
    }
}

fn row_of(queue: Queue, seq: u64) -> i64 {
    base_of(queue) | i64::try_from(seq).expect("a place has 44 bits")
}

/// What a queue held when the journal was opened.
pub(super) struct Left {
    pub(super) queue: Queue,
    pub(super) length: usize,
    pub(super) bytes: u64,
    pub(super) seqs: Range<u64>,
}

/// Held as long as the journal is open; the system releases it when the process dies.
pub(super) struct JournalLock {
    _file: File,
}

/// One connection to the journal.
pub(super) struct Journal {
    connection: Connection,
}

fn open_error(path: &Path, error: &dyn std::fmt::Display) -> BusError {
    BusError(format!(
        "cannot open the journal {}: {error}",
        path.display()
    ))
}

/// Takes the journal for this process alone.
///
/// # Errors
/// Another process has it, or the lock file cannot be made.
pub(super) fn lock(path: &Path) -> Result<JournalLock, BusError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| open_error(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(JournalLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(BusError(format!(
            "the journal {} is in use by another process; stop it, or give this one another data folder",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(open_error(path, &error)),
    }
}

impl Journal {
    /// Opens the file to write, making it and its table if need be.
    pub(super) fn open(path: &Path) -> Result<Self, BusError> {
        let connection = Connection::open(path).map_err(|error| open_error(path, &error))?;
        let journal = Self { connection };
        journal
            .prepare()
            .map_err(|error| open_error(path, &error))?;
        let layout: i64 = journal
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|error| open_error(path, &error))?;
        if layout != LAYOUT {
            return Err(open_error(
                path,
                &format!("its layout is {layout}, this version of Patchbay knows {LAYOUT}"),
            ));
        }
        Ok(journal)
    }

    /// Opens the file to read only. The writer's connection has been opened before.
    pub(super) fn open_reader(path: &Path) -> Result<Self, BusError> {
        let flags =
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(|error| open_error(path, &error))?;
        Ok(Self { connection })
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // FULL fsyncs the WAL at every commit: what was answered survives a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        let n_tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if n_tables == 0 {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 CREATE TABLE message (
                   row INTEGER PRIMARY KEY,
                   id BLOB NOT NULL,
                   kind TEXT NOT NULL,
                   body BLOB NOT NULL);
                 PRAGMA user_version = {LAYOUT};
                 COMMIT"
            ))?;
        }
        Ok(())
    }

    /// What is in the journal, queue by queue.
    pub(super) fn left(&self) -> rusqlite::Result<Vec<Left>> {
        let mut statement = self.connection.prepare(
            "SELECT row >> ?1, count(*), sum(length(body)), min(row), max(row)
             FROM message GROUP BY 1",
        )?;
        let place = |row: i64| u64::try_from(row & ((1 << PLACE_BITS) - 1)).unwrap_or(0);
        let rows = statement.query_map(params![PLACE_BITS], |row| {
            Ok(Left {
                queue: queue_of(row.get(0)?),
                length: usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                bytes: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                seqs: place(row.get(3)?)..place(row.get(4)?) + 1,
            })
        })?;
        rows.collect()
    }

    /// Runs `work` in one transaction; on an error nothing of it stays.
    pub(super) fn commit(
        &mut self,
        work: impl FnOnce(&Changes<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        work(&Changes {
            connection: &transaction,
        })?;
        transaction.commit()
    }

    /// Messages of a queue within `seqs`, oldest first, up to `count_max` and about `bytes_max`.
    pub(super) fn read(
        &self,
        queue: Queue,
        seqs: Range<u64>,
        count_max: usize,
        bytes_max: usize,
    ) -> rusqlite::Result<Vec<(u64, Message)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT row, id, kind, body FROM message WHERE row >= ?1 AND row < ?2 ORDER BY row",
        )?;
        let base = base_of(queue);
        let mut rows =
            statement.query(params![row_of(queue, seqs.start), row_of(queue, seqs.end)])?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while found.len() < count_max && bytes < bytes_max {
            let Some(row) = rows.next()? else { break };
            let body = Bytes::copy_from_slice(row.get_ref(3)?.as_blob()?);
            bytes += body.len();
            let message = Message {
                id: MessageId(row.get::<_, Uuid16>(1)?.0),
                kind: intern_kind(row.get_ref(2)?.as_str()?),
                body,
            };
            let seq = u64::try_from(row.get::<_, i64>(0)? - base).unwrap_or(0);
            found.push((seq, message));
        }
        Ok(found)
    }
}

/// What may be done within one transaction.
pub(super) struct Changes<'a> {
    connection: &'a Connection,
}

impl Changes<'_> {
    pub(super) fn append(&self, queue: Queue, seq: u64, message: &Message) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT INTO message (row, id, kind, body) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                row_of(queue, seq),
                message.id.0.as_bytes(),
                &*message.kind,
                &*message.body
            ])?;
        Ok(())
    }

    /// Writes without changing anything, to see whether writing works.
    pub(super) fn probe(&self) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "user_version", LAYOUT)
    }

    /// Deletes what was acked; neighbours go in one statement.
    pub(super) fn delete(&self, queue: Queue, seqs: &mut [u64]) -> rusqlite::Result<()> {
        seqs.sort_unstable();
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM message WHERE row BETWEEN ?1 AND ?2")?;
        for run in seqs.chunk_by(|a, b| a + 1 == *b) {
            let (first, last) = (run[0], run[run.len() - 1]);
            statement.execute(params![row_of(queue, first), row_of(queue, last)])?;
        }
        Ok(())
    }
}

/// A UUID as the 16 bytes of a BLOB.
struct Uuid16(Uuid);

impl rusqlite::types::FromSql for Uuid16 {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        Uuid::from_slice(bytes)
            .map(Self)
            .map_err(|error| rusqlite::types::FromSqlError::Other(Box::new(error)))
    }
}
