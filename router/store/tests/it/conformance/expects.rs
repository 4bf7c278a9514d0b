//! Answers that are waited for, and what is said if they do not come.

use std::time::Duration;

use patchbay_message::{MessageId, ReceiptState, Time};
use patchbay_store::{
    Changes, Committed, ConversationState, Expect, MessageRow, ReceiptWord, Want,
};

use crate::world::{Dyn, now, outbound, talk, web};

/// One outbound message, its parts sent under these ids.
async fn sent(store: &Dyn, ids: &[&str]) -> MessageRow {
    let talk = talk(store, "press-7", ConversationState::Resolved).await;
    let row = outbound(&talk.conversation, 1);
    let parts = ids.iter().zip(0..);
    let changes = Changes {
        messages: vec![row.clone()],
        sent: parts
            .map(|(id, part)| (web(), (*id).to_owned(), row.id, part))
            .collect(),
        receipts: ids.iter().map(|id| word(id, ReceiptState::Sent)).collect(),
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    row
}

fn word(external_id: &str, state: ReceiptState) -> ReceiptWord {
    ReceiptWord {
        channel: web(),
        external_id: Some(external_id.to_owned()),
        message: None,
        state,
        reason: None,
        at: now(),
        attempts: None,
        overdue: false,
    }
}

fn overdue(external_id: &str, state: ReceiptState, at: Time) -> ReceiptWord {
    ReceiptWord {
        at,
        overdue: true,
        ..word(external_id, state)
    }
}

fn expect(external_id: &str, due: Time, or_else: ReceiptState) -> Expect {
    Expect {
        channel: web(),
        external_id: external_id.to_owned(),
        due,
        or_else,
    }
}

async fn say(store: &Dyn, words: Vec<ReceiptWord>) -> Committed {
    let changes = Changes {
        receipts: words,
        ..Changes::default()
    };
    store.commit(changes).await.unwrap()
}

async fn wait(store: &Dyn, rows: Vec<Expect>) {
    let changes = Changes {
        expects: rows,
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
}

async fn due(store: &Dyn, until: Time) -> Vec<Expect> {
    let want = Want {
        overdue_until: Some(until),
        ..Want::default()
    };
    store.facts(&want).await.unwrap().overdue
}

async fn state(store: &Dyn, id: MessageId) -> ReceiptState {
    store.message(id).await.unwrap().unwrap().state.unwrap()
}

fn in_seconds(seconds: u64) -> Time {
    now().plus(Duration::from_secs(seconds))
}

pub(crate) async fn are_overdue_by_their_time(store: &Dyn) {
    let begun = now();
    let at = |seconds| begun.plus(Duration::from_secs(seconds));
    let (first, second) = (
        expect("b", at(5), ReceiptState::Unknown),
        expect("a", at(10), ReceiptState::Expired),
    );
    let third = expect("c", at(11), ReceiptState::Expired);
    wait(store, vec![second.clone(), first.clone(), third]).await;
    assert_eq!(due(store, at(4)).await, []);
    assert_eq!(due(store, at(10)).await, [first, second.clone()]);

    let again = expect("b", at(20), ReceiptState::Expired);
    wait(store, vec![again.clone()]).await;
    assert_eq!(due(store, at(10)).await, [second], "the newer word counts");
    assert_eq!(due(store, at(20)).await.last(), Some(&again));
}

pub(crate) async fn end_with_the_answer(store: &Dyn) {
    let far = in_seconds(600);
    let mut n = 0;
    for (state, ends) in [
        (ReceiptState::Accepted, false),
        (ReceiptState::Sent, false),
        (ReceiptState::Unknown, false),
        (ReceiptState::Failed, true),
        (ReceiptState::Expired, true),
        (ReceiptState::Delivered, true),
        (ReceiptState::Read, true),
    ] {
        n += 1;
        let id = format!("x{n}");
        wait(store, vec![expect(&id, far, ReceiptState::Expired)]).await;
        say(store, vec![word(&id, state.clone())]).await;
        assert_eq!(due(store, far).await.is_empty(), ends, "{state}");
        say(store, vec![word(&id, ReceiptState::Delivered)]).await;
        assert_eq!(due(store, far).await, []);
    }
}

/// What is said of the whole message is said of each of its parts.
pub(crate) async fn end_with_a_word_on_the_message(store: &Dyn) {
    let row = sent(store, &["p0", "p1"]).await;
    let far = in_seconds(600);
    let other = expect("other", far, ReceiptState::Expired);
    let of_it = ["p0", "p1"].map(|id| expect(id, far, ReceiptState::Expired));
    wait(store, [&of_it[..], std::slice::from_ref(&other)].concat()).await;
    let own = |state| ReceiptWord {
        external_id: None,
        message: Some(row.id),
        ..word("", state)
    };
    say(store, vec![own(ReceiptState::Sent)]).await;
    assert_eq!(due(store, far).await.len(), 3);
    say(store, vec![own(ReceiptState::Delivered)]).await;
    assert_eq!(due(store, far).await, [other]);
}

pub(crate) async fn are_not_begun_after_the_answer(store: &Dyn) {
    let far = in_seconds(600);
    let late = |id: &str| vec![expect(id, far, ReceiptState::Expired)];
    say(store, vec![word("early", ReceiptState::Failed)]).await;
    wait(store, late("early")).await;
    assert_eq!(due(store, far).await, [], "the answer was faster");

    let row = sent(store, &["x"]).await;
    let own = ReceiptWord {
        external_id: None,
        message: Some(row.id),
        ..word("", ReceiptState::Delivered)
    };
    say(store, vec![own]).await;
    wait(store, late("x")).await;
    assert_eq!(due(store, far).await, [], "also one on the whole message");

    let at_once = Changes {
        expects: late("both"),
        receipts: vec![word("both", ReceiptState::Delivered)],
        ..Changes::default()
    };
    store.commit(at_once).await.unwrap();
    assert_eq!(due(store, far).await, [], "in one commit too");
}

pub(crate) async fn overdue_takes_the_place_of_sent(store: &Dyn) {
    for or_else in [ReceiptState::Unknown, ReceiptState::Expired] {
        let id = or_else.as_str().to_owned();
        let talk = talk(store, &id, ConversationState::Resolved).await;
        let row = outbound(&talk.conversation, 1);
        let at = now();
        let changes = Changes {
            messages: vec![row.clone()],
            sent: vec![(web(), id.clone(), row.id, 0)],
            receipts: vec![word(&id, ReceiptState::Sent)],
            expects: vec![expect(&id, at, or_else.clone())],
            ..Changes::default()
        };
        store.commit(changes).await.unwrap();
        let plain = say(store, vec![word(&id, ReceiptState::Unknown)]).await;
        assert_eq!(plain.delivered, [], "by itself it is no news");
        assert_eq!(due(store, at).await.len(), 1);

        let said = ReceiptWord {
            reason: Some("no answer".to_owned()),
            ..overdue(&id, or_else.clone(), at)
        };
        let committed = say(store, vec![said.clone()]).await;
        assert_eq!(committed.delivered, [(row.id, or_else.clone())]);
        assert!(committed.last_event > 0);
        let found = store.message(row.id).await.unwrap().unwrap();
        assert_eq!(found.state, Some(or_else));
        assert_eq!(found.reason.as_deref(), Some("no answer"));
        assert_eq!(due(store, at).await, [], "it is said once");
    }
}

pub(crate) async fn overdue_leaves_an_answer_alone(store: &Dyn) {
    let row = sent(store, &["x"]).await;
    let at = now();
    wait(store, vec![expect("x", at, ReceiptState::Unknown)]).await;
    say(store, vec![word("x", ReceiptState::Failed)]).await;
    let committed = say(store, vec![overdue("x", ReceiptState::Unknown, at)]).await;
    assert_eq!(committed, Committed::default());
    assert_eq!(state(store, row.id).await, ReceiptState::Failed);
}

/// It was decided before the message went out once more.
pub(crate) async fn overdue_is_ignored_if_it_is_waited_longer(store: &Dyn) {
    let row = sent(store, &["x"]).await;
    let (first, second) = (now(), in_seconds(30));
    wait(store, vec![expect("x", first, ReceiptState::Unknown)]).await;
    let longer = expect("x", second, ReceiptState::Unknown);
    wait(store, vec![longer.clone()]).await;
    let early = say(store, vec![overdue("x", ReceiptState::Unknown, first)]).await;
    assert_eq!(early, Committed::default());
    assert_eq!(due(store, second).await, [longer]);
    say(store, vec![overdue("x", ReceiptState::Unknown, second)]).await;
    assert_eq!(state(store, row.id).await, ReceiptState::Unknown);
    assert_eq!(due(store, second).await, []);
}

pub(crate) async fn late_answers_are_heard(store: &Dyn) {
    let row = sent(store, &["x"]).await;
    say(store, vec![overdue("x", ReceiptState::Unknown, now())]).await;
    let failed = say(store, vec![word("x", ReceiptState::Failed)]).await;
    assert_eq!(failed.delivered, [(row.id, ReceiptState::Failed)]);
    let again = say(store, vec![overdue("x", ReceiptState::Unknown, now())]).await;
    assert_eq!(again.delivered, []);
    let done = say(store, vec![word("x", ReceiptState::Delivered)]).await;
    assert_eq!(done.delivered, [(row.id, ReceiptState::Delivered)]);
}

pub(crate) async fn of_parts_add_up(store: &Dyn) {
    let row = sent(store, &["p0", "p1"]).await;
    let answered = say(store, vec![word("p0", ReceiptState::Delivered)]).await;
    assert_eq!(answered.delivered, [], "the other part is on its way");
    let missing = say(store, vec![overdue("p1", ReceiptState::Unknown, now())]).await;
    assert_eq!(missing.delivered, [(row.id, ReceiptState::Unknown)]);
    let late = say(store, vec![word("p1", ReceiptState::Read)]).await;
    assert_eq!(late.delivered, [(row.id, ReceiptState::Delivered)]);
}
