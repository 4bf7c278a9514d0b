//! Brings the schema up to date, one numbered step after the other, each in a transaction.
//!
//! Steps only expand (new tables, columns with defaults) what the version before them reads, and
//! contract what it no longer does: so during an upgrade binaries of two versions run on the newer
//! schema. Processes that start together take turns by an advisory lock.

use tokio_postgres::Client;

use super::error::Fail;

/// The steps, the first is number 1. Never changed once released, only added to.
const STEPS: &[(&str, &str)] = &[
    (
        "begin",
        include_str!("../../migrations/postgres/0001_begin.sql"),
    ),
    (
        "tickets",
        include_str!("../../migrations/postgres/0002_tickets.sql"),
    ),
    (
        "fallbacks",
        include_str!("../../migrations/postgres/0003_fallbacks.sql"),
    ),
    (
        "provider_tokens",
        include_str!("../../migrations/postgres/0004_provider_tokens.sql"),
    ),
    (
        "reply_windows",
        include_str!("../../migrations/postgres/0005_reply_windows.sql"),
    ),
    (
        "media_fetches",
        include_str!("../../migrations/postgres/0006_media_fetches.sql"),
    ),
    (
        "pulls",
        include_str!("../../migrations/postgres/0007_pulls.sql"),
    ),
];

/// Names our advisory locks among those of the database: "PBAY". The second half of the key is the
/// schema, so that two installations in one database do not wait for each other.
const LOCK: i32 = 0x5042_4159;
/// The oldest server whose behaviour was checked.
const SERVER_MIN: i32 = 130_000;

/// How long a step may wait for the tables other processes use, and for its turn.
const WAIT: &str = "SET lock_timeout = '60s'; SET statement_timeout = 0; \
                    SET client_min_messages = warning";

pub(super) async fn migrate(client: &mut Client) -> Result<(), Fail> {
    suits(client).await?;
    client.batch_execute(WAIT).await?;
    client
        .execute(
            "SELECT pg_advisory_lock($1, hashtext(current_schema()::text))",
            &[&LOCK],
        )
        .await?;
    // The lock goes with the connection.
    migrate_by(client, STEPS).await
}

/// Refuses what would only fail later.
async fn suits(client: &Client) -> Result<(), Fail> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int4, \
                 current_setting('server_encoding'), current_schema() IS NOT NULL",
            &[],
        )
        .await?;
    let (version, encoding, schema): (i32, String, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if version < SERVER_MIN {
        return Err(Fail::Final(format!(
            "PostgreSQL {} is too old, 13 at least is needed",
            version / 10_000
        )));
    }
    if encoding != "UTF8" {
        return Err(Fail::Final(format!(
            "the database's encoding is {encoding}, UTF8 is needed"
        )));
    }
    if !schema {
        return Err(Fail::Final(
            "the database has no schema of the search path".to_owned(),
        ));
    }
    Ok(())
}

async fn migrate_by(client: &mut Client, steps: &[(&str, &str)]) -> Result<(), Fail> {
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_version (
                 version int4 PRIMARY KEY, name text NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT now()
             )",
        )
        .await?;
    let row = client
        .query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[])
        .await?;
    let found = usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0);
    if found > steps.len() + 1 {
        return Err(Fail::Final(format!(
            "the database has schema {found}, this version of Patchbay knows {} and works on {} \
             at most; start the newer version",
            steps.len(),
            steps.len() + 1
        )));
    }
    for (index, (name, sql)) in steps.iter().enumerate().skip(found) {
        let version = i32::try_from(index + 1).expect("steps are few");
        let transaction = client.transaction().await?;
        transaction.batch_execute(sql).await?;
        transaction
            .execute(
                "INSERT INTO schema_version (version, name) VALUES ($1, $2)",
                &[&version, name],
            )
            .await?;
        transaction.commit().await?;
        tracing::info!(version, name, "store: schema step applied");
    }
    Ok(())
}
