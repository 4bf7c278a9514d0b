//! Dead letters.

use std::time::Duration;

use patchbay_message::{ChannelId, ConversationId, Direction, MessageId, ThreadId, Time};
use patchbay_store::{Changes, CommitError, DeadFilter, DeadLetter};
use serde_json::json;

use crate::world::{Dyn, now, race, web};

pub(crate) fn letter(at: Time) -> DeadLetter {
    DeadLetter {
        id: MessageId::new(),
        direction: Direction::Outbound,
        channel: web(),
        conversation_id: Some(ConversationId::new()),
        lane: Some(ThreadId::new()),
        reason: "expired".to_owned(),
        detail: "its time ran out".to_owned(),
        attempts: 4,
        exchange: Some(json!({"status": 500})),
        // Not even UTF-8: raw bytes are kept as they came.
        envelope: bytes::Bytes::from_static(b"{\xff\x00}"),
        at,
        status: "dead".to_owned(),
    }
}

pub(crate) async fn bury(store: &Dyn, rows: &[DeadLetter]) {
    let changes = Changes {
        dead: rows.to_vec(),
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
}

fn any() -> DeadFilter {
    DeadFilter {
        limit: 10,
        ..DeadFilter::default()
    }
}

pub(crate) async fn letters_are_paged_newest_first(store: &Dyn) {
    let begun = now();
    let mut rows: Vec<_> = [1, 2, 2, 2, 3]
        .map(|seconds| letter(begun.plus(Duration::from_secs(seconds))))
        .to_vec();
    rows[4].channel = ChannelId::new("sms").unwrap();
    bury(store, &rows).await;
    rows.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));

    let mut filter = DeadFilter { limit: 2, ..any() };
    let mut found = Vec::new();
    loop {
        let page = store.dead(&filter).await.unwrap();
        found.extend(page.items);
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(found, rows);
    let of_sms = DeadFilter {
        channel: Some(rows[0].channel.clone()),
        ..any()
    };
    assert_eq!(store.dead(&of_sms).await.unwrap().items, rows[..1]);
    let of_one = DeadFilter {
        conversation: rows[3].conversation_id,
        ..any()
    };
    assert_eq!(store.dead(&of_one).await.unwrap().items, rows[3..4]);
    assert_eq!(
        store.dead_letter(rows[2].id).await.unwrap(),
        Some(rows[2].clone())
    );
    assert_eq!(store.dead_letter(MessageId::new()).await.unwrap(), None);
}

pub(crate) async fn letters_end_once(store: &Dyn) {
    let row = letter(now());
    bury(store, std::slice::from_ref(&row)).await;
    let edited = DeadLetter {
        detail: "edited".to_owned(),
        ..row.clone()
    };
    bury(store, std::slice::from_ref(&edited)).await;
    assert_eq!(
        store.dead_letter(row.id).await.unwrap(),
        Some(edited),
        "upsert"
    );

    let end = |status| Changes {
        dead_status: vec![(row.id, status)],
        ..Changes::default()
    };
    let commits = (0..8).map(|_| end("replayed")).collect();
    assert_eq!(
        race(store, commits).await,
        1,
        "replayed once, however often one clicks"
    );
    let refused = store.commit(end("dropped")).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict(_)), "{refused}");
    assert_eq!(
        store.dead(&any()).await.unwrap().items,
        [],
        "none is dead any more"
    );
    let replayed = DeadFilter {
        status: Some("replayed".to_owned()),
        ..any()
    };
    assert_eq!(store.dead(&replayed).await.unwrap().items[0].id, row.id);
}
