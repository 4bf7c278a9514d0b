//! Connections: how they are made, bounded, and what every session is set to.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio_postgres::{Config, config::Host};

use super::{PostgresOptions, error::Fail, tls::Tls};
use crate::StoreError;

/// To a server that answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which the kernel asks whether the server is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Unacknowledged bytes after which a connection is given up.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);

/// Two bounded sets of connections, so that a slow search in the console never keeps a lease from
/// being renewed.
pub(super) struct Pools {
    /// Leases, facts, commits, lanes.
    pub(super) work: Pool,
    /// What people read and edit.
    pub(super) desk: Pool,
    config: Config,
    tls: Tls,
}

impl Pools {
    pub(super) fn new(url: &str, options: &PostgresOptions) -> Result<Self, StoreError> {
        let (config, tls) = read_url(url)?;
        Ok(Self {
            work: pool(
                &config,
                &tls,
                session(options) + WORK,
                options.connections,
                options,
            )?,
            desk: pool(
                &config,
                &tls,
                session(options),
                options.desk_connections,
                options,
            )?,
            config,
            tls,
        })
    }

    /// A connection of its own for the migrations, without the bounds of the others.
    pub(super) async fn alone(&self) -> Result<tokio_postgres::Client, Fail> {
        let tls = self.tls.connector().map_err(|e| Fail::Final(e.0))?;
        let connecting = self.config.connect(tls);
        let (client, connection) = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| Fail::silent())??;
        // It ends when the client is dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "store: connection ended");
            }
        });
        Ok(client)
    }
}

fn read_url(url: &str) -> Result<(Config, Tls), StoreError> {
    let (tls, url) = Tls::from_url(url)?;
    // The driver's own message may repeat the URL, and that has a password in it.
    let mut config: Config = url
        .parse()
        .map_err(|_| StoreError("the store's URL is no postgres:// URL".to_owned()))?;
    if config.get_hosts().is_empty() {
        return Err(StoreError("the store's URL names no host".to_owned()));
    }
    if config.get_user().is_none_or(str::is_empty) {
        return Err(StoreError("the store's URL names no user".to_owned()));
    }
    if config.get_application_name().is_none() {
        config.application_name("patchbay");
    }
    // Not on a socket of this machine, as with PostgreSQL's own clients.
    let local = config
        .get_hosts()
        .iter()
        .all(|h| !matches!(h, Host::Tcp(_)));
    config.ssl_mode(if local {
        tokio_postgres::config::SslMode::Disable
    } else {
        tls.mode
    });
    config
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(KEEPALIVE_IDLE)
        .tcp_user_timeout(UNACKNOWLEDGED_MAX);
    Ok((config, tls))
}

fn pool(
    config: &Config,
    tls: &Tls,
    session: String,
    connections: usize,
    options: &PostgresOptions,
) -> Result<Pool, StoreError> {
    let manager = Manager::from_config(
        config.clone(),
        tls.connector()?,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    Pool::builder(manager)
        .max_size(connections.max(1))
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(options.acquire_timeout),
            create: Some(CONNECT_TIMEOUT),
            recycle: Some(CONNECT_TIMEOUT),
        })
        .post_create(Hook::async_fn(move |client, _| {
            let session = session.clone();
            Box::pin(async move {
                let set = client.batch_execute(&session);
                set.await.map_err(HookError::Backend)
            })
        }))
        .build()
        .map_err(|error| StoreError(error.to_string()))
}

/// What sessions of the work pool are set to besides. Their statements ask for a few rows of large
/// tables by a whole key, over and over: one plan for all, and no join that reads all of an index to
/// find them, which is what the planner takes to be cheap while it believes the table to be empty.
const WORK: &str = ";
     SET plan_cache_mode = force_generic_plan; SET enable_mergejoin = off; SET enable_hashjoin = off";

/// What every session is set to, whatever the server's defaults.
///
/// A process that is stopped in the middle of a transaction must not keep its leases from being
/// taken over: the server ends it. Plans that were made while the tables were empty read whole
/// tables, and would be used until the server has counted the rows again; there is an index for all
/// that is asked for here.
fn session(options: &PostgresOptions) -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {};
         SET idle_in_transaction_session_timeout = {}; SET jit = off; SET enable_seqscan = off;
         SET default_transaction_isolation = 'read committed';
         SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'",
        options.statement_timeout.as_millis(),
        options.lock_timeout.as_millis(),
        options.idle_in_transaction_timeout.as_millis(),
    )
}

/// Closes a connection that may be in the middle of something.
pub(super) fn discard(connection: Object) {
    drop(Object::take(connection));
}
