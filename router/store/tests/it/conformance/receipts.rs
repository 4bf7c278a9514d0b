//! How far outbound messages got.

use patchbay_message::{MessageId, ReceiptState};
use patchbay_store::{
    Changes, Committed, ConversationState, MessageRow, ReceiptWord, Seen, ThreadUpdate,
};
use serde_json::json;

use crate::world::{Dyn, Talk, inbound, now, outbound, talk, web};

/// A talk with one outbound message, number 1.
async fn sent_one(store: &Dyn) -> (Talk, MessageRow) {
    let talk = talk(store, "ada", ConversationState::Open).await;
    let row = outbound(&talk.conversation, 1);
    let changes = Changes {
        messages: vec![row.clone()],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    (talk, row)
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

async fn say(store: &Dyn, words: Vec<ReceiptWord>) -> Committed {
    let changes = Changes {
        receipts: words,
        ..Changes::default()
    };
    store.commit(changes).await.unwrap()
}

async fn sent(store: &Dyn, message: MessageId, ids: &[&str]) -> Committed {
    let parts = ids.iter().zip(0..);
    let changes = Changes {
        sent: parts
            .map(|(id, part)| (web(), (*id).to_owned(), message, part))
            .collect(),
        ..Changes::default()
    };
    store.commit(changes).await.unwrap()
}

async fn state(store: &Dyn, id: MessageId) -> ReceiptState {
    store.message(id).await.unwrap().unwrap().state.unwrap()
}

pub(crate) async fn may_come_before_what_they_speak_of(store: &Dyn) {
    let (talk, row) = sent_one(store).await;
    let early = say(store, vec![word("x1", ReceiptState::Delivered)]).await;
    assert_eq!(
        early,
        Committed::default(),
        "nobody knows yet of what it speaks"
    );
    let joined = sent(store, row.id, &["x1"]).await;
    assert_eq!(joined.delivered, [(row.id, ReceiptState::Delivered)]);
    assert_eq!(state(store, row.id).await, ReceiptState::Delivered);

    let events = store.events(0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(joined.last_event, events[0].seq);
    assert_eq!(events[0].kind, "delivery");
    assert_eq!(events[0].conversation_id, Some(talk.conversation.id));
    let data = json!({
        "conversation_id": talk.conversation.id,
        "message_id": row.id,
        "delivery": { "state": "delivered", "reason": null, "attempts": 0 },
    });
    assert_eq!(events[0].data, data);

    // The other way round.
    let next = sent(store, row.id, &["x2"]).await;
    assert_eq!(next.delivered, []);
}

pub(crate) async fn only_raise(store: &Dyn) {
    let (_, row) = sent_one(store).await;
    sent(store, row.id, &["x"]).await;
    let steps = [
        (ReceiptState::Unknown, true),
        (ReceiptState::Sent, true),
        (ReceiptState::Accepted, false),
        (ReceiptState::Sent, false),
        (ReceiptState::Failed, true),
        (ReceiptState::Delivered, true),
        (ReceiptState::Expired, false),
        (ReceiptState::Other("maybe".into()), false),
        (ReceiptState::Read, true),
        (ReceiptState::Delivered, false),
    ];
    for (state, rises) in steps {
        let committed = say(store, vec![word("x", state.clone())]).await;
        let expected = if rises {
            vec![(row.id, state.clone())]
        } else {
            vec![]
        };
        assert_eq!(committed.delivered, expected, "{state}");
        assert_eq!(
            committed.last_event > 0,
            rises,
            "an event if it rose: {state}"
        );
    }
    assert_eq!(state(store, row.id).await, ReceiptState::Read);
}

pub(crate) async fn of_parts_add_up(store: &Dyn) {
    let (_, row) = sent_one(store).await;
    sent(store, row.id, &["p0", "p1", "p2"]).await;
    let say = async |id: &str, state| say(store, vec![word(id, state)]).await.delivered;
    assert_eq!(say("p0", ReceiptState::Delivered).await, []);
    assert_eq!(
        say("p1", ReceiptState::Sent).await,
        [],
        "nothing is known of the third part"
    );
    let lowest = say("p2", ReceiptState::Read).await;
    assert_eq!(
        lowest,
        [(row.id, ReceiptState::Sent)],
        "as far as the part least far"
    );
    let lowest = say("p1", ReceiptState::Read).await;
    assert_eq!(lowest, [(row.id, ReceiptState::Delivered)]);
}

pub(crate) async fn of_a_failed_part_fail_the_message(store: &Dyn) {
    let (_, row) = sent_one(store).await;
    sent(store, row.id, &["p0", "p1"]).await;
    let failed = ReceiptWord {
        reason: Some("number not in use".to_owned()),
        ..word("p1", ReceiptState::Failed)
    };
    let committed = say(store, vec![failed]).await;
    assert_eq!(committed.delivered, [(row.id, ReceiptState::Failed)]);
    let committed = say(store, vec![word("p0", ReceiptState::Read)]).await;
    assert_eq!(committed.delivered, [], "the other part does not heal it");
    let found = store.message(row.id).await.unwrap().unwrap();
    assert_eq!(found.reason.as_deref(), Some("number not in use"));

    let healed = say(store, vec![word("p1", ReceiptState::Delivered)]).await;
    assert_eq!(
        healed.delivered,
        [(row.id, ReceiptState::Delivered)],
        "a late delivery does"
    );
    assert_eq!(store.message(row.id).await.unwrap().unwrap().reason, None);
}

pub(crate) async fn of_our_own_count_attempts(store: &Dyn) {
    let (_, row) = sent_one(store).await;
    let own = |state, attempts| ReceiptWord {
        external_id: None,
        message: Some(row.id),
        attempts: Some(attempts),
        ..word("", state)
    };
    let retried = say(store, vec![own(ReceiptState::Queued, 2)]).await;
    assert_eq!(retried, Committed::default(), "a retry raises nothing");
    assert_eq!(store.message(row.id).await.unwrap().unwrap().attempts, 2);
    let accepted = say(store, vec![own(ReceiptState::Accepted, 3)]).await;
    assert_eq!(accepted.delivered, [(row.id, ReceiptState::Accepted)]);
    let events = store.events(0, 10).await.unwrap();
    let delivery = json!({ "state": "accepted", "reason": null, "attempts": 3 });
    assert_eq!(events[0].data["delivery"], delivery);
}

pub(crate) async fn of_an_id_used_again_mean_the_newer_message(store: &Dyn) {
    let (talk, old) = sent_one(store).await;
    let new = outbound(&talk.conversation, 2);
    let changes = Changes {
        messages: vec![new.clone()],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    sent(store, old.id, &["7"]).await;
    say(store, vec![word("7", ReceiptState::Delivered)]).await;
    let reused = sent(store, new.id, &["7"]).await;
    assert_eq!(
        reused.delivered,
        [],
        "the old message's word is not the new one's"
    );
    let committed = say(store, vec![word("7", ReceiptState::Sent)]).await;
    assert_eq!(committed.delivered, [(new.id, ReceiptState::Sent)]);
    assert_eq!(state(store, old.id).await, ReceiptState::Delivered);
}

pub(crate) async fn of_strangers_change_nothing(store: &Dyn) {
    let talk = talk(store, "ada", ConversationState::Open).await;
    let theirs = inbound(&talk.conversation, 1);
    let changes = Changes {
        messages: vec![theirs.clone()],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let own = |id| ReceiptWord {
        external_id: None,
        message: Some(id),
        ..word("", ReceiptState::Delivered)
    };
    let committed = say(store, vec![own(theirs.id), own(MessageId::new())]).await;
    assert_eq!(committed, Committed::default());
    assert_eq!(store.message(theirs.id).await.unwrap().unwrap().state, None);
}

/// A talk with numbers 1 to 6: odd ones theirs, even ones ours; number 4 is already read.
async fn six(store: &Dyn) -> (Talk, Vec<MessageRow>) {
    let talk = talk(store, "ada", ConversationState::Open).await;
    let mut rows: Vec<_> = (1..=6)
        .map(|n| match n % 2 {
            1 => inbound(&talk.conversation, n),
            _ => outbound(&talk.conversation, n),
        })
        .collect();
    rows[3].state = Some(ReceiptState::Read);
    let changes = Changes {
        messages: rows.clone(),
        thread_updates: vec![ThreadUpdate {
            id: talk.thread.id,
            version: 0,
            last_seq: 6,
            last_out_seq: 6,
            verified: false,
        }],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    (talk, rows)
}

async fn see(
    store: &Dyn,
    talk: &Talk,
    delivered: Option<u64>,
    read: Option<u64>,
) -> (Committed, u64, u64) {
    let changes = Changes {
        seen: vec![Seen {
            thread: talk.thread.id,
            delivered,
            read,
        }],
        ..Changes::default()
    };
    let committed = store.commit(changes).await.unwrap();
    let address = &talk.thread.address;
    let thread = store.thread(&web(), address).await.unwrap().unwrap();
    assert_eq!(thread.version, 1, "the router's guard is not moved");
    (committed, thread.delivered_seq, thread.read_seq)
}

pub(crate) async fn watermarks_rise_and_lift_messages(store: &Dyn) {
    let (talk, rows) = six(store).await;
    let (committed, delivered, read) = see(store, &talk, Some(4), None).await;
    assert_eq!((delivered, read), (4, 0));
    let lifted = [(rows[1].id, ReceiptState::Delivered)];
    assert_eq!(committed.delivered, lifted, "number 4 is further already");
    let events = store.events(0, 10).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["delivery", "seen"]);
    assert_eq!(committed.last_event, events[1].seq);
    let data = json!({ "conversation_id": talk.conversation.id, "delivered": 4, "read": 0 });
    assert_eq!(events[1].data, data);

    let (committed, delivered, read) = see(store, &talk, Some(3), Some(2)).await;
    assert_eq!((delivered, read), (4, 2), "never back");
    assert_eq!(committed.delivered, [(rows[1].id, ReceiptState::Read)]);

    let (committed, delivered, read) = see(store, &talk, Some(1), Some(1)).await;
    assert_eq!((delivered, read), (4, 2));
    assert_eq!(committed, Committed::default(), "no event if nothing rose");

    let (committed, delivered, read) = see(store, &talk, None, Some(6)).await;
    assert_eq!((delivered, read), (6, 6), "what is read was delivered");
    assert_eq!(committed.delivered, [(rows[5].id, ReceiptState::Read)]);
}

pub(crate) async fn watermarks_stop_at_the_newest(store: &Dyn) {
    let (talk, rows) = six(store).await;
    let (committed, delivered, read) = see(store, &talk, Some(u64::MAX), None).await;
    assert_eq!(
        (delivered, read),
        (6, 0),
        "a visitor cannot have seen what is not there"
    );
    let lifted = [
        (rows[1].id, ReceiptState::Delivered),
        (rows[5].id, ReceiptState::Delivered),
    ];
    assert_eq!(committed.delivered, lifted);
}
