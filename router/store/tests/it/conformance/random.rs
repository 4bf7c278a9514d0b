//! Random changes, good and bad, from several writers at once: the numbers stay whole.

use std::collections::BTreeMap;

use patchbay_message::{MessageId, ThreadId};
use patchbay_store::{
    Changes, ConversationState, ConversationUpdate, LaneDone, MessagePage, Park, ThreadUpdate, Want,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::world::{Dyn, Talk, event, inbound, now, outbound, talk, web};

/// One step of a writer: it loads, decides and commits, as the router and the sinks do, but may
/// decide on what it loaded a step before.
#[derive(Debug, Clone)]
enum Step {
    /// Something said, either way, with the next numbers.
    Say { stale: bool, ours: bool },
    /// The lane moves on by so much.
    Perform { by: u64 },
    /// A number of the lane is parked.
    Park { ahead: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        3 => (any::<bool>(), any::<bool>()).prop_map(|(stale, ours)| Step::Say { stale, ours }),
        2 => (0..3_u64).prop_map(|by| Step::Perform { by }),
        1 => (0..3_u64).prop_map(|ahead| Step::Park { ahead }),
    ];
    prop::collection::vec(prop::collection::vec(step, 1..8), 1..5)
}

pub(crate) async fn changes_keep_the_numbers_whole(store: &Dyn) {
    let runtime = tokio::runtime::Handle::current();
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let case = std::cell::Cell::new(0);
    tokio::task::block_in_place(|| {
        runner
            .run(&steps(), |writers| {
                case.set(case.get() + 1);
                runtime.block_on(play(store, &format!("visitor{}", case.get()), writers));
                Ok(())
            })
            .unwrap();
    });
}

async fn play(store: &Dyn, name: &str, writers: Vec<Vec<Step>>) {
    let talk = talk(store, name, ConversationState::Open).await;
    let tasks = writers.into_iter().map(|steps| {
        let (store, address) = (Dyn::clone(store), talk.thread.address.clone());
        tokio::spawn(async move {
            let mut before = None;
            for step in steps {
                before = Some(take(&store, &address, &step, before).await);
            }
        })
    });
    for task in futures_util::future::join_all(tasks).await {
        task.unwrap();
    }
    whole(store, &talk).await;
}

/// Takes one step; what a Conflict refuses is part of the game. Answers what it loaded.
async fn take(
    store: &Dyn,
    address: &str,
    step: &Step,
    before: Option<patchbay_store::Facts>,
) -> patchbay_store::Facts {
    let want = Want {
        addresses: vec![(web(), address.to_owned())],
        ..Want::default()
    };
    let fresh = store.facts(&want).await.unwrap();
    let facts = match (step, before) {
        (Step::Say { stale: true, .. }, Some(before)) => before,
        _ => fresh,
    };
    let thread = facts.threads.values().next().unwrap().id;
    let changes = match step {
        Step::Say { ours, .. } => say(&facts, *ours),
        Step::Perform { by } => Changes {
            lanes_done: vec![LaneDone {
                lane: thread,
                out_seq: done(store, thread).await + by,
            }],
            ..Changes::default()
        },
        Step::Park { ahead } => park(thread, done(store, thread).await + ahead),
    };
    // Err: somebody was first, or the number was not the next one.
    let _ = store.commit(changes).await;
    facts
}

async fn done(store: &Dyn, lane: ThreadId) -> u64 {
    store.lanes(&[lane]).await.unwrap()[0].done
}

fn say(facts: &patchbay_store::Facts, ours: bool) -> Changes {
    let thread = facts.threads.values().next().unwrap();
    let mut row = facts.conversations[&facts.current[&thread.id]].clone();
    row.last_pos += 1;
    let (seq, out_seq) = (thread.last_seq + 1, thread.last_out_seq + u64::from(ours));
    let mut message = inbound(&row, seq);
    if ours {
        message = outbound(&row, seq);
        message.out_seq = Some(out_seq);
    }
    message.pos = row.last_pos;
    Changes {
        events: vec![event(seq)],
        messages: vec![message],
        thread_updates: vec![ThreadUpdate {
            id: thread.id,
            version: thread.version,
            last_seq: seq,
            last_out_seq: out_seq,
            verified: false,
        }],
        conversation_updates: vec![ConversationUpdate {
            row,
            from: ConversationState::Open,
        }],
        ..Changes::default()
    }
}

fn park(lane: ThreadId, out_seq: u64) -> Changes {
    let at = now();
    Changes {
        park: vec![Park {
            id: MessageId::new(),
            lane,
            out_seq,
            shard: 9,
            channel: web(),
            due: at,
            reason: "retry",
            detail: None,
            attempts: 1,
            envelope: "{}".into(),
        }],
        ..Changes::default()
    }
}

/// What must hold whatever happened.
async fn whole(store: &Dyn, talk: &Talk) {
    let thread = store
        .thread(&web(), &talk.thread.address)
        .await
        .unwrap()
        .unwrap();
    let view = store
        .conversation(talk.conversation.id)
        .await
        .unwrap()
        .unwrap();
    let rows = store
        .messages(talk.conversation.id, MessagePage::After(0, 1000))
        .await
        .unwrap();
    let count = rows.len() as u64;
    assert_eq!(thread.last_seq, count, "as many numbers as messages");
    assert_eq!(view.conversation.last_pos, count);
    assert_eq!(thread.version, i64::try_from(count).unwrap());
    for (row, n) in rows.iter().zip(1..) {
        assert_eq!(
            (row.pos, row.thread_seq),
            (n, Some(n)),
            "gapless and unique"
        );
    }
    let ours: Vec<_> = rows.iter().filter_map(|row| row.out_seq).collect();
    let expected: Vec<_> = (1..=thread.last_out_seq).collect();
    assert_eq!(ours, expected, "the lane's numbers too, in the same order");

    let lane = &store.lanes(&[talk.thread.id]).await.unwrap()[0];
    let parked = store.parked(talk.thread.id, 100).await.unwrap();
    let by_number: BTreeMap<_, _> = parked.iter().map(|row| (row.out_seq, row.id)).collect();
    assert_eq!(by_number.len(), parked.len(), "a number is parked once");
    assert!(
        by_number.keys().all(|n| *n > lane.done),
        "nothing done is parked"
    );
    let due = store.due(9, now(), 1000).await.unwrap();
    let of_lane: Vec<_> = due.iter().filter(|row| row.lane == lane.lane).collect();
    let next: Vec<_> = parked
        .iter()
        .filter(|row| row.out_seq == lane.done + 1)
        .collect();
    assert_eq!(of_lane, next, "the next number is due, and only that");
}
