//! Bounds under load.

use std::sync::Arc;

use patchbay_message::MessageId;
use patchbay_store::{Changes, OutboxRow, SqliteOptions, SqliteStore, Want};

use crate::world::Dyn;

fn large(partition: u64, seq: u64) -> Changes {
    Changes {
        outbox: vec![OutboxRow {
            partition: format!("inbound.{partition}"),
            seq,
            shard: 0,
            id: MessageId::new(),
            envelope: vec![b'x'; 40_000].into(),
        }],
        // Relayed at once, so that the database itself stays small.
        outbox_done: vec![(format!("inbound.{partition}"), seq)],
        ..Changes::default()
    }
}

/// Readers come and go without a pause while 60 MB are written: the log must begin anew now and
/// then all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_bounded() {
    const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions {
        wal_pages_max: 2000,
        ..SqliteOptions::default()
    };
    let store: Dyn = SqliteStore::open(&path, options).unwrap();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let store = Dyn::clone(&store);
            tokio::spawn(async move {
                let want = Want {
                    waiting: 10,
                    outbox: Some("inbound.0".to_owned()),
                    ..Want::default()
                };
                loop {
                    store.facts(&want).await.unwrap();
                }
            })
        })
        .collect();
    for seq in 1..=1500 {
        store.commit(large(0, seq)).await.unwrap();
    }
    for reader in readers {
        reader.abort();
    }
    let log = std::fs::metadata(folder.path().join("store.db-wal"))
        .unwrap()
        .len();
    assert!(log <= LOG_BYTES_MAX, "the log has {log} bytes");
}

/// More commits than the queue holds wait for room; none is refused, none is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_makes_wait() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        queue_max: 2,
        batch_max: 3,
        readers: 1,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    let store: Arc<SqliteStore> = store;
    let commits = (0..200).map(|n| {
        let store: Dyn = Arc::<SqliteStore>::clone(&store);
        tokio::spawn(async move { store.commit(large(n, 1)).await })
    });
    for commit in futures_util::future::join_all(commits).await {
        commit.unwrap().unwrap();
    }
}
