//! What is kept, and for how long.

use std::time::Duration;

use patchbay_message::{
    CommandId, MessageId, Outcome, OutcomeStatus, ReceiptState, ThreadId, TicketId,
};
use patchbay_store::{
    AttemptOpen, Audit, Changes, ConversationState, LaneDone, ReceiptWord, Retention, Ticket,
    TicketEvent, TicketState, TicketUpdate, Want,
};
use serde_json::json;

use super::dead::{bury, letter};
use crate::world::{
    Dyn, LONG, device, entry, event, inbound, now, opened, talk, talk_with, ticket, until, web,
};

/// Nothing goes.
pub(crate) const FOREVER: Retention = Retention {
    dedupe: LONG,
    processed: LONG,
    events: LONG,
    receipts: LONG,
    dead: LONG,
    audit: LONG,
    tickets: LONG,
    conversations: LONG,
};

const NOTHING: Retention = Retention {
    dedupe: Duration::ZERO,
    processed: Duration::ZERO,
    events: Duration::ZERO,
    receipts: Duration::ZERO,
    dead: Duration::ZERO,
    audit: Duration::ZERO,
    tickets: Duration::ZERO,
    conversations: Duration::ZERO,
};

fn mark(n: u32) -> (String, String) {
    ("inbound.g1.0".to_owned(), format!("m{n}"))
}

async fn marked(store: &Dyn) -> usize {
    let want = Want {
        processed: (0..20).map(mark).collect(),
        ..Want::default()
    };
    store.facts(&want).await.unwrap().processed.len()
}

pub(crate) async fn goes_in_bounded_steps(store: &Dyn) {
    for n in 0..20 {
        let changes = Changes {
            processed: vec![mark(n)],
            ..Changes::default()
        };
        store.commit(changes).await.unwrap();
    }
    assert_eq!(
        store.sweep(&FOREVER, 100).await.unwrap(),
        0,
        "all of it is young"
    );
    let step = Retention {
        processed: Duration::ZERO,
        ..FOREVER
    };
    until("the first step", || async {
        (store.sweep(&step, 6).await.unwrap() == 6).then_some(())
    })
    .await;
    assert_eq!(marked(store).await, 14);
    let want = Want {
        processed: (0..6).map(mark).collect(),
        ..Want::default()
    };
    assert_eq!(
        store.facts(&want).await.unwrap().processed,
        [],
        "the oldest went first"
    );
    until("the rest goes", || async {
        store.sweep(&step, 6).await.unwrap();
        (marked(store).await == 0).then_some(())
    })
    .await;
    assert_eq!(store.sweep(&step, 6).await.unwrap(), 0);
}

/// One of everything; an open attempt and a dead letter nobody looked at stay for ever.
pub(crate) async fn keeps_what_is_young_or_open(store: &Dyn) {
    let (finished, open) = (ThreadId::new(), ThreadId::new());
    let attempt = |lane, out_seq| AttemptOpen {
        message: MessageId::new(),
        lane,
        out_seq,
        part: 0,
        epoch: 1,
        spends: None,
    };
    let done = |lane| LaneDone { lane, out_seq: 1 };
    let (ended, waiting) = (letter(now()), letter(now()));
    bury(store, &[ended.clone(), waiting.clone()]).await;
    let changes = Changes {
        processed: vec![mark(0)],
        dedupe: vec![("key".to_owned(), MessageId::new())],
        outcomes: vec![Outcome {
            command_id: CommandId::new(),
            status: OutcomeStatus::Done,
            code: None,
            detail: None,
            message_id: None,
            version: None,
        }],
        attempts: vec![attempt(finished, 1), attempt(open, 2)],
        lanes_done: vec![done(finished), done(open)],
        receipts: vec![ReceiptWord {
            channel: web(),
            external_id: Some("x".to_owned()),
            message: None,
            state: ReceiptState::Sent,
            reason: None,
            at: now(),
            attempts: None,
            overdue: false,
        }],
        dead_status: vec![(ended.id, "dropped")],
        audit: vec![Audit {
            agent_id: None,
            token_id: None,
            action: "dead.drop".to_owned(),
            target: ended.id.to_string(),
            detail: json!({}),
        }],
        events: vec![event(1)],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    assert_eq!(store.sweep(&FOREVER, 100).await.unwrap(), 0);

    let gone = std::cell::Cell::new(0);
    until("all that is past its time goes", || async {
        gone.set(gone.get() + store.sweep(&NOTHING, 100).await.unwrap());
        (gone.get() >= 8).then_some(())
    })
    .await;
    assert_eq!(
        gone.get(),
        8,
        "mark, key, outcome, attempt, receipt, letter, audit, event"
    );
    assert_eq!(store.sweep(&NOTHING, 100).await.unwrap(), 0);
    assert_eq!(store.dead_letter(ended.id).await.unwrap(), None);
    assert_eq!(store.dead_letter(waiting.id).await.unwrap(), Some(waiting));
    assert_eq!(store.lanes(&[open]).await.unwrap()[0].attempts.len(), 1);
}

async fn count_entries(store: &Dyn, id: TicketId) -> usize {
    store.ticket_entries(id, 0, 1000).await.unwrap().len()
}

pub(crate) async fn closed_tickets_go_with_their_histories(store: &Dyn) {
    let machine = talk(store, "press-7", ConversationState::Resolved).await;
    let old = now().minus(Duration::from_secs(300));
    let closed = |code: &str, state, at| Ticket {
        state,
        closed_at: Some(at),
        ..ticket(&machine, code)
    };
    let rows = [
        closed("done", TicketState::Done, old),
        closed("cancelled", TicketState::Cancelled, old),
        closed("young", TicketState::Done, now()),
        // Taken up again: it stands open, whenever it was closed.
        closed("open", TicketState::Reopened, old),
    ];
    let entries = rows
        .iter()
        .flat_map(|row| (1..=5).map(|pos| entry(row, pos, TicketEvent::Note)));
    let changes = Changes {
        tickets: rows.to_vec(),
        ticket_entries: entries.collect(),
        devices: vec![device(&machine)],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    assert_eq!(store.sweep(&FOREVER, 100).await.unwrap(), 0);
    let keep = Retention {
        tickets: Duration::from_secs(150),
        ..FOREVER
    };
    let mut steps = Vec::new();
    loop {
        match store.sweep(&keep, 4).await.unwrap() {
            0 => break,
            gone => steps.push(gone),
        }
    }
    assert_eq!(steps.iter().sum::<u64>(), 12, "two tickets, ten entries");
    assert!(steps.iter().all(|gone| *gone <= 8), "{steps:?}");
    for (row, stays) in rows.iter().zip([false, false, true, true]) {
        let found = store.ticket(row.id).await.unwrap().is_some();
        assert_eq!(found, stays, "{}", row.code);
        let entries = count_entries(store, row.id).await;
        assert_eq!(entries, if stays { 5 } else { 0 }, "{}", row.code);
    }
    assert!(store.device(machine.thread.id).await.unwrap().is_some());
}

pub(crate) async fn closed_conversations_go_with_their_messages(store: &Dyn) {
    let old = now().minus(Duration::from_secs(300));
    let make = async |name: &str, state, at| {
        let talk = talk_with(store, name, state, |row| row.updated_at = at).await;
        let messages = (1..=5).map(|n| inbound(&talk.conversation, n));
        let changes = Changes {
            messages: messages.collect(),
            ..Changes::default()
        };
        store.commit(changes).await.unwrap();
        talk
    };
    let talks = [
        make("a", ConversationState::Closed, old).await,
        make("b", ConversationState::Closed, old).await,
        make("young", ConversationState::Closed, now()).await,
        make("open", ConversationState::Resolved, old).await,
        make("ticket", ConversationState::Closed, old).await,
    ];
    let work = opened(store, ticket(&talks[4], "E42")).await;
    let keep = Retention {
        conversations: Duration::from_secs(150),
        ..FOREVER
    };
    let mut steps = Vec::new();
    loop {
        match store.sweep(&keep, 4).await.unwrap() {
            0 => break,
            gone => steps.push(gone),
        }
    }
    assert_eq!(steps.iter().sum::<u64>(), 12, "two of them, ten messages");
    assert!(steps.iter().all(|gone| *gone <= 8), "{steps:?}");
    for (talk, stays) in talks.iter().zip([false, false, true, true, true]) {
        let name = &talk.thread.address;
        let view = store.conversation(talk.conversation.id).await.unwrap();
        assert_eq!(view.is_some(), stays, "{name}");
        let history = store.history(talk.thread.id, 0, 10).await.unwrap();
        assert_eq!(history.len(), if stays { 5 } else { 0 }, "{name}");
        let thread = store.thread(&web(), name).await.unwrap();
        assert!(thread.is_some(), "who it was is still known");
    }

    let closed = TicketUpdate {
        row: Ticket {
            state: TicketState::Done,
            closed_at: Some(old),
            ..work.clone()
        },
        from: work.state,
    };
    let changes = Changes {
        ticket_updates: vec![closed],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let both = Retention {
        tickets: Duration::from_secs(150),
        ..keep
    };
    while store.sweep(&both, 4).await.unwrap() > 0 {}
    let last = talks[4].conversation.id;
    assert_eq!(store.conversation(last).await.unwrap(), None);
}
