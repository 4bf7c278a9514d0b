//! From a contact's message to an agent's reply on the bus; order, repeats, and bad messages.

use patchbay_message::{Command, CommandName, OutcomeStatus, ReceiptState};
use patchbay_store::{ConversationState, MessageKind, MessagePage};
use serde_json::{Value, json};

use crate::house::{command, house, ordered, reply, said, texts, thread, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_assigned_and_the_reply_goes_out() {
    let house = house();
    let ann = house.agent("Ann", 3).await;
    let router = house.router();
    house.say("v1", "Hello?").await;
    let conversation = house
        .conversation("v1", |row| row.state == ConversationState::Open)
        .await;
    assert_eq!(conversation.agent_id, Some(ann));
    assert_eq!(conversation.unread, 1);
    let outcome = house.done(&conversation, reply(ann, "Hi!")).await;
    let sent = house.sent(1).await;
    assert_eq!(Some(sent[0].id), outcome.message_id);
    assert_eq!(sent[0].out_seq, Some(1));
    assert_eq!(sent[0].thread_seq, Some(2));
    assert_eq!(sent[0].lane_key, Some(thread("v1").to_string()));
    assert_eq!(sent[0].recipient.as_ref().unwrap().address, "v1");
    assert_eq!(
        sent[0].sender.as_ref().unwrap().name.as_deref(),
        Some("Ann")
    );
    let rows = house.history("v1", 2).await;
    assert_eq!(texts(&rows), ["Hello?", "Hi!"]);
    assert_eq!(rows[1].state, Some(ReceiptState::Queued));
    let after = house
        .conversation("v1", |row| row.state == ConversationState::Pending)
        .await;
    assert_eq!(Some(after.version), outcome.version);
    assert_eq!(after.unread, 0);
    let all = house
        .store
        .messages(conversation.id, MessagePage::After(0, 100))
        .await
        .unwrap();
    let kinds: Vec<MessageKind> = all.iter().map(|row| row.kind).collect();
    let message = MessageKind::Message;
    assert_eq!(kinds, [message, MessageKind::Notice, message]);
    until("a ready router", || async {
        router.status.ready().then_some(())
    })
    .await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_twice_is_there_once_and_in_order() {
    let house = house();
    let mut batch = Vec::new();
    for n in 0..40 {
        for visitor in ["v1", "v2", "v3", "v4", "v5"] {
            let key = json!({"dedupe_key": format!("web-main:{visitor}:{n}")});
            let message = said(visitor, &format!("{n}"), &key);
            // The same delivery again, and the same message under another id.
            batch.push(message.clone());
            batch.push(message);
            batch.push(said(visitor, &format!("{n}"), &key));
        }
    }
    house.publish(batch).await;
    let router = house.router();
    for visitor in ["v1", "v2", "v3", "v4", "v5"] {
        let rows = house.history(visitor, 40).await;
        let wanted: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        assert_eq!(texts(&rows), wanted);
        let numbers: Vec<u64> = rows.iter().filter_map(|row| row.thread_seq).collect();
        assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
    }
    drained(&house).await;
    assert_eq!(house.all().await.len(), 5);
    router.stop().await;
}

/// Waits until every delivery is acked.
async fn drained(house: &crate::house::House) {
    use patchbay_bus::{Bus as _, Queue};
    for p in 0..crate::house::N {
        until("an empty queue", || async {
            let depth = house.bus.depth(Queue::Inbound(p)).await.unwrap();
            (depth == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_cannot_keep_dies_alone() {
    let house = house();
    let mut batch = Vec::new();
    let mut bad = Vec::new();
    for n in 0..30 {
        // No database can keep U+0000 in an id.
        let fields = match n {
            7 | 8 | 21 => json!({"external_id": format!("x\u{0}{n}")}),
            _ => Value::Null,
        };
        let message = said("v1", &format!("{n}"), &fields);
        if !fields.is_null() {
            bad.push(message.1.id);
        }
        batch.push(message);
    }
    let (queue, mut junk) = said("v1", "", &Value::Null);
    junk.body = "{]".into();
    batch.insert(15, (queue, junk.clone()));
    house.publish(batch).await;
    let router = house.router();
    let rows = house.history("v1", 27).await;
    let wanted: Vec<String> = (0..30)
        .filter(|n| ![7, 8, 21].contains(n))
        .map(|n| n.to_string())
        .collect();
    assert_eq!(texts(&rows), wanted);
    drained(&house).await;
    let mut dead = house.dead().await;
    dead.sort_by_key(|letter| letter.id);
    let refused: Vec<_> = (dead.iter())
        .filter(|letter| letter.reason == "refused")
        .map(|letter| letter.id)
        .collect();
    bad.sort();
    assert_eq!(refused, bad);
    let undecodable: Vec<_> = (dead.iter())
        .filter(|letter| letter.reason == "undecodable")
        .collect();
    assert_eq!(undecodable.len(), 1);
    assert_eq!(undecodable[0].id, junk.id);
    assert_eq!(&undecodable[0].envelope[..], b"{]", "the bytes are kept");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_done_once_under_its_key_and_refused_on_an_old_version() {
    let house = house();
    let ann = house.agent("Ann", 3).await;
    let router = house.router();
    house.say("v1", "Hello?").await;
    let conversation = house
        .conversation("v1", |row| row.state == ConversationState::Open)
        .await;
    let first = Command {
        idempotency_key: "once".into(),
        ..reply(ann, "Hi!")
    };
    let again = Command {
        id: patchbay_message::CommandId::new(),
        ..first.clone()
    };
    let done = house.done(&conversation, first).await;
    let repeat = house.done(&conversation, again).await;
    assert_eq!(repeat.message_id, done.message_id);
    let late = Command {
        expected_version: Some(conversation.version),
        ..command(CommandName::Close, Some(ann))
    };
    let refused = house.ask(&conversation, late).await;
    assert_eq!(refused.status, OutcomeStatus::Refused);
    assert_eq!(refused.code.as_deref(), Some("version"));
    assert_eq!(texts(&house.history("v1", 2).await), ["Hello?", "Hi!"]);
    assert_eq!(house.sent(1).await.len(), 1);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_who_writes_after_the_end_begins_anew_and_keeps_counting() {
    let house = house();
    let ann = house.agent("Ann", 3).await;
    let router = house.router();
    house.say("v1", "one").await;
    let first = house
        .conversation("v1", |row| row.state == ConversationState::Open)
        .await;
    house
        .done(&first, command(CommandName::Resolve, Some(ann)))
        .await;
    house.say("v1", "two").await;
    let again = house
        .conversation("v1", |row| row.state == ConversationState::Open)
        .await;
    assert_eq!(again.id, first.id, "resolved is taken up again");
    assert_eq!(again.agent_id, Some(ann), "by who had it");
    house
        .done(&first, command(CommandName::Close, Some(ann)))
        .await;
    house.say("v1", "three").await;
    let second = house
        .conversation("v1", |row| row.state == ConversationState::Open)
        .await;
    assert_ne!(second.id, first.id, "closed is over");
    let rows = house.history("v1", 3).await;
    assert_eq!(texts(&rows), ["one", "two", "three"]);
    assert_eq!(rows[2].thread_seq, Some(3));
    let load = house.store.agents().await.unwrap()[0].load;
    assert_eq!(load, 1);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_the_log_are_nudged_with_its_newest_number() {
    use patchbay_bus::{Bus as _, Mailbox};
    let house = house();
    let mut nudges = house
        .bus
        .mailbox(Mailbox::Event("log".into()))
        .await
        .unwrap();
    let router = house.router();
    house.say("v1", "Hello?").await;
    let nudge = tokio::time::timeout(std::time::Duration::from_secs(10), nudges.recv())
        .await
        .expect("a nudge comes")
        .expect("the mailbox is open");
    let nudge: patchbay_message::LogNudge = serde_json::from_slice(&nudge).unwrap();
    let events = house.store.events(0, 100).await.unwrap();
    assert!(events.iter().any(|event| event.seq == nudge.seq));
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert!(
        kinds.contains(&"message") && kinds.contains(&"conversation"),
        "{kinds:?}"
    );
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_router_loses_nothing_it_had_begun() {
    let house = house();
    let ann = house.agent("Ann", 100).await;
    let router = house.router();
    house.say("v1", "Hello?").await;
    let conversation = house
        .conversation("v1", |row| row.agent_id == Some(ann))
        .await;
    let batch = (0..200)
        .map(|n| ordered(&conversation, reply(ann, &n.to_string())))
        .collect();
    house.publish(batch).await;
    house.history("v1", 20).await;
    router.stop().await;
    let router = house.router();
    let rows = house.history("v1", 201).await;
    let wanted: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(texts(&rows)[1..], wanted);
    let mut numbers: Vec<u64> = (house.sent(200).await.iter())
        .filter_map(|envelope| envelope.out_seq)
        .collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=200).collect::<Vec<u64>>());
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_too_large_for_an_envelope_is_refused_and_takes_no_number() {
    let house = house();
    let ann = house.agent("Ann", 3).await;
    let router = house.router();
    house.say("v1", "Hello?").await;
    let conversation = house
        .conversation("v1", |row| row.state == ConversationState::Open)
        .await;
    // As a command it fits, with the contact's address and numbers around it does not.
    let parts = |n| Command {
        content: vec![patchbay_message::Content::text("x".repeat(n)); 5],
        ..reply(ann, "")
    };
    let rest = ordered(&conversation, parts(0)).1.body.len();
    let large = parts((patchbay_message::limits::ENVELOPE_BYTES_MAX - rest) / 5);
    let outcome = house.ask(&conversation, large).await;
    assert_eq!(outcome.code.as_deref(), Some("content"), "{outcome:?}");
    house.done(&conversation, reply(ann, "Short")).await;
    assert_eq!(house.sent(1).await[0].out_seq, Some(1));
    assert_eq!(texts(&house.history("v1", 2).await), ["Hello?", "Short"]);
    router.stop().await;
}
