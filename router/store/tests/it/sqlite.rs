//! SQLite passes the suite; and what it promises beyond: one process, one file, kill -9.

mod clock;
mod crash;
mod load;
mod opening;

use std::{path::Path, sync::Arc};

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
    Sqlite {
        store: open_at(&folder.path().join("store.db")),
        _folder: folder,
    }
}

/// Opens a file that must open.
fn open_at(path: &Path) -> Arc<dyn Store> {
    SqliteStore::open(path, SqliteOptions::default()).expect("the store opens")
}

conformance::suite!(open);
