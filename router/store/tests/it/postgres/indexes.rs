//! Nobody wades through what is old: who asks for a few rows reads a few.

use std::{collections::BTreeMap, time::Duration};

use patchbay_message::{AgentId, ReceiptState, Severity, TicketId};
use patchbay_store::{
    Changes, ConversationState, Cursor, Expect, PostgresOptions, ReceiptWord, Retention,
    TicketFilter, TicketState, TicketUpdate, Want,
};
use tokio_postgres::Client;

use super::{beside, connect, empty};
use crate::{
    conformance::retention::FOREVER,
    world::{Dyn, Talk, device, entry, now, opened, talk, ticket, until, web},
};

/// Rows of each kind that nobody asks for, and how many may be read of a kind.
const OLD: i32 = 4000;
const FEW: i64 = 600;

/// Plans are made while the tables are empty; then they fill, and nobody tells the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_is_not_read() {
    let url = empty().await;
    let name = format!("t{}", uuid::Uuid::now_v7().simple());
    let own = format!("{url}&application_name={name}");
    let store: Dyn = connect(&own, PostgresOptions::default()).await;
    let machine = talk(&store, "press-7", ConversationState::Resolved).await;
    for n in 0..8 {
        ask(&store, &machine, n).await;
    }
    let client = beside(&url).await;
    fill(&client, &machine).await;
    let before = reads(&client).await;
    ask(&store, &machine, 8).await;
    drop(store);
    // A session tells what it has read when it ends.
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    until("the store's connections end", async || {
        let row = client.query_one(left, &[&name]).await.unwrap();
        (row.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    let after = reads(&client).await;
    let read: BTreeMap<_, _> = after
        .iter()
        .map(|(table, rows)| (table, rows - before.get(table).unwrap_or(&0)))
        .collect();
    assert!(read.values().sum::<i64>() > 0, "it was counted: {read:?}");
    assert!(read.values().all(|rows| *rows < FEW), "{read:?}");
}

/// Rows that were read of each table, by its indexes or without.
async fn reads(client: &Client) -> BTreeMap<String, i64> {
    let rows = client
        .query(
            "SELECT t.relname::text, (t.seq_tup_read + coalesce(sum(i.idx_tup_read), 0))::int8
             FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i USING (relid)
             WHERE t.schemaname = current_schema() AND t.relname IN ('ticket', 'ticket_entry',
                 'device', 'expect', 'conversation', 'message', 'processed')
             GROUP BY t.relname, t.seq_tup_read",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn fill(client: &Client, machine: &Talk) {
    let at = now().as_ms();
    let contact = machine.contact.id;
    let sql = format!(
        "INSERT INTO ticket SELECT gen_random_uuid(), 1999, n, 'web', 'd' || n, 'E1',
             '{contact}', gen_random_uuid(), 1, 'done', NULL, 'major', 1, 't', 't', NULL,
             NULL, NULL, NULL, 1, 0, 5, 5, 5, 5, {at}, {at} - n, {at}, 0, 1
         FROM generate_series(1, {OLD}) n;
         INSERT INTO ticket_entry SELECT id, 1, 'note', NULL, NULL, NULL, NULL, '{{}}', 5
         FROM ticket WHERE year = 1999;
         INSERT INTO device SELECT gen_random_uuid(), 'web', 'd' || n, 1, {at}, {at} + 900000, NULL,
             '{{}}', NULL, NULL, '{{}}', 0 FROM generate_series(1, {OLD}) n;
         INSERT INTO expect SELECT 'web', 'e' || n, {at} + 900000, 'expired'
         FROM generate_series(1, {OLD}) n;
         INSERT INTO conversation SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
             'web', 1, 'closed', NULL, NULL, NULL, NULL, NULL, {at}, {at}, 1, 0, NULL, NULL, NULL, 1
         FROM generate_series(1, {OLD}) n;
         INSERT INTO message SELECT gen_random_uuid(), id, gen_random_uuid(), 1, NULL, NULL, 'note',
             'inbound', '{{}}', NULL, '[]', NULL, {at}, NULL, NULL, 0 FROM conversation
             WHERE state = 'closed';
         INSERT INTO processed SELECT 's', n::text, {at} FROM generate_series(1, {OLD}) n;"
    );
    client.batch_execute(&sql).await.unwrap();
}

async fn ask(store: &Dyn, machine: &Talk, n: u32) {
    let row = opened(store, ticket(machine, &n.to_string())).await;
    let until = now();
    let want = Want {
        devices: vec![machine.thread.id],
        tickets: vec![row.id],
        faults: vec![(web(), row.device.clone(), row.code.clone())],
        waiting_tickets: 10,
        waiting_tickets_after: Some((
            Severity::Critical,
            Cursor {
                at: until,
                id: row.id.0,
            },
        )),
        settled_until: Some(until),
        silent_until: Some(until),
        silent_after: Some(Cursor {
            at: until,
            id: row.id.0,
        }),
        overdue_until: Some(until),
        ..Want::default()
    };
    store.facts(&want).await.unwrap();
    lists(store, machine, row.id).await;
    let word = ReceiptWord {
        channel: web(),
        external_id: Some(n.to_string()),
        message: None,
        state: ReceiptState::Unknown,
        reason: None,
        at: until,
        attempts: None,
        overdue: true,
    };
    let changes = Changes {
        ticket_entries: vec![entry(&row, 1, patchbay_store::TicketEvent::Opened)],
        ticket_updates: vec![TicketUpdate {
            from: row.state,
            row,
        }],
        devices: vec![device(machine)],
        device_acks: vec![(machine.thread.id, n.into())],
        expects: vec![Expect {
            channel: web(),
            external_id: n.to_string(),
            due: until,
            or_else: ReceiptState::Unknown,
            fallback: false,
        }],
        receipts: vec![word],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let retention = Retention {
        processed: Duration::from_secs(60),
        ..FOREVER
    };
    assert_eq!(store.sweep(&retention, 100).await.unwrap(), 0);
}

async fn lists(store: &Dyn, machine: &Talk, id: TicketId) {
    let any = TicketFilter {
        limit: 10,
        ..TicketFilter::default()
    };
    for filter in [
        any.clone(),
        TicketFilter {
            states: vec![TicketState::New, TicketState::Processing],
            severities: vec![Severity::Minor],
            ..any.clone()
        },
        TicketFilter {
            agent: Some(AgentId::new()),
            ..any.clone()
        },
        TicketFilter {
            channel: Some(web()),
            ..any.clone()
        },
        TicketFilter {
            device: Some(machine.thread.address.clone()),
            ..any
        },
    ] {
        store.tickets(&filter).await.unwrap();
    }
    store.ticket(id).await.unwrap();
    store.ticket_entries(id, 0, 10).await.unwrap();
    store.device(machine.thread.id).await.unwrap();
    store.gauges().await.unwrap();
}
