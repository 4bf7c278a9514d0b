//! Both stores, for what several processes have to agree about.

use std::sync::Arc;

use patchbay_store::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store};
use tempfile::TempDir;

use crate::world::{Plan, World};

/// An empty store, and a folder that lives as long.
pub(crate) struct Home {
    store: Arc<dyn Store>,
    folder: TempDir,
}

impl Home {
    pub(crate) fn world(&self, plans: impl IntoIterator<Item = Plan>) -> World {
        World::on(self.store.clone(), self.folder.path(), plans)
    }
}

pub(crate) fn sqlite() -> Home {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path().join("store.db"), SqliteOptions::default());
    Home {
        store: store.expect("a store"),
        folder,
    }
}

pub(crate) async fn postgres() -> Home {
    let server = std::env::var("PATCHBAY_TEST_PG")
        .expect("PATCHBAY_TEST_PG is not set: run the tests by `make test`");
    let schema = format!("t{}", uuid::Uuid::now_v7().simple());
    let connected = tokio_postgres::connect(&server, tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("the server answers");
    tokio::spawn(connection);
    let create = format!("CREATE SCHEMA {schema}");
    client.batch_execute(&create).await.expect("a new schema");
    let url = format!("{server}?options=-csearch_path%3D{schema}");
    let store = PostgresStore::connect(&url, PostgresOptions::default()).await;
    Home {
        store: store.expect("a store"),
        folder: tempfile::tempdir().expect("a folder"),
    }
}

/// The same on both stores.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {$(
            #[tokio::test]
            async fn $test() { super::$test(crate::stores::sqlite()).await; }
        )*}
        mod postgres {$(
            #[tokio::test]
            async fn $test() { super::$test(crate::stores::postgres().await).await; }
        )*}
    };
}
pub(crate) use on_both;
