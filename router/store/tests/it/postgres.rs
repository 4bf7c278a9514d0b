//! PostgreSQL passes the suite; and what it promises beyond: many processes, and a server that is
//! killed, stopped, slow, or not there.

mod indexes;
mod opening;
mod outage;
mod server;
mod tls;
mod together;
mod trouble;

use std::sync::Arc;

use patchbay_store::{PostgresOptions, PostgresStore, Store};
use tokio_postgres::{Client, NoTls};

use crate::{
    conformance::{self, Home},
    world::Dyn,
};

struct Postgres(Dyn);

impl Home for Postgres {
    fn store(&self) -> &Arc<dyn Store> {
        &self.0
    }
}

/// The server that all tests share.
fn shared() -> String {
    std::env::var("PATCHBAY_TEST_PG")
        .expect("PATCHBAY_TEST_PG is not set: run the tests by `make test`")
}

/// A connection beside the store's.
async fn beside(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the server answers");
    tokio::spawn(connection);
    client
}

/// The URL of a new, empty schema on the shared server.
async fn empty() -> String {
    let schema = format!("t{}", uuid::Uuid::now_v7().simple());
    let create = format!("CREATE SCHEMA {schema}");
    let client = beside(&shared()).await;
    client.batch_execute(&create).await.expect("a new schema");
    format!("{}?options=-csearch_path%3D{schema}", shared())
}

async fn connect(url: &str, options: PostgresOptions) -> Dyn {
    PostgresStore::connect(url, options)
        .await
        .expect("the store opens")
}

async fn open() -> Postgres {
    Postgres(connect(&empty().await, PostgresOptions::default()).await)
}

conformance::suite!(open);
