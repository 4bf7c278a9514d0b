//! Commits: all or nothing, under fences.

use std::time::Duration;

use patchbay_message::{InstanceId, MessageId};
use patchbay_store::{Changes, CommitError, ConversationState, Want};

use super::leases::until_taken;
use crate::world::{Dyn, contact, conversation, inbound, talk, thread};

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
