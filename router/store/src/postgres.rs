//! The store in PostgreSQL (13 and later), for any number of processes.
//!
//! Commits that wait at the same time are merged into one transaction (`committer`), and so is what
//! is asked at the same time (`loader`). Statements work on whole sets and go out in one round trip
//! (`apply`, `sql`). The database's clock
//! judges leases. A server that is not there is a [`StoreError`] until it is there again: nothing
//! has to be restarted.

mod apply;
mod committer;
mod desk;
mod error;
mod events;
mod facts;
mod journal;
mod lanes;
mod leases;
mod loader;
mod media;
mod migrate;
mod pool;
mod provider_tokens;
mod pulls;
mod receipts;
mod rows;
mod sql;
mod sweep;
mod tls;
mod windows;

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use deadpool_postgres::{Object, Pool};
use parking_lot::RwLock;

use self::{
    committer::Committer,
    error::Fail,
    loader::Loader,
    pool::Pools,
    sql::{Answer, Step},
};
use crate::StoreError;

/// How the PostgreSQL store is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Connections for leases, facts, commits and lanes.
    pub connections: usize,
    /// Connections for what people read and edit.
    pub desk_connections: usize,
    /// Groups of commits that are written at the same time; each takes one of `connections`.
    pub committers: usize,
    /// Commits that are merged into one transaction, at most.
    pub batch_max: usize,
    /// Commits that wait to be written, at most; past it callers wait for room.
    pub queue_max: usize,
    /// How long a call waits for a free connection.
    pub acquire_timeout: Duration,
    /// How long the server works on one statement.
    pub statement_timeout: Duration,
    /// How long one statement waits for rows that another transaction holds.
    pub lock_timeout: Duration,
    /// How long a transaction may do nothing before the server ends it: until then a process that
    /// is stopped keeps its leases.
    pub idle_in_transaction_timeout: Duration,
    /// How long one call takes as a whole before its connection is given up.
    pub call_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            connections: 8,
            desk_connections: 8,
            committers: 2,
            batch_max: 256,
            queue_max: 4096,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(15),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
        }
    }
}

/// Between two tries to reach a server that was not there at start.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The store in PostgreSQL.
pub struct PostgresStore {
    inner: Arc<Inner>,
    committer: Committer,
    loader: Loader,
}

/// Whether the schema has been brought up to date; until then, what was in the way.
struct Readiness(RwLock<Option<String>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(RwLock::new(Some("nobody has asked it yet".to_owned())))
    }
}

impl Readiness {
    fn set(&self, fail: Option<&Fail>) {
        *self.0.write() = fail.map(ToString::to_string);
    }

    fn get(&self) -> Result<(), Fail> {
        match &*self.0.read() {
            None => Ok(()),
            Some(why) => Err(Fail::Store(format!("PostgreSQL cannot be used yet: {why}"))),
        }
    }
}

/// Tries until the server is there and its schema up to date, or nobody uses the store any more.
async fn become_ready(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(RETRY_PAUSE).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        match inner.make_ready().await {
            Ok(()) => {
                tracing::info!("store: PostgreSQL is there");
                return;
            }
            Err(fail) if fail.is_final() => {
                tracing::error!(error = %fail, "store: PostgreSQL cannot be used");
            }
            Err(fail) => tracing::debug!(error = %fail, "store: PostgreSQL is not there yet"),
        }
    }
}

/// What the committers share with the callers.
struct Inner {
    pools: Pools,
    readiness: Readiness,
    options: PostgresOptions,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Prepares the store at a `postgres://USER:PASSWORD@HOST:PORT/DATABASE` URL and brings its
    /// schema up to date. `sslmode` and `sslrootcert` are understood, as are the driver's parameters.
    ///
    /// A server that cannot be reached now is no error here: the schema is brought up to date when
    /// it is there, and calls are [`StoreError`]s until then.
    ///
    /// # Errors
    /// What waiting does not mend: the URL is none, the server refuses the login or the database,
    /// or its version, encoding or schema do not suit.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Arc<Self>, StoreError> {
        let inner = Arc::new(Inner {
            pools: Pools::new(url, &options)?,
            readiness: Readiness::default(),
            options,
        });
        match inner.make_ready().await {
            Ok(()) => {}
            Err(fail) if fail.is_final() => return Err(fail.into()),
            Err(fail) => {
                tracing::warn!(error = %fail, "store: PostgreSQL cannot be reached yet");
                tokio::spawn(become_ready(Arc::downgrade(&inner)));
            }
        }
        Ok(Arc::new(Self {
            committer: Committer::start(&inner),
            loader: Loader::start(&inner),
            inner,
        }))
    }

    /// One statement for a duty.
    async fn work(&self, step: Step<'_>) -> Result<Answer, Fail> {
        self.inner.one(&self.inner.pools.work, step).await
    }

    /// One statement for people.
    async fn read(&self, step: Step<'_>) -> Result<Answer, Fail> {
        self.inner.one(&self.inner.pools.desk, step).await
    }
}

impl Inner {
    /// Brings the schema up to date.
    async fn make_ready(&self) -> Result<(), Fail> {
        let result = async {
            let mut client = self.pools.alone().await?;
            migrate::migrate(&mut client).await
        }
        .await;
        self.readiness.set(result.as_ref().err());
        result
    }

    async fn connection(&self, pool: &Pool) -> Result<Object, Fail> {
        self.readiness.get()?;
        Ok(pool.get().await?)
    }

    /// A piece of work of several round trips, within the time one call may take.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Fail>> + Send,
    ) -> Result<T, Fail> {
        tokio::time::timeout(self.options.call_timeout, work)
            .await
            .unwrap_or_else(|_| Err(Fail::silent()))
    }

    /// Statements in one round trip.
    async fn pipeline(
        &self,
        pool: &Pool,
        steps: &[Step<'_>],
    ) -> Result<VecDeque<Result<Answer, Fail>>, Fail> {
        let connection = self.connection(pool).await?;
        let answers = sql::pipeline(&connection, steps);
        let answers = tokio::time::timeout(self.options.call_timeout, answers)
            .await
            .unwrap_or_else(|_| Err(Fail::silent()));
        let worn = match &answers {
            Ok(answers) => answers
                .iter()
                .filter_map(|answer| answer.as_ref().err())
                .any(Fail::is_stale),
            Err(fail) => !fail.answered() || fail.is_stale(),
        };
        if worn {
            pool::discard(connection);
        }
        answers
    }

    async fn one(&self, pool: &Pool, step: Step<'_>) -> Result<Answer, Fail> {
        let mut answers = self.pipeline(pool, std::slice::from_ref(&step)).await?;
        answers.pop_front().expect("every statement is answered")
    }
}
