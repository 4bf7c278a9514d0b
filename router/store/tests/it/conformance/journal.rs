//! Commits: all or nothing, under fences.

use std::time::Duration;

use patchbay_message::{
    AgentId, CommandId, Content, InstanceId, MessageId, Outcome, OutcomeStatus,
};
use patchbay_store::{
    Changes, CommitError, Conversation, ConversationFilter, ConversationState, ConversationUpdate,
    Fence, MessageRow, OutboxRow, ThreadUpdate, Want,
};

use super::leases::until_taken;
use crate::world::{
    Dyn, contact, conversation, event, inbound, lease, outbound, race, talk, thread, web,
};

pub(crate) async fn all_of_a_commit_or_nothing(store: &Dyn) {
    let known = talk(store, "ada", ConversationState::New).await;
    let contact = contact("bob");
    let thread = thread(&contact, "bob@example");
    let fresh = conversation(&thread, ConversationState::New);
    let first = inbound(&known.conversation, 1);
    let changes = Changes {
        processed: vec![("inbound.g1.3".to_owned(), "m1".to_owned())],
        dedupe: vec![("web:1".to_owned(), first.id)],
        messages: vec![first.clone()],
        ..Changes::default()
    };
    store.commit(changes.clone()).await.unwrap();

    let repeat = Changes {
        processed: vec![
            ("inbound.g1.3".to_owned(), "m2".to_owned()),
            ("inbound.g1.3".to_owned(), "m1".to_owned()),
        ],
        contacts: vec![contact],
        threads: vec![thread.clone()],
        conversations: vec![fresh],
        ..Changes::default()
    };
    let refused = store.commit(repeat).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict(_)), "{refused}");

    let want = Want {
        processed: vec![
            ("inbound.g1.3".to_owned(), "m1".to_owned()),
            ("inbound.g1.3".to_owned(), "m2".to_owned()),
        ],
        dedupe: vec!["web:1".to_owned(), "web:2".to_owned()],
        addresses: vec![(thread.channel.clone(), thread.address.clone())],
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert_eq!(
        facts.processed,
        [("inbound.g1.3".to_owned(), "m1".to_owned())]
    );
    assert_eq!(facts.dedupe.get("web:1"), Some(&first.id));
    assert_eq!(facts.dedupe.len(), 1);
    assert!(
        facts.threads.is_empty(),
        "nothing of the refused commit is there"
    );
}

pub(crate) async fn a_stale_owner_changes_nothing(store: &Dyn) {
    let ttl = Duration::from_millis(100);
    let stalled = store
        .lease("inbound.3", &InstanceId::new(), ttl)
        .await
        .unwrap()
        .unwrap();
    let taken = until_taken(store, "inbound.3", &InstanceId::new()).await;

    let mark = |id: &str| vec![("inbound.g1.3".to_owned(), id.to_owned())];
    let late = Changes {
        fences: vec![stalled],
        processed: mark("late"),
        dedupe: vec![("key".to_owned(), MessageId::new())],
        ..Changes::default()
    };
    let fenced = store.commit(late).await.unwrap_err();
    assert_eq!(fenced, CommitError::Fenced("inbound.3".to_owned()));
    let want = Want {
        processed: mark("late"),
        dedupe: vec!["key".to_owned()],
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert!(facts.processed.is_empty() && facts.dedupe.is_empty());

    let current = Changes {
        fences: vec![taken],
        processed: mark("now"),
        ..Changes::default()
    };
    store.commit(current).await.expect("the new owner's commit");
}

pub(crate) async fn a_given_up_lease_fences(store: &Dyn) {
    let fence = lease(store, "inbound.3").await;
    store.release(std::slice::from_ref(&fence)).await.unwrap();
    let late = Changes {
        fences: vec![fence],
        ..Changes::default()
    };
    let refused = store.commit(late).await.unwrap_err();
    assert_eq!(refused, CommitError::Fenced("inbound.3".to_owned()));
    let unknown = Changes {
        fences: vec![Fence {
            name: "never.taken".to_owned(),
            epoch: 0,
        }],
        ..Changes::default()
    };
    let refused = store.commit(unknown).await.unwrap_err();
    assert_eq!(refused, CommitError::Fenced("never.taken".to_owned()));
}

pub(crate) async fn one_of_many_wins_a_thread(store: &Dyn) {
    let talk = talk(store, "ada", ConversationState::New).await;
    let update = |n: u64| ThreadUpdate {
        id: talk.thread.id,
        version: 0,
        last_seq: n,
        last_out_seq: n,
        verified: n == 7,
    };
    let commits = (1..=16).map(|n| Changes {
        thread_updates: vec![update(n)],
        events: vec![event(n)],
        ..Changes::default()
    });
    assert_eq!(race(store, commits.collect()).await, 1);

    let events = store.events(0, 100).await.unwrap();
    assert_eq!(events.len(), 1, "the losers left nothing behind");
    let winner = events[0].data["n"].as_u64().unwrap();
    let found = store
        .thread(&web(), &talk.thread.address)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.last_seq, found.last_out_seq, found.version),
        (winner, winner, 1)
    );

    let next = |version, verified| Changes {
        thread_updates: vec![ThreadUpdate {
            id: talk.thread.id,
            version,
            last_seq: 20,
            last_out_seq: 20,
            verified,
        }],
        ..Changes::default()
    };
    store.commit(next(1, true)).await.unwrap();
    store.commit(next(2, false)).await.unwrap();
    let found = store
        .thread(&web(), &talk.thread.address)
        .await
        .unwrap()
        .unwrap();
    assert!(found.verified, "once proven, an address stays proven");
}

pub(crate) async fn one_of_many_wins_a_conversation(store: &Dyn) {
    let talk = talk(store, "ada", ConversationState::Waiting).await;
    let assign = |agent| Changes {
        conversation_updates: vec![ConversationUpdate {
            row: Conversation {
                state: ConversationState::Open,
                agent_id: Some(agent),
                ..talk.conversation.clone()
            },
            from: ConversationState::Waiting,
        }],
        ..Changes::default()
    };
    let agents: Vec<AgentId> = (0..16).map(|_| AgentId::new()).collect();
    let commits = agents.iter().map(|agent| assign(*agent)).collect();
    assert_eq!(race(store, commits).await, 1);
    let found = store
        .conversation(talk.conversation.id)
        .await
        .unwrap()
        .unwrap()
        .conversation;
    assert_eq!(found.version, 1, "the version rises by one");
    assert!(agents.contains(&found.agent_id.unwrap()));

    let close_a_waiting_one = Changes {
        conversation_updates: vec![ConversationUpdate {
            row: Conversation {
                state: ConversationState::Closed,
                ..found.clone()
            },
            from: ConversationState::Waiting,
        }],
        ..Changes::default()
    };
    let refused = store.commit(close_a_waiting_one).await.unwrap_err();
    assert!(
        matches!(refused, CommitError::Conflict(_)),
        "it is not waiting: {refused}"
    );
}

pub(crate) async fn one_of_many_wins_an_address(store: &Dyn) {
    let commits = (0..16).map(|_| {
        let contact = contact("ada");
        let thread = thread(&contact, "ada@example");
        Changes {
            conversations: vec![conversation(&thread, ConversationState::New)],
            contacts: vec![contact],
            threads: vec![thread],
            ..Changes::default()
        }
    });
    assert_eq!(race(store, commits.collect()).await, 1);
    let filter = ConversationFilter {
        limit: 50,
        ..ConversationFilter::default()
    };
    assert_eq!(store.conversations(&filter).await.unwrap().items.len(), 1);
}

pub(crate) async fn one_of_many_wins_a_dedupe_key(store: &Dyn) {
    let ids: Vec<MessageId> = (0..16).map(|_| MessageId::new()).collect();
    let commits = ids.iter().map(|id| Changes {
        dedupe: vec![("web:1".to_owned(), *id)],
        ..Changes::default()
    });
    assert_eq!(race(store, commits.collect()).await, 1);
    let want = Want {
        dedupe: vec!["web:1".to_owned()],
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert!(ids.contains(&facts.dedupe["web:1"]));
}

/// Good, conflicting, fenced and impossible commits at once: each gets its own answer.
pub(crate) async fn a_failing_commit_harms_no_other(store: &Dyn) {
    let mark = |n: usize| ("inbound.g1.0".to_owned(), format!("m{n}"));
    let taken = Changes {
        processed: vec![mark(0)],
        ..Changes::default()
    };
    store.commit(taken).await.unwrap();
    let tasks = (1..=200).map(|n| {
        let mut changes = Changes {
            processed: vec![mark(n)],
            events: vec![event(n as u64)],
            ..Changes::default()
        };
        match n % 4 {
            1 => changes.processed.push(mark(0)),
            2 => changes.fences.push(Fence {
                name: "nobody's".to_owned(),
                epoch: 1,
            }),
            3 => changes.events[0].data = serde_json::json!("x".repeat(9000)),
            _ => {}
        }
        let store = Dyn::clone(store);
        tokio::spawn(async move { (n, store.commit(changes).await) })
    });
    for task in futures_util::future::join_all(tasks).await {
        let (n, answer) = task.unwrap();
        let as_it_should = match n % 4 {
            1 => matches!(answer, Err(CommitError::Conflict(_))),
            2 => matches!(answer, Err(CommitError::Fenced(_))),
            3 => matches!(answer, Err(CommitError::Refused(_))),
            _ => answer.is_ok(),
        };
        assert!(as_it_should, "commit {n}: {answer:?}");
    }
    let want = Want {
        processed: (1..=200).map(mark).collect(),
        ..Want::default()
    };
    let mut found = store.facts(&want).await.unwrap().processed;
    found.sort();
    let mut good: Vec<_> = (1..=200).filter(|n| n % 4 == 0).map(mark).collect();
    good.sort();
    assert_eq!(found, good, "exactly the good ones are there");
    assert_eq!(store.events(0, 1000).await.unwrap().len(), good.len());
}

pub(crate) async fn rows_that_never_fit_are_refused(store: &Dyn) {
    let talk = talk(store, "ada", ConversationState::New).await;
    let with_nul = thread(&talk.contact, "a\0b");
    let too_large = inbound(&talk.conversation, u64::MAX);
    let mut too_long = inbound(&talk.conversation, 1);
    too_long.content = vec![Content::text("x".repeat(2 * 1024 * 1024))];
    let bad = [
        Changes {
            threads: vec![with_nul],
            ..Changes::default()
        },
        Changes {
            messages: vec![too_large],
            ..Changes::default()
        },
        Changes {
            messages: vec![too_long],
            ..Changes::default()
        },
    ];
    for changes in bad {
        let refused = store.commit(changes).await.unwrap_err();
        assert!(matches!(refused, CommitError::Refused(_)), "{refused}");
    }
    // In a text that somebody typed it does no harm.
    let mut odd = inbound(&talk.conversation, 1);
    odd.content = vec![Content::text("a\0b")];
    odd.expires_at = Some(odd.at.plus(Duration::from_secs(60)));
    let changes = Changes {
        messages: vec![odd.clone()],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    assert_eq!(store.message(odd.id).await.unwrap(), Some(odd));
}

pub(crate) async fn numbers_of_messages_are_taken_once(store: &Dyn) {
    let talk = talk(store, "ada", ConversationState::Open).await;
    let first = outbound(&talk.conversation, 1);
    let commit = |row: MessageRow| {
        store.commit(Changes {
            messages: vec![row],
            ..Changes::default()
        })
    };
    commit(first.clone()).await.unwrap();
    let next = outbound(&talk.conversation, 2);
    let taken = [
        MessageRow {
            pos: 1,
            ..next.clone()
        },
        MessageRow {
            thread_seq: Some(1),
            ..next.clone()
        },
        MessageRow {
            out_seq: Some(1),
            ..next.clone()
        },
        MessageRow {
            id: first.id,
            ..next.clone()
        },
    ];
    for row in taken {
        let refused = commit(row).await.unwrap_err();
        assert!(matches!(refused, CommitError::Conflict(_)), "{refused}");
    }
    commit(next.clone()).await.unwrap();
    assert_eq!(
        store.history(talk.thread.id, 0, 10).await.unwrap(),
        [first, next]
    );
}

pub(crate) async fn the_first_outcome_stands(store: &Dyn) {
    let command = CommandId::new();
    let outcome = |status, detail: &str| Outcome {
        command_id: command,
        status,
        code: None,
        detail: Some(detail.to_owned()),
        message_id: Some(MessageId::new()),
        version: Some(4),
    };
    let first = outcome(OutcomeStatus::Done, "first");
    let second = outcome(OutcomeStatus::Refused, "second");
    assert_eq!(store.outcome(command).await.unwrap(), None);
    for outcome in [&first, &second] {
        let changes = Changes {
            outcomes: vec![outcome.clone()],
            ..Changes::default()
        };
        store.commit(changes).await.unwrap();
    }
    assert_eq!(store.outcome(command).await.unwrap(), Some(first.clone()));
    let want = Want {
        commands: vec![command, CommandId::new()],
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert_eq!(
        facts.outcomes.into_iter().collect::<Vec<_>>(),
        [(command, first)]
    );
}

pub(crate) async fn outbox_numbers_rise_and_outlive_their_rows(store: &Dyn) {
    let row = |seq: u64| OutboxRow {
        partition: "inbound.3".to_owned(),
        seq,
        shard: 5,
        id: MessageId::new(),
        envelope: format!("{{\"n\":{seq}}}").into(),
    };
    let rows: Vec<_> = (1..=5).map(row).collect();
    let written = Changes {
        outbox: rows.clone(),
        ..Changes::default()
    };
    store.commit(written).await.unwrap();
    assert_eq!(store.outbox("inbound.3", 0, 10).await.unwrap(), rows);
    assert_eq!(store.outbox("inbound.3", 2, 2).await.unwrap(), rows[2..4]);
    assert_eq!(store.outbox("inbound.4", 0, 10).await.unwrap(), []);

    let relayed = Changes {
        outbox_done: vec![("inbound.3".to_owned(), 5)],
        ..Changes::default()
    };
    store.commit(relayed).await.unwrap();
    assert_eq!(store.outbox("inbound.3", 0, 10).await.unwrap(), []);
    let want = |partition: &str| Want {
        outbox: Some(partition.to_owned()),
        ..Want::default()
    };
    assert_eq!(store.facts(&want("inbound.3")).await.unwrap().outbox_seq, 5);
    assert_eq!(store.facts(&want("inbound.4")).await.unwrap().outbox_seq, 0);

    let again = Changes {
        outbox: vec![row(5)],
        ..Changes::default()
    };
    let refused = store.commit(again).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict(_)), "{refused}");
}
