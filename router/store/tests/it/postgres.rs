//! PostgreSQL passes the suite.

use std::sync::Arc;

use patchbay_store::{PostgresOptions, PostgresStore, Store};
use tokio_postgres::NoTls;

use crate::conformance::{self, Home};

struct Postgres(Arc<dyn Store>);

impl Home for Postgres {
    fn store(&self) -> &Arc<dyn Store> {
        &self.0
    }
}

pub(crate) fn server() -> String {
    std::env::var("PATCHBAY_TEST_PG")
        .expect("PATCHBAY_TEST_PG is not set: run the tests by `make test`")
}

/// The URL of a new, empty schema on a server.
pub(crate) async fn empty(server: &str) -> String {
    let schema = format!("t{}", uuid::Uuid::now_v7().simple());
    let (client, connection) = tokio_postgres::connect(server, NoTls)
        .await
        .expect("the server of PATCHBAY_TEST_PG answers");
    tokio::spawn(connection);
    client
        .batch_execute(&format!("CREATE SCHEMA {schema}"))
        .await
        .expect("a new schema");
    format!("{server}?options=-csearch_path%3D{schema}")
}

async fn open() -> Postgres {
    let url = empty(&server()).await;
    let options = PostgresOptions::default();
    Postgres(
        PostgresStore::connect(&url, options)
            .await
            .expect("a new store opens"),
    )
}

conformance::suite!(open);
