//! What is loaded before deciding.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use patchbay_message::{ConversationId, MessageId, TicketId};
use patchbay_store::{
    Changes, Conversation, ConversationState, ConversationUpdate, Cursor, Facts, ThreadUpdate, Want,
};

use crate::world::{
    Dyn, Talk, agent, conversation, device, group, now, opened, talk, talk_with, ticket, web,
};

pub(crate) async fn of_an_address(store: &Dyn) {
    let ada = talk(store, "ada", ConversationState::Closed).await;
    let bob = talk(store, "bob", ConversationState::Resolved).await;
    let newer = Conversation {
        created_at: now().plus(Duration::from_secs(1)),
        ..conversation(&bob.thread, ConversationState::Open)
    };
    let again = Changes {
        conversations: vec![newer.clone()],
        ..Changes::default()
    };
    store.commit(again).await.unwrap();

    let key = |talk: &Talk| (web(), talk.thread.address.clone());
    let want = Want {
        addresses: vec![key(&ada), key(&bob), (web(), "nobody".to_owned())],
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert_eq!(facts.threads.len(), 2);
    assert_eq!(facts.threads[&key(&ada)], ada.thread);
    assert_eq!(facts.contacts[&ada.contact.id], ada.contact);
    assert_eq!(facts.contacts[&bob.contact.id], bob.contact);
    assert!(
        !facts.current.contains_key(&ada.thread.id),
        "a closed one is not current"
    );
    assert_eq!(
        facts.current[&bob.thread.id], newer.id,
        "the newest that is not closed"
    );
    assert_eq!(facts.conversations[&newer.id], newer);
}

pub(crate) async fn of_a_conversation(store: &Dyn) {
    let closed = talk(store, "ada", ConversationState::Closed).await;
    let want = Want {
        conversations: vec![closed.conversation.id, ConversationId::new()],
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    let key = (web(), closed.thread.address.clone());
    let expected = Facts {
        threads: [(key, closed.thread)].into(),
        contacts: [(closed.contact.id, closed.contact)].into(),
        conversations: [(closed.conversation.id, closed.conversation)].into(),
        ..Facts::default()
    };
    assert_eq!(facts, expected);
}

pub(crate) async fn asked_together_are_told_apart(store: &Dyn) {
    let ada = talk(store, "ada", ConversationState::Open).await;
    let bob = talk(store, "bob", ConversationState::Closed).await;
    agent(store, "Eve", 3).await;
    let press = opened(store, ticket(&ada, "E1")).await;
    opened(store, ticket(&bob, "E1")).await;
    let mark = ("inbound".to_owned(), "m1".to_owned());
    let key = ("web:m1".to_owned(), MessageId::new());
    let marks = Changes {
        processed: vec![mark.clone()],
        dedupe: vec![key.clone()],
        devices: vec![device(&ada), device(&bob)],
        ..Changes::default()
    };
    let fault = |of: &Talk, code: &str| (web(), of.thread.address.clone(), code.to_owned());
    store.commit(marks).await.unwrap();
    let address = |talk: &Talk| vec![(web(), talk.thread.address.clone())];
    let wants = [
        Want {
            addresses: address(&ada),
            desk: true,
            ..Want::default()
        },
        Want {
            addresses: address(&bob),
            dedupe: vec![key.0, "web:none".to_owned()],
            ..Want::default()
        },
        Want {
            conversations: vec![bob.conversation.id, ConversationId::new()],
            processed: vec![mark, ("inbound".to_owned(), "none".to_owned())],
            ..Want::default()
        },
        Want {
            conversations: vec![ada.conversation.id],
            tickets: vec![press.id, TicketId::new()],
            ..Want::default()
        },
        Want {
            devices: vec![bob.thread.id],
            faults: vec![fault(&bob, "E1"), fault(&bob, "E2")],
            ..Want::default()
        },
        Want {
            devices: vec![ada.thread.id],
            faults: vec![fault(&ada, "E1")],
            ..Want::default()
        },
    ];
    let mut alone = Vec::new();
    for want in &wants {
        alone.push(store.facts(want).await.unwrap());
    }
    for _ in 0..8 {
        let together = join_all(wants.iter().map(|want| store.facts(want))).await;
        let together: Vec<Facts> = together.into_iter().map(Result::unwrap).collect();
        assert_eq!(together, alone);
    }
}

pub(crate) async fn of_the_desk(store: &Dyn) {
    let ada = agent(store, "Ada", 3).await;
    let sales = group(store, "Sales", &[ada]).await;
    let want = Want {
        desk: true,
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert_eq!(facts.agents[&ada].groups, [sales]);
    assert_eq!(facts.groups[&sales].members, [ada]);
    assert_eq!((facts.agents.len(), facts.groups.len()), (1, 1));
}

pub(crate) async fn who_waits_oldest_first(store: &Dyn) {
    let begun = now();
    let since = |seconds| Some(begun.plus(Duration::from_secs(seconds)));
    let waits = async |name: &str, state, seconds| {
        let talk = talk_with(store, name, state, |row| row.waiting_since = since(seconds)).await;
        talk.conversation.id
    };
    let third = waits("c", ConversationState::Waiting, 30).await;
    let first = waits("a", ConversationState::New, 10).await;
    let second = waits("b", ConversationState::Waiting, 20).await;
    waits("d", ConversationState::Open, 5).await;
    let want = |waiting| Want {
        waiting,
        ..Want::default()
    };
    let ids = async |n| -> Vec<ConversationId> {
        let facts = store.facts(&want(n)).await.unwrap();
        facts.waiting.iter().map(|row| row.id).collect()
    };
    assert_eq!(ids(10).await, [first, second, third]);
    let rest = Want {
        waiting_after: Some(Cursor {
            at: begun.plus(Duration::from_secs(10)),
            id: first.0,
        }),
        ..want(10)
    };
    let facts = store.facts(&rest).await.unwrap();
    assert_eq!(
        facts.waiting.len(),
        2,
        "the next page begins behind its cursor"
    );
    assert_eq!(facts.waiting[0].id, second);
    assert_eq!(ids(2).await, [first, second]);
    assert_eq!(ids(0).await, []);
}

pub(crate) async fn whose_snooze_has_ended(store: &Dyn) {
    let begun = now();
    let until = |seconds| begun.plus(Duration::from_secs(seconds));
    let snooze = async |name: &str, state, seconds| {
        let change = |row: &mut Conversation| row.snoozed_until = Some(until(seconds));
        talk_with(store, name, state, change).await.conversation.id
    };
    let ends = snooze("a", ConversationState::Snoozed, 10).await;
    snooze("b", ConversationState::Snoozed, 11).await;
    snooze("c", ConversationState::Open, 5).await;
    let want = Want {
        snoozed_until: Some(until(10)),
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert_eq!(
        facts.woken.iter().map(|row| row.id).collect::<Vec<_>>(),
        [ends]
    );
}

/// A writer moves a thread and its conversation together; whoever loads both sees both moved.
pub(crate) async fn from_one_point_in_time(store: &Dyn) {
    let talk = talk(store, "ada", ConversationState::Open).await;
    let ended = Arc::new(AtomicBool::new(false));
    let (writer, mut row, thread) = (Dyn::clone(store), talk.conversation.clone(), talk.thread.id);
    let end = Arc::clone(&ended);
    let writing = tokio::spawn(async move {
        for n in 1..=200 {
            row.last_pos = n;
            let changes = Changes {
                thread_updates: vec![ThreadUpdate {
                    id: thread,
                    version: row.version,
                    last_seq: n,
                    last_out_seq: 0,
                    verified: false,
                }],
                conversation_updates: vec![ConversationUpdate {
                    row: row.clone(),
                    from: ConversationState::Open,
                }],
                ..Changes::default()
            };
            writer.commit(changes).await.unwrap();
            row.version += 1;
        }
        end.store(true, Ordering::SeqCst);
    });
    let want = Want {
        addresses: vec![(web(), talk.thread.address.clone())],
        ..Want::default()
    };
    while !ended.load(Ordering::SeqCst) {
        let facts = store.facts(&want).await.unwrap();
        let thread = facts.threads.values().next().unwrap();
        let row = &facts.conversations[&talk.conversation.id];
        assert_eq!(thread.last_seq, row.last_pos, "one moved without the other");
    }
    writing.await.unwrap();
}

pub(crate) async fn of_keys_no_row_can_have(store: &Dyn) {
    let want = Want {
        processed: vec![("a\0".to_owned(), "b\0".to_owned())],
        dedupe: vec!["a\0b".to_owned()],
        addresses: vec![(web(), "a\0b".to_owned())],
        ..Want::default()
    };
    assert_eq!(
        store.facts(&want).await.unwrap(),
        Facts::default(),
        "not found, and no error"
    );
    assert_eq!(store.thread(&web(), "a\0b").await.unwrap(), None);
}
