//! Statements about what piles up find their rows by an index.

use std::{collections::BTreeSet, time::Duration};

use parking_lot::Mutex;
use patchbay_message::{
    AgentId, ChannelId, GroupId, MessageId, ReceiptState, Severity, ThreadId, TicketId, Time,
};
use rusqlite::Connection;

use super::{SqliteOptions, SqliteStore, sweep};
use crate::{
    Changes, Cursor, Desk, Expect, Journal, ReceiptWord, Retention, TicketFilter, TicketState, Want,
};

/// Every statement that was run.
static TEXTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

pub(super) fn note(sql: &str) {
    TEXTS.lock().insert(sql.to_owned());
}

/// What piles up.
const LARGE: [&str; 6] = [
    "ticket",
    "ticket_entry",
    "device",
    "expect",
    "message",
    "conversation",
];
/// Bounded steps of the clean-up, read from end to end.
const STEPS: [&str; 2] = ["t", "c"];

#[tokio::test]
async fn nothing_that_piles_up_is_scanned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    ask(&store).await;
    write(&store).await;
    let connection = super::connect(&path).unwrap();
    let texts = TEXTS.lock().clone();
    let about = |sql: &str, table: &str| {
        let mut words = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.any(|word| word == table)
    };
    for table in LARGE {
        assert!(texts.iter().any(|sql| about(sql, table)), "{table}");
    }
    for sql in texts {
        if LARGE.iter().any(|table| about(&sql, table)) {
            for step in plan(&connection, &sql) {
                assert!(!scans(&step), "{step}: {sql}");
            }
        }
    }
}

/// Old attempts are what a sweep reads, not all there are.
#[test]
fn a_sweep_reads_no_attempt_that_is_too_young() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    let connection = super::connect(&path).unwrap();
    let steps = plan(&connection, sweep::ATTEMPTS);
    let by_time = "SEARCH a USING INDEX attempt_at (at<?)";
    assert!(steps.iter().any(|step| step == by_time), "{steps:?}");
    drop(store);
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let mut statement = connection.prepare(&explain).unwrap();
    let steps = statement.raw_query().mapped(|row| row.get(3));
    steps.map(Result::unwrap).collect()
}

fn scans(step: &str) -> bool {
    let mut words = step.split(' ');
    if words.next() != Some("SCAN") {
        return false;
    }
    let name = words.next().unwrap_or_default();
    !STEPS.contains(&name) && !step.contains(" INDEX ") && name != "CONSTANT"
}

/// Every question about tickets and devices.
async fn ask(store: &SqliteStore) {
    let web = ChannelId::new("web").unwrap();
    let time = Time::from_ms(5);
    let cursor = Cursor {
        at: time,
        id: uuid::Uuid::nil(),
    };
    let want = Want {
        devices: vec![ThreadId::new()],
        tickets: vec![TicketId::new()],
        faults: vec![(web.clone(), "press-7".to_owned(), "E42".to_owned())],
        waiting_tickets: 10,
        waiting_tickets_after: Some((Severity::Major, cursor.clone())),
        settled_until: Some(time),
        silent_until: Some(time),
        silent_after: Some(cursor.clone()),
        overdue_until: Some(time),
        ..Want::default()
    };
    store.facts(&want).await.unwrap();
    let any = TicketFilter {
        limit: 10,
        ..TicketFilter::default()
    };
    for filter in [
        any.clone(),
        TicketFilter {
            states: vec![TicketState::New, TicketState::Processing],
            cursor: Some(cursor),
            ..any.clone()
        },
        TicketFilter {
            agent: Some(AgentId::new()),
            groups: vec![GroupId::new()],
            text: Some("x".to_owned()),
            ..any.clone()
        },
        TicketFilter {
            channel: Some(web),
            severities: vec![Severity::Major],
            ..any.clone()
        },
        TicketFilter {
            device: Some("press-7".to_owned()),
            ..any
        },
    ] {
        store.tickets(&filter).await.unwrap();
    }
    store.ticket_numbered(2026, 1).await.unwrap();
    store.ticket_entries(TicketId::new(), 0, 10).await.unwrap();
    store.gauges().await.unwrap();
    store.delete_group(GroupId::new()).await.unwrap();
}

/// What ends waits, and the clean-up.
async fn write(store: &SqliteStore) {
    let web = ChannelId::new("web").unwrap();
    let time = Time::from_ms(5);
    let changes = Changes {
        device_acks: vec![(ThreadId::new(), 1)],
        expects: vec![Expect {
            channel: web.clone(),
            external_id: "x".to_owned(),
            due: time,
            or_else: ReceiptState::Unknown,
            fallback: false,
        }],
        receipts: vec![ReceiptWord {
            channel: web,
            external_id: Some("x".to_owned()),
            message: Some(MessageId::new()),
            state: ReceiptState::Unknown,
            reason: None,
            at: time,
            attempts: Some(1),
            overdue: true,
        }],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let hour = Duration::from_secs(3600);
    let retention = Retention {
        dedupe: hour,
        processed: hour,
        events: hour,
        receipts: hour,
        dead: hour,
        audit: hour,
        tickets: hour,
        conversations: hour,
    };
    store.sweep(&retention, 10).await.unwrap();
}
