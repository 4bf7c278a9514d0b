//! A few read-only connections. Each piece of reading runs on a blocking thread, inside one
//! transaction: it sees one point in time, whatever is committed meanwhile.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Fail;

pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// A connection on loan; goes back when dropped, also if the reading panics.
struct Loan {
    connection: Option<Connection>,
    free: Arc<Mutex<Vec<Connection>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.free.lock().push(connection);
        }
    }
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(connections.len())),
            free: Arc::new(Mutex::new(connections)),
        }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T, Fail> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let loan = Loan {
            connection: self.free.lock().pop(),
            free: Arc::clone(&self.free),
            _permit: permit,
        };
        tokio::task::spawn_blocking(move || {
            let connection = loan
                .connection
                .as_ref()
                .expect("as many connections as permits");
            snapshot(connection, work)
        })
        .await
        .map_err(|error| Fail::Store(format!("reading ended early: {error}")))?
    }
}

fn snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fail>,
) -> Result<T, Fail> {
    // Rolled back when dropped: a panic must not leave a snapshot open, the log could not shrink.
    let transaction = connection.unchecked_transaction()?;
    work(&transaction)
}
