//! Files of messages that are still at the provider.

use std::time::Duration;

use patchbay_message::{Content, MessageId};
use patchbay_store::{Changes, CommitError, ConversationState, MediaFetch, MediaFetched};

use crate::world::{Dyn, LONG, inbound, now, talk, until, web};

fn wanted(message: MessageId) -> MediaFetch {
    MediaFetch {
        message,
        channel: web(),
        due: now(),
        attempts: 0,
    }
}

async fn want(store: &Dyn, messages: &[MessageId]) {
    let changes = Changes {
        fetches: messages.iter().map(|id| wanted(*id)).collect(),
        ..Changes::default()
    };
    store.commit(changes).await.expect("committed");
}

async fn claim(store: &Dyn, ttl: Duration, limit: u32) -> Vec<(MessageId, u32)> {
    let claimed = store.claim_media(ttl, limit).await.expect("it answers");
    assert!(claimed.iter().all(|fetch| fetch.channel == web()));
    claimed
        .into_iter()
        .map(|fetch| (fetch.message, fetch.attempts))
        .collect()
}

pub(crate) async fn one_of_many_takes_a_message_up(store: &Dyn) {
    let ids: Vec<MessageId> = (0..20).map(|_| MessageId::new()).collect();
    want(store, &ids).await;
    let later = MediaFetch {
        due: now().plus(LONG),
        ..wanted(MessageId::new())
    };
    let changes = Changes {
        fetches: vec![later],
        ..Changes::default()
    };
    store.commit(changes).await.expect("committed");
    let tries = (0..8).map(|_| claim(store, LONG, 5));
    let mut all = futures_util::future::join_all(tries).await.concat();
    // Who looked while others had rows locked may have found fewer.
    all.extend(claim(store, LONG, 50).await);
    all.sort_unstable();
    let mut once: Vec<(MessageId, u32)> = ids.iter().map(|id| (*id, 1)).collect();
    once.sort_unstable();
    assert_eq!(all, once);
    assert_eq!(claim(store, LONG, 50).await, []);
    want(store, &ids[..1]).await;
    assert_eq!(
        claim(store, LONG, 50).await,
        [],
        "wanted again is wanted once"
    );
}

pub(crate) async fn a_turn_ends_once(store: &Dyn) {
    let talk = talk(store, "ada", ConversationState::Open).await;
    let row = inbound(&talk.conversation, 1);
    let message = row.id;
    let changes = Changes {
        messages: vec![row],
        fetches: vec![wanted(message)],
        ..Changes::default()
    };
    store.commit(changes).await.expect("committed");
    let brief = Duration::from_millis(20);
    assert_eq!(claim(store, brief, 9).await, [(message, 1)]);
    let second = until("the first turn has run out", || async {
        claim(store, LONG, 9).await.pop()
    })
    .await;
    assert_eq!(second, (message, 2));
    let ends = |attempts, text: &str, again| Changes {
        fetched: vec![MediaFetched {
            message,
            attempts,
            content: Some(vec![Content::text(text)]),
            again,
        }],
        ..Changes::default()
    };
    let late = store.commit(ends(1, "late", None)).await.unwrap_err();
    assert!(matches!(late, CommitError::Conflict(_)), "{late}");
    let content = async || {
        let found = store.message(message).await.expect("it answers");
        found.expect("it is there").content
    };
    store
        .commit(ends(2, "half", Some(now())))
        .await
        .expect("committed");
    assert_eq!(content().await, [Content::text("half")]);
    assert_eq!(claim(store, LONG, 9).await, [(message, 3)]);
    store
        .commit(ends(3, "whole", None))
        .await
        .expect("committed");
    assert_eq!(content().await, [Content::text("whole")]);
    let twice = store.commit(ends(3, "twice", None)).await.unwrap_err();
    assert!(matches!(twice, CommitError::Conflict(_)), "{twice}");
    assert_eq!(content().await, [Content::text("whole")]);
}
