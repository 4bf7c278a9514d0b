//! Opening, opening again, and what is refused.

use std::path::Path;

use patchbay_message::{InstanceId, MessageId};
use patchbay_store::{
    Changes, CommitError, ConversationState, LiveChange, SqliteOptions, SqliteStore,
};

use super::open_at;
use crate::world::{LONG, event, opened, talk, ticket, web};

fn refusal(path: &Path) -> String {
    SqliteStore::open(path, SqliteOptions::default())
        .map(|_| ())
        .expect_err("must be refused")
        .to_string()
}

#[tokio::test]
async fn a_second_process_is_told_that_the_file_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open_at(&path);
    let sentence = refusal(&path);
    assert!(sentence.contains("in use by another process"), "{sentence}");
    assert!(sentence.contains("store.db"), "{sentence}");
    drop(store);
    open_at(&path);
}

#[tokio::test]
async fn a_restart_keeps_everything_and_frees_the_leases() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open_at(&path);
    let before = talk(&store, "ada", ConversationState::Open).await;
    let gateway = InstanceId::new();
    let mine = store
        .lease("inbound.3", &gateway, LONG)
        .await
        .unwrap()
        .unwrap();
    let live = Changes {
        live: vec![LiveChange {
            thread: before.thread.id,
            gateway,
            on: true,
        }],
        events: vec![event(1)],
        ..Changes::default()
    };
    store.commit(live).await.unwrap();
    drop(store);

    let store = open_at(&path);
    let found = store.thread(&web(), &before.thread.address).await.unwrap();
    assert_eq!(found, Some(before.thread.clone()));
    assert_eq!(store.events(0, 10).await.unwrap().len(), 1);
    let gone = store.live(&[before.thread.id]).await.unwrap();
    assert_eq!(gone, [], "no connection outlives its process");
    let stale = Changes {
        fences: vec![mine.clone()],
        ..Changes::default()
    };
    let refused = store.commit(stale).await.unwrap_err();
    assert!(matches!(refused, CommitError::Fenced(_)), "{refused}");
    let taken = store
        .lease("inbound.3", &InstanceId::new(), LONG)
        .await
        .unwrap();
    let taken = taken.expect("at once: who held it is dead");
    assert!(taken.epoch > mine.epoch);
}

#[test]
fn files_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "remember the milk\n".repeat(300)).unwrap();
    let sentence = refusal(&text);
    assert!(sentence.contains("notes.txt"), "{sentence}");
    assert!(
        std::fs::read_to_string(&text)
            .unwrap()
            .starts_with("remember")
    );

    let foreign = folder.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection
        .execute_batch("CREATE TABLE theirs (x);")
        .unwrap();
    drop(connection);
    let sentence = refusal(&foreign);
    assert!(sentence.contains("not made by Patchbay"), "{sentence}");

    let nowhere = folder.path().join("no/such/folder/store.db");
    let sentence = refusal(&nowhere);
    assert!(sentence.contains("no/such/folder"), "{sentence}");
}

#[test]
fn one_schema_ahead_is_fine_two_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(open_at(&path));
    let ahead = || {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let sql = "INSERT INTO schema_version (version, name, applied_at)
                   SELECT max(version) + 1, 'later', 0 FROM schema_version RETURNING version";
        let version: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        version
    };
    ahead();
    drop(open_at(&path));
    let found = ahead();
    let sentence = refusal(&path);
    assert!(sentence.contains(&format!("schema {found}")), "{sentence}");
    assert!(sentence.contains("start the newer version"), "{sentence}");
}

/// What the first version has written is there, and can be gone on with.
#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let begin = include_str!("../../../migrations/sqlite/0001_begin.sql");
    connection
        .execute_batch(&format!(
            "PRAGMA application_id = 0x50424159; {begin}
             CREATE TABLE schema_version (
                 version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL
             ) STRICT;
             INSERT INTO schema_version VALUES (1, 'begin', 0);
             INSERT INTO message (id, conversation, thread, pos, kind, direction, sender, content,
                 at, attempts)
             VALUES (zeroblob(16), zeroblob(16), zeroblob(16), 1, 'note', 'inbound',
                 '{{\"address\":\"a\"}}', '[]', 5, 0);"
        ))
        .unwrap();
    drop(connection);
    let store = open_at(&path);
    let old = store.message(MessageId(uuid::Uuid::nil())).await.unwrap();
    assert_eq!(old.unwrap().expires_at, None);
    let machine = talk(&store, "press-7", ConversationState::Resolved).await;
    let row = opened(&store, ticket(&machine, "E42")).await;
    assert_eq!(row.number, 1);
}

#[tokio::test]
async fn a_backup_is_taken_while_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    let objects: crate::world::Dyn = std::sync::Arc::<SqliteStore>::clone(&store);
    let before = talk(&objects, "ada", ConversationState::Open).await;
    store.backup(&copy).await.unwrap();
    store
        .backup(&copy)
        .await
        .expect_err("an older backup is not overwritten");
    talk(&objects, "bob", ConversationState::Open).await;

    let restored = open_at(&copy);
    let found = restored
        .thread(&web(), &before.thread.address)
        .await
        .unwrap();
    assert_eq!(found, Some(before.thread));
    assert_eq!(restored.thread(&web(), "bob@example").await.unwrap(), None);
}
