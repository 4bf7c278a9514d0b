//! Brings the schema up to date, one numbered step after the other, each in a transaction.
//!
//! Steps only expand (new tables, columns with defaults) what the version before them reads, and
//! contract what it no longer does: so a binary runs on its own schema and on the next one.

use patchbay_message::Time;
use rusqlite::{Connection, TransactionBehavior};

use super::{error::Fail, sql::ms};

/// The steps, the first is number 1. Never changed once released, only added to.
const STEPS: &[(&str, &str)] = &[(
    "begin",
    include_str!("../../migrations/sqlite/0001_begin.sql"),
)];

/// "PBAY": says in the file's header that it is ours.
const APPLICATION_ID: i64 = 0x5042_4159;

pub(super) fn migrate(connection: &mut Connection, now: Time) -> Result<(), Fail> {
    migrate_by(connection, STEPS, now)
}

fn migrate_by(connection: &mut Connection, steps: &[(&str, &str)], now: Time) -> Result<(), Fail> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id: i64 = transaction.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id != APPLICATION_ID && tables > 0 {
        return Err(Fail::Store(
            "this database was not made by Patchbay; name another file".to_owned(),
        ));
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID};
         CREATE TABLE IF NOT EXISTS schema_version (
             version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL
         ) STRICT;"
    ))?;
    let found: usize = transaction.query_row(
        "SELECT coalesce(max(version), 0) FROM schema_version",
        [],
        |row| row.get(0),
    )?;
    if found > steps.len() + 1 {
        return Err(Fail::Store(format!(
            "the database has schema {found}, this version of Patchbay knows {} and works on {} \
             at most; start the newer version",
            steps.len(),
            steps.len() + 1
        )));
    }
    for (index, (name, sql)) in steps.iter().enumerate().skip(found) {
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO schema_version (version, name, applied_at) VALUES (?1, ?2, ?3)",
            rusqlite::params![index + 1, name, ms(now)],
        )?;
        tracing::info!(version = index + 1, name, "store: schema step applied");
    }
    transaction.commit()?;
    Ok(())
}
