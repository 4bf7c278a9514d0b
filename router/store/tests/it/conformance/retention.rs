//! What is kept, and for how long.

use std::time::Duration;

use patchbay_message::{CommandId, MessageId, Outcome, OutcomeStatus, ReceiptState, ThreadId};
use patchbay_store::{AttemptOpen, Audit, Changes, LaneDone, ReceiptWord, Retention, Want};
use serde_json::json;

use super::dead::{bury, letter};
use crate::world::{Dyn, LONG, event, now, until, web};

/// Nothing goes.
pub(crate) const FOREVER: Retention = Retention {
    dedupe: LONG,
    processed: LONG,
    events: LONG,
    receipts: LONG,
    dead: LONG,
    audit: LONG,
};

const NOTHING: Retention = Retention {
    dedupe: Duration::ZERO,
    processed: Duration::ZERO,
    events: Duration::ZERO,
    receipts: Duration::ZERO,
    dead: Duration::ZERO,
    audit: Duration::ZERO,
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
