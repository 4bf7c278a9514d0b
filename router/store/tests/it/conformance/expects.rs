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
        fallback: false,
    }
}

/// One of those that know least.
fn fallback(external_id: &str, due: Time) -> Expect {
    Expect {
        fallback: true,
        ..expect(external_id, due, ReceiptState::Expired)
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

/// Whoever found it overdue was slower than what ended the wait.
pub(crate) async fn overdue_is_ignored_if_it_is_waited_no_more(store: &Dyn) {
    let row = sent(store, &["x"]).await;
    let at = now();
    let late = say(store, vec![overdue("x", ReceiptState::Expired, at)]).await;
    assert_eq!(late, Committed::default());
    assert_eq!(state(store, row.id).await, ReceiptState::Sent);
    // Also one that is ended by the commit before it in the same breath.
    let talk = talk(store, "press-8", ConversationState::Resolved).await;
    let row = outbound(&talk.conversation, 1);
    let changes = Changes {
        messages: vec![row.clone()],
        sent: vec![(web(), "y".to_owned(), row.id, 0)],
        expects: vec![fallback("y", at)],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let own = ReceiptWord {
        external_id: None,
        message: Some(row.id),
        ..word("", ReceiptState::Sent)
    };
    let said = say(store, vec![own, overdue("y", ReceiptState::Expired, at)]).await;
    assert_eq!(said.delivered, [(row.id, ReceiptState::Sent)]);
}

pub(crate) async fn fallbacks_give_way_whichever_comes_first(store: &Dyn) {
    let (soon, far) = (in_seconds(30), in_seconds(600));
    let better = expect("x", soon, ReceiptState::Unknown);
    wait(store, vec![better.clone()]).await;
    wait(store, vec![fallback("x", far)]).await;
    assert_eq!(due(store, far).await, [better], "the fallback was later");

    let later = expect("y", far, ReceiptState::Unknown);
    wait(store, vec![fallback("y", soon)]).await;
    wait(store, vec![later.clone()]).await;
    assert_eq!(due(store, soon).await.len(), 1, "the fallback was first");
    assert_eq!(due(store, far).await.last(), Some(&later));

    let both = vec![expect("z", far, ReceiptState::Unknown), fallback("z", soon)];
    wait(store, both).await;
    assert_eq!(due(store, soon).await.len(), 1, "in one commit too");

    let newer = fallback("u", far);
    wait(store, vec![fallback("u", soon)]).await;
    wait(store, vec![newer.clone()]).await;
    assert_eq!(due(store, far).await.len(), 4);
    assert!(due(store, far).await.contains(&newer), "among themselves");
}

/// A fallback is over once it is known that the message went out; what knows better is not.
pub(crate) async fn fallbacks_end_with_sent(store: &Dyn) {
    let far = in_seconds(600);
    for (n, (state, ends)) in [
        (ReceiptState::Unknown, false),
        (ReceiptState::Accepted, false),
        (ReceiptState::Sent, true),
        (ReceiptState::Failed, true),
        (ReceiptState::Delivered, true),
    ]
    .into_iter()
    .enumerate()
    {
        let talk = talk(store, state.as_str(), ConversationState::Resolved).await;
        let row = outbound(&talk.conversation, 1);
        let own = ReceiptWord {
            external_id: None,
            message: Some(row.id),
            ..word("", state.clone())
        };
        let by_part = format!("part-{n}");
        let of_message = format!("message-{n}");
        let join = Changes {
            messages: vec![row.clone()],
            sent: vec![(web(), of_message.clone(), row.id, 0)],
            ..Changes::default()
        };
        store.commit(join).await.unwrap();
        let waits = vec![fallback(&by_part, far), fallback(&of_message, far)];
        wait(store, waits.clone()).await;
        assert_eq!(due(store, far).await.len(), 2);
        say(store, vec![word(&by_part, state.clone()), own]).await;
        assert_eq!(due(store, far).await.is_empty(), ends, "{state}");
        wait(store, waits).await;
        let begun = due(store, far).await.len();
        assert_eq!(begun, if ends { 0 } else { 2 }, "begun after {state}");
        say(store, vec![word(&by_part, ReceiptState::Read)]).await;
        say(store, vec![word(&of_message, ReceiptState::Read)]).await;
    }
}

pub(crate) async fn late_answers_are_heard(store: &Dyn) {
    let row = sent(store, &["x"]).await;
    let at = now();
    wait(store, vec![expect("x", at, ReceiptState::Unknown)]).await;
    say(store, vec![overdue("x", ReceiptState::Unknown, at)]).await;
    let failed = say(store, vec![word("x", ReceiptState::Failed)]).await;
    assert_eq!(failed.delivered, [(row.id, ReceiptState::Failed)]);
    let done = say(store, vec![word("x", ReceiptState::Delivered)]).await;
    assert_eq!(done.delivered, [(row.id, ReceiptState::Delivered)]);
}

pub(crate) async fn of_parts_add_up(store: &Dyn) {
    let row = sent(store, &["p0", "p1"]).await;
    let answered = say(store, vec![word("p0", ReceiptState::Delivered)]).await;
    assert_eq!(answered.delivered, [], "the other part is on its way");
    let at = now();
    wait(store, vec![expect("p1", at, ReceiptState::Unknown)]).await;
    let missing = say(store, vec![overdue("p1", ReceiptState::Unknown, at)]).await;
    assert_eq!(missing.delivered, [(row.id, ReceiptState::Unknown)]);
    let late = say(store, vec![word("p1", ReceiptState::Read)]).await;
    assert_eq!(late.delivered, [(row.id, ReceiptState::Delivered)]);
}
