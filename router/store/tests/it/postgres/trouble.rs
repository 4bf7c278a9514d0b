//! Rows that somebody else holds, and rows that can never be written: what the caller is told, and
//! that nobody else is harmed.

use std::time::{Duration, Instant};

use patchbay_message::InstanceId;
use patchbay_store::{
    AgentLoad, Changes, CommitError, ConversationFilter, ConversationState, ConversationUpdate,
    PostgresOptions, Want,
};

use super::{beside, connect, empty};
use crate::world::{Dyn, LONG, Talk, agent, device, event, lease, talk};

fn mark(id: &str) -> Vec<(String, String)> {
    vec![("inbound.g1.0".to_owned(), id.to_owned())]
}

fn update(talk: &Talk, to: ConversationState) -> ConversationUpdate {
    let mut row = talk.conversation.clone();
    let from = row.state;
    row.state = to;
    ConversationUpdate { row, from }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_held_too_long_stops_one_commit_and_no_other() {
    let url = empty().await;
    let options = PostgresOptions {
        lock_timeout: Duration::from_millis(300),
        ..PostgresOptions::default()
    };
    let store = connect(&url, options).await;
    let held = talk(&store, "ada", ConversationState::New).await;
    let mut other = beside(&url).await;
    let holding = other.transaction().await.unwrap();
    holding
        .query("SELECT 1 FROM conversation FOR UPDATE", &[])
        .await
        .unwrap();

    let blocked = Changes {
        conversation_updates: vec![update(&held, ConversationState::Waiting)],
        ..Changes::default()
    };
    let free = (0..20).map(|n| {
        store.commit(Changes {
            processed: mark(&n.to_string()),
            events: vec![event(n)],
            ..Changes::default()
        })
    });
    let (stopped, others) = tokio::join!(
        store.commit(blocked.clone()),
        futures_util::future::join_all(free)
    );
    assert!(matches!(stopped.unwrap_err(), CommitError::Store(_)));
    for other in others {
        other.unwrap();
    }
    holding.rollback().await.unwrap();
    store.commit(blocked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_is_told_only_to_who_asked_for_it() {
    let url = empty().await;
    let store = connect(&url, PostgresOptions::default()).await;
    let mut machines = Vec::new();
    for name in ["press-1", "press-2", "press-3"] {
        let machine = talk(&store, name, ConversationState::Resolved).await;
        let changes = Changes {
            devices: vec![device(&machine)],
            ..Changes::default()
        };
        store.commit(changes).await.unwrap();
        machines.push(machine.thread.id);
    }
    let spoil = "UPDATE device SET faults = 'nonsense' WHERE address LIKE 'press-2%'";
    beside(&url).await.batch_execute(spoil).await.unwrap();
    // The first is on its way while the others are gathered.
    let asks = (0..12).map(|n| {
        let thread = machines[n % 3];
        let store = Dyn::clone(&store);
        async move {
            let want = Want {
                devices: vec![thread],
                ..Want::default()
            };
            (thread, store.facts(&want).await)
        }
    });
    for (thread, answer) in futures_util::future::join_all(asks).await {
        if thread == machines[1] {
            answer.expect_err("it is spoilt");
        } else {
            assert!(answer.unwrap().devices.contains_key(&thread));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_takes_long_keeps_nobody_from_an_answer() {
    let url = empty().await;
    let store = connect(&url, PostgresOptions::default()).await;
    let mut other = beside(&url).await;
    let holding = other.transaction().await.unwrap();
    let lock = "LOCK TABLE ticket IN ACCESS EXCLUSIVE MODE";
    holding.batch_execute(lock).await.unwrap();
    let slow = {
        let store = Dyn::clone(&store);
        let want = Want {
            tickets: vec![patchbay_message::TicketId::new()],
            ..Want::default()
        };
        tokio::spawn(async move { store.facts(&want).await })
    };
    let watch = beside(&url).await;
    let holder = holding.query_one("SELECT pg_backend_pid()", &[]).await;
    let holder: i32 = holder.unwrap().get(0);
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE pg_blocking_pids(pid) = ARRAY[$1::int4]";
    crate::world::until("the question waits", async || {
        let row = watch.query_one(waits, &[&holder]).await.unwrap();
        (row.get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    for n in 0..10 {
        let want = Want {
            processed: mark(&n.to_string()),
            ..Want::default()
        };
        store.facts(&want).await.unwrap();
    }
    assert!(!slow.is_finished(), "the others were answered before it");
    holding.rollback().await.unwrap();
    slow.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_wait_for_each_other_do_not_wait_for_ever() {
    let url = empty().await;
    let store = connect(&url, PostgresOptions::default()).await;
    let talk = talk(&store, "ada", ConversationState::New).await;
    let ada = agent(&store, "Ada", 5).await;
    let mut other = beside(&url).await;
    let holding = other.transaction().await.unwrap();
    let lock_agent = "SELECT 1 FROM agent FOR UPDATE";
    holding.query(lock_agent, &[]).await.unwrap();

    // The commit holds the conversation and waits for the agent; then the other way round.
    let commit = store.commit(Changes {
        conversation_updates: vec![update(&talk, ConversationState::Open)],
        loads: vec![AgentLoad {
            agent: ada,
            delta: 1,
            force: false,
            assigned_at: None,
        }],
        ..Changes::default()
    });
    let crossing = async {
        let watch = beside(&url).await;
        let waits = "SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE agent%'";
        crate::world::until("the commit waits", async || {
            let row = watch.query_one(waits, &[]).await.unwrap();
            (row.get::<_, i64>(0) > 0).then_some(())
        })
        .await;
        // One of the two is ended by the server.
        let _ = holding
            .query("SELECT 1 FROM conversation FOR UPDATE", &[])
            .await;
        holding.rollback().await.unwrap();
    };
    let (committed, ()) = tokio::join!(commit, crossing);
    committed.expect("it was tried again");
    assert_eq!(store.agents().await.unwrap()[0].load, 1, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_can_never_be_written_are_refused_and_harm_nobody() {
    let url = empty().await;
    let store: Dyn = connect(&url, PostgresOptions::default()).await;
    // Longer than an index can hold, and not to be compressed.
    let random: String = std::iter::repeat_with(|| fastrand::char('a'..='z'))
        .take(20_000)
        .collect();
    let commits = (0..30).map(|n| {
        let key = if n == 7 {
            random.clone()
        } else {
            n.to_string()
        };
        let changes = Changes {
            processed: mark(&key),
            events: vec![event(n)],
            ..Changes::default()
        };
        let store = Dyn::clone(&store);
        async move { (n, store.commit(changes).await) }
    });
    for (n, result) in futures_util::future::join_all(commits).await {
        match n {
            7 => assert!(matches!(result, Err(CommitError::Refused(_))), "{result:?}"),
            _ => assert!(result.is_ok(), "{n}: {result:?}"),
        }
    }
    assert_eq!(store.events(0, 100).await.unwrap().len(), 29);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_read_never_keeps_a_lease_from_being_renewed() {
    let url = empty().await;
    let options = PostgresOptions {
        desk_connections: 2,
        acquire_timeout: Duration::from_millis(500),
        lock_timeout: Duration::from_secs(2),
        ..PostgresOptions::default()
    };
    let store = connect(&url, options).await;
    let fence = lease(&store, "timers").await;
    let mut other = beside(&url).await;
    let holding = other.transaction().await.unwrap();
    holding
        .batch_execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();

    let filter = ConversationFilter {
        limit: 10,
        ..ConversationFilter::default()
    };
    let slow = futures_util::future::join_all((0..10).map(|_| store.conversations(&filter)));
    let duties = async {
        let begun = Instant::now();
        for n in 0..20 {
            store
                .renew(std::slice::from_ref(&fence), LONG)
                .await
                .unwrap();
            store
                .beat(&InstanceId::new(), "router", LONG)
                .await
                .unwrap();
            let changes = Changes {
                fences: vec![fence.clone()],
                processed: mark(&n.to_string()),
                ..Changes::default()
            };
            store.commit(changes).await.unwrap();
            let want = Want {
                processed: mark("1"),
                ..Want::default()
            };
            store.facts(&want).await.unwrap();
        }
        begun.elapsed()
    };
    let (read, took) = tokio::join!(slow, duties);
    assert!(took < Duration::from_secs(2), "{took:?}");
    let refused = read.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused, 10, "those waited, and were told");
    holding.rollback().await.unwrap();
    store.conversations(&filter).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stops_in_a_transaction_loses_its_lease_in_the_end() {
    let url = empty().await;
    let store = connect(&url, PostgresOptions::default()).await;
    let ttl = Duration::from_millis(50);
    let me = InstanceId::new();
    store.lease("timers", &me, ttl).await.unwrap().unwrap();
    // What a commit of that process holds while it is stopped; the store sets the same bound.
    let mut stopped = beside(&url).await;
    stopped
        .batch_execute("SET idle_in_transaction_session_timeout = '700ms'")
        .await
        .unwrap();
    let transaction = stopped.transaction().await.unwrap();
    transaction
        .query("SELECT 1 FROM lease FOR SHARE", &[])
        .await
        .unwrap();

    let them = InstanceId::new();
    let taken = crate::world::until("the lease is free", async || {
        store.lease("timers", &them, LONG).await.ok().flatten()
    })
    .await;
    assert_eq!(taken.epoch, 2);
    transaction.commit().await.unwrap_err();
}
