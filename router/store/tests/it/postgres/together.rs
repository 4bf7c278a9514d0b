//! Several processes on one database; here, several stores.

use std::{collections::HashSet, time::Duration};

use patchbay_message::{InstanceId, ReceiptState};
use patchbay_store::{
    Changes, CommitError, LiveChange, PostgresOptions, ReceiptWord, TicketFilter,
};

use super::{connect, empty};
use crate::world::{Dyn, LONG, event, now, outbound, talk, ticket, until, web};

async fn two() -> (Dyn, Dyn) {
    let url = empty().await;
    let options = PostgresOptions::default();
    (
        connect(&url, options.clone()).await,
        connect(&url, options).await,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_process_changes_nothing_after_the_take_over() {
    let (one, other) = two().await;
    let ttl = Duration::from_millis(50);
    let (me, them) = (InstanceId::new(), InstanceId::new());
    let stalled = one.lease("inbound.3", &me, ttl).await.unwrap().unwrap();
    until("the lease runs out", async || {
        other.lease("inbound.3", &them, LONG).await.unwrap()
    })
    .await;
    let late = Changes {
        fences: vec![stalled],
        events: vec![event(1)],
        ..Changes::default()
    };
    assert_eq!(
        one.commit(late).await.unwrap_err(),
        CommitError::Fenced("inbound.3".to_owned())
    );
    assert!(other.events(0, 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_on_misses_nothing_of_many_writers() {
    const WRITERS: u64 = 16;
    const EACH: u64 = 40;
    let (one, other) = two().await;
    let writers = (0..WRITERS).map(|writer| {
        let store = Dyn::clone(if writer % 2 == 0 { &one } else { &other });
        tokio::spawn(async move {
            for n in 0..EACH {
                let changes = Changes {
                    events: (0..=n % 3)
                        .map(|m| event(writer * 1000 + n * 10 + m))
                        .collect(),
                    ..Changes::default()
                };
                store.commit(changes).await.unwrap();
            }
        })
    });
    let expected: u64 = (0..EACH).map(|n| n % 3 + 1).sum::<u64>() * WRITERS;
    let read = async {
        let (mut last, mut seen) = (0, HashSet::new());
        while (seen.len() as u64) < expected {
            for event in other.events(last, 7).await.unwrap() {
                assert_eq!(event.seq, last + 1, "what comes later has a greater number");
                last = event.seq;
                assert!(seen.insert(event.data["n"].as_u64()));
            }
        }
    };
    let deadline = tokio::time::timeout(Duration::from_secs(60), read);
    let (written, read) = tokio::join!(futures_util::future::join_all(writers), deadline);
    read.expect("every event is seen");
    for writer in written {
        writer.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_take_over_waits_for_the_commit_that_is_on_its_way() {
    let url = empty().await;
    let options = PostgresOptions {
        lock_timeout: Duration::from_millis(300),
        ..PostgresOptions::default()
    };
    let (one, other) = (
        connect(&url, PostgresOptions::default()).await,
        connect(&url, options).await,
    );
    let ttl = Duration::from_millis(50);
    let (me, them) = (InstanceId::new(), InstanceId::new());
    let fence = one.lease("timers", &me, ttl).await.unwrap().unwrap();
    // Holds the commit up where it has compared its epoch already.
    let mut beside = super::beside(&url).await;
    let holding = beside.transaction().await.unwrap();
    let hold = "SELECT 1 FROM event_head FOR UPDATE";
    holding.query(hold, &[]).await.unwrap();
    let changes = Changes {
        fences: vec![fence],
        events: vec![event(1)],
        ..Changes::default()
    };
    let commit = {
        let one = Dyn::clone(&one);
        tokio::spawn(async move { one.commit(changes).await })
    };
    let watch = super::beside(&url).await;
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND query LIKE '%event_head SET%'
            AND pg_blocking_pids(pid) = ARRAY[$1::int4]";
    let holder = holding.query_one("SELECT pg_backend_pid()", &[]).await;
    let holder: i32 = holder.unwrap().get(0);
    until("the commit waits", async || {
        let row = watch.query_one(waits, &[&holder]).await.unwrap();
        (row.get::<_, i64>(0) > 0).then_some(())
    })
    .await;

    let early = other.lease("timers", &them, LONG).await;
    assert!(early.is_err(), "taken over in the middle: {early:?}");
    holding.rollback().await.unwrap();
    commit
        .await
        .unwrap()
        .expect("it was the owner all the time");
    let fence = other.lease("timers", &them, LONG).await.unwrap().unwrap();
    assert_eq!(fence.epoch, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_and_the_id_it_is_about_may_come_at_the_same_moment() {
    const MESSAGES: u64 = 40;
    let (sink, router) = two().await;
    let talk = talk(&sink, "ada", patchbay_store::ConversationState::Open).await;
    let messages: Vec<_> = (1..=MESSAGES)
        .map(|n| outbound(&talk.conversation, n))
        .collect();
    sink.commit(Changes {
        messages: messages.clone(),
        ..Changes::default()
    })
    .await
    .unwrap();
    for message in &messages {
        let external_id = format!("provider-{}", message.pos);
        let sent = Changes {
            sent: vec![(web(), external_id.clone(), message.id, 0)],
            ..Changes::default()
        };
        let receipt = Changes {
            receipts: vec![ReceiptWord {
                channel: web(),
                external_id: Some(external_id),
                message: None,
                state: ReceiptState::Delivered,
                reason: None,
                at: now(),
                attempts: None,
                overdue: false,
            }],
            ..Changes::default()
        };
        let (sent, received) = tokio::join!(sink.commit(sent), router.commit(receipt));
        let rose = [sent.unwrap().delivered, received.unwrap().delivered].concat();
        assert_eq!(rose, [(message.id, ReceiptState::Delivered)]);
        let row = router.message(message.id).await.unwrap().unwrap();
        assert_eq!(row.state, Some(ReceiptState::Delivered));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_open_tickets_leave_no_number_out() {
    let (one, other) = two().await;
    let machine = talk(&one, "press-7", patchbay_store::ConversationState::Resolved).await;
    let mark = ("inbound.g1.0".to_owned(), "m".to_owned());
    one.commit(Changes {
        processed: vec![mark.clone()],
        ..Changes::default()
    })
    .await
    .unwrap();
    let writers = (0..80).map(|n| {
        let store = Dyn::clone(if n % 2 == 0 { &one } else { &other });
        let row = ticket(&machine, &n.to_string());
        let processed = (n % 5 == 0).then(|| mark.clone());
        tokio::spawn(async move {
            let changes = Changes {
                processed: processed.into_iter().collect(),
                events: vec![event(n)],
                tickets: vec![row],
                ..Changes::default()
            };
            store.commit(changes).await.map(|done| (done.last_event, n))
        })
    });
    let mut done: Vec<(u64, u64)> = futures_util::future::join_all(writers)
        .await
        .into_iter()
        .filter_map(|answer| answer.unwrap().ok())
        .collect();
    done.sort_unstable();
    let filter = TicketFilter {
        limit: 100,
        ..TicketFilter::default()
    };
    let page = other.tickets(&filter).await.unwrap();
    let mut rows: Vec<_> = page.items.into_iter().map(|view| view.ticket).collect();
    rows.sort_by_key(|row| row.number);
    let numbers: Vec<u32> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
    let by_number: Vec<_> = rows.iter().map(|row| row.code.clone()).collect();
    let by_commit: Vec<_> = done.iter().map(|(_, n)| n.to_string()).collect();
    assert_eq!(by_number, by_commit, "in the order of commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_shared() {
    let (one, other) = two().await;
    let takes = (0..40).map(|n| {
        let store = if n % 2 == 0 { &one } else { &other };
        async move { store.take(&web(), 0.001, 25, 1).await.unwrap().0 }
    });
    let granted: u32 = futures_util::future::join_all(takes).await.iter().sum();
    assert_eq!(granted, 25);
    let (none, wait) = other.take(&web(), 0.001, 25, 1).await.unwrap();
    assert_eq!(none, 0);
    assert!(wait > Duration::from_secs(900) && wait <= Duration::from_secs(1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_a_gateway_that_is_gone_are_not_shown() {
    let (one, other) = two().await;
    let talk = talk(&one, "ada", patchbay_store::ConversationState::New).await;
    let (dead, alive) = (InstanceId::new(), InstanceId::new());
    let on = |gateway: &InstanceId| LiveChange {
        thread: talk.thread.id,
        gateway: gateway.clone(),
        on: true,
    };
    let beat = async |who: &InstanceId, ttl| one.beat(who, "gateway", ttl).await.unwrap();
    beat(&alive, LONG).await;
    assert_eq!(beat(&dead, Duration::from_millis(50)).await, 2);
    one.commit(Changes {
        live: vec![on(&dead), on(&alive)],
        ..Changes::default()
    })
    .await
    .unwrap();
    let threads = [talk.thread.id];
    until("the dead one's connections go", async || {
        let live = other.live(&threads).await.unwrap();
        (live == [(talk.thread.id, alive.clone())]).then_some(())
    })
    .await;
    assert_eq!(
        other.lanes(&threads).await.unwrap()[0].gateways,
        std::slice::from_ref(&alive)
    );
    // It was only stopped for a while, and holds its sockets still.
    beat(&dead, LONG).await;
    assert_eq!(other.live(&threads).await.unwrap().len(), 2);
}
