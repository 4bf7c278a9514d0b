//! SQLite passes the suite.

use std::sync::Arc;

use patchbay_store::{SqliteOptions, SqliteStore, Store};

use crate::conformance::{self, Home};

struct Sqlite {
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Home for Sqlite {
    fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

async fn open() -> Sqlite {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(folder.path().join("store.db"), SqliteOptions::default())
        .expect("a new store opens");
    Sqlite {
        store,
        _folder: folder,
    }
}

conformance::suite!(open);
