//! Brings the schema up to date by numbered steps, in one transaction.
//!
//! Steps only expand (new tables, columns with defaults) what the version before them reads, and
//! contract what it no longer does: so a binary runs on its own schema and on the next one.

use patchbay_message::Time;
use rusqlite::{Connection, TransactionBehavior};

use super::{error::Fail, sql::ms};

/// The steps, the first is number 1. Never changed once released, only added to.
const STEPS: &[(&str, &str)] = &[
    (
        "begin",
        include_str!("../../migrations/sqlite/0001_begin.sql"),
    ),
    (
        "tickets",
        include_str!("../../migrations/sqlite/0002_tickets.sql"),
    ),
    (
        "fallbacks",
        include_str!("../../migrations/sqlite/0003_fallbacks.sql"),
    ),
    (
        "provider_tokens",
        include_str!("../../migrations/sqlite/0004_provider_tokens.sql"),
    ),
    (
        "reply_windows",
        include_str!("../../migrations/sqlite/0005_reply_windows.sql"),
    ),
    (
        "media_fetches",
        include_str!("../../migrations/sqlite/0006_media_fetches.sql"),
    ),
    (
        "pulls",
        include_str!("../../migrations/sqlite/0007_pulls.sql"),
    ),
];

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

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: (&str, &str) = ("first", "CREATE TABLE a (x INTEGER NOT NULL) STRICT;");
    const SECOND: (&str, &str) = ("second", "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 7;");
    const BROKEN: (&str, &str) = ("broken", "CREATE TABLE b (x) STRICT; nonsense;");

    fn versions(connection: &Connection) -> Vec<(i64, String)> {
        let mut statement = connection
            .prepare("SELECT version, name FROM schema_version ORDER BY version")
            .unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn only_what_is_new_is_applied() {
        let mut connection = Connection::open_in_memory().unwrap();
        let now = Time::from_ms(1);
        migrate_by(&mut connection, &[FIRST], now).unwrap();
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        migrate_by(&mut connection, &[FIRST, SECOND], now).unwrap();
        migrate_by(&mut connection, &[FIRST, SECOND], now).unwrap();
        let y: i64 = connection
            .query_row("SELECT y FROM a", [], |row| row.get(0))
            .unwrap();
        assert_eq!(y, 7, "rows that were there are kept");
        assert_eq!(
            versions(&connection),
            [(1, "first".to_owned()), (2, "second".to_owned())]
        );
    }

    #[test]
    fn a_step_that_fails_leaves_the_schema_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let now = Time::from_ms(1);
        migrate_by(&mut connection, &[FIRST], now).unwrap();
        migrate_by(&mut connection, &[FIRST, SECOND, BROKEN], now).unwrap_err();
        assert_eq!(versions(&connection), [(1, "first".to_owned())]);
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
    }
}
