//! Lists of conversations, and their messages.

use std::time::Duration;

use patchbay_message::{
    AgentId, ChannelId, Content, ConversationId, Direction, GroupId, MessageId,
};
use patchbay_store::{
    Changes, Conversation, ConversationFilter, ConversationState, ConversationView, MessageKind,
    MessagePage, MessageRow, Page,
};

use crate::world::{Dyn, contact, conversation, inbound, now, outbound, talk, talk_with, thread};

async fn page(store: &Dyn, filter: &ConversationFilter) -> Page<ConversationView> {
    store.conversations(filter).await.unwrap()
}

async fn ids(store: &Dyn, filter: &ConversationFilter) -> Vec<ConversationId> {
    let page = page(store, filter).await;
    page.items.iter().map(|view| view.conversation.id).collect()
}

fn any() -> ConversationFilter {
    ConversationFilter {
        limit: 100,
        ..ConversationFilter::default()
    }
}

pub(crate) async fn are_paged_newest_first(store: &Dyn) {
    let begun = now();
    let mut expected = Vec::new();
    for n in 0..7_u64 {
        // Three of them at the same time: the id decides.
        let at = begun.plus(Duration::from_secs(n.clamp(2, 4)));
        let name = format!("visitor{n}");
        let talk = talk_with(store, &name, ConversationState::Open, |row| {
            row.updated_at = at
        })
        .await;
        expected.push((at, talk.conversation.id));
    }
    expected.sort();
    expected.reverse();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();

    let mut filter = ConversationFilter { limit: 3, ..any() };
    let mut found = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let page = page(store, &filter).await;
        sizes.push(page.items.len());
        found.extend(page.items.iter().map(|view| view.conversation.id));
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected);
    assert_eq!(sizes, [3, 3, 1]);
    let whole = ConversationFilter { limit: 7, ..any() };
    assert_eq!(
        page(store, &whole).await.next,
        None,
        "no page after the last row"
    );
}

pub(crate) async fn are_filtered(store: &Dyn) {
    let (agent, group) = (AgentId::new(), GroupId::new());
    let sms = ChannelId::new("sms").unwrap();
    let make = async |name: &str, state, change: &dyn Fn(&mut Conversation)| {
        talk_with(store, name, state, change).await.conversation.id
    };
    let plain = make("a", ConversationState::New, &|_| {}).await;
    let owned = make("b", ConversationState::Open, &|row| {
        row.agent_id = Some(agent)
    })
    .await;
    let grouped = make("c", ConversationState::Waiting, &|row| {
        row.group_id = Some(group)
    })
    .await;
    let texted = make("d", ConversationState::Closed, &|row| {
        row.channel = sms.clone()
    })
    .await;

    let mut everyone = ids(store, &any()).await;
    everyone.sort();
    assert_eq!(everyone, [plain, owned, grouped, texted]);
    let by_agent = ConversationFilter {
        agent: Some(agent),
        ..any()
    };
    assert_eq!(ids(store, &by_agent).await, [owned]);
    let by_group = ConversationFilter {
        groups: vec![GroupId::new(), group],
        ..any()
    };
    assert_eq!(ids(store, &by_group).await, [grouped]);
    let by_channel = ConversationFilter {
        channel: Some(sms.clone()),
        ..any()
    };
    assert_eq!(ids(store, &by_channel).await, [texted]);
    let by_state = ConversationFilter {
        states: vec![ConversationState::New, ConversationState::Open],
        ..any()
    };
    let mut found = ids(store, &by_state).await;
    found.sort();
    assert_eq!(found, [plain, owned]);
    let by_both = ConversationFilter {
        agent: Some(agent),
        ..by_channel
    };
    assert_eq!(ids(store, &by_both).await, []);
}

pub(crate) async fn are_found_by_name_and_address_in_any_case(store: &Dyn) {
    let contact = contact("Zoë Ünal");
    let thread = thread(&contact, "Zoe_50%@Example");
    let row = conversation(&thread, ConversationState::Open);
    let changes = Changes {
        contacts: vec![contact.clone()],
        threads: vec![thread],
        conversations: vec![row.clone()],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    talk(store, "ada", ConversationState::Open).await;
    let by = async |text: &str| {
        let filter = ConversationFilter {
            text: Some(text.to_owned()),
            ..any()
        };
        ids(store, &filter).await
    };
    for text in ["zoë", "ZOË", "ünal", "ÜNAL", "e_50%@EXAMPLE"] {
        assert_eq!(by(text).await, [row.id], "{text}");
    }
    for text in ["z%ë", "zo_", "\\", "xyz", "a\0"] {
        assert_eq!(by(text).await, [], "{text:?} is meant as it is written");
    }
    assert_eq!(by("EXAMPLE").await.len(), 2);

    // A contact who changes their name is found by the new one.
    let renamed = Changes {
        contacts: vec![patchbay_store::Contact {
            name: Some("Ørsted".to_owned()),
            ..contact
        }],
        ..Changes::default()
    };
    store.commit(renamed).await.unwrap();
    assert_eq!(by("ØRSTED").await, [row.id]);
    assert_eq!(by("ünal").await, []);
}

pub(crate) async fn know_their_place_in_the_queue(store: &Dyn) {
    let begun = now();
    let sales = GroupId::new();
    let waits = async |name: &str, state, group, seconds| {
        talk_with(store, name, state, |row| {
            row.group_id = group;
            row.waiting_since = Some(begun.plus(Duration::from_secs(seconds)));
        })
        .await
    };
    let second = waits("b", ConversationState::Waiting, Some(sales), 20).await;
    let first = waits("a", ConversationState::Waiting, Some(sales), 10).await;
    let third = waits("c", ConversationState::New, Some(sales), 30).await;
    let apart = waits("d", ConversationState::Waiting, None, 40).await;
    let served = waits("e", ConversationState::Open, Some(sales), 5).await;

    let places = [
        (&first, Some(1)),
        (&second, Some(2)),
        (&third, Some(3)),
        (&apart, Some(1)),
        (&served, None),
    ];
    for (talk, place) in places {
        let view = store
            .conversation(talk.conversation.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(view.position, place);
        let standing = store.standing(talk.thread.id).await.unwrap();
        assert_eq!(standing, Some((talk.conversation.clone(), place)));
    }
    let view = store
        .conversation(first.conversation.id)
        .await
        .unwrap()
        .unwrap();
    let expected = ConversationView {
        conversation: first.conversation,
        contact: first.contact,
        thread: first.thread,
        position: Some(1),
    };
    assert_eq!(view, expected);
    let views = store
        .conversation_views(&[
            second.conversation.id,
            ConversationId::new(),
            third.conversation.id,
        ])
        .await
        .unwrap();
    let mut places: Vec<_> = views.iter().map(|view| view.position).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [Some(2), Some(3)],
        "those that are there, each with its place"
    );
    let closed = talk(store, "f", ConversationState::Closed).await;
    assert_eq!(store.standing(closed.thread.id).await.unwrap(), None);
    assert_eq!(
        store.conversation(ConversationId::new()).await.unwrap(),
        None
    );
}

/// A talk with messages at `pos` 1 to 5; 3 is a note, so thread numbers are 1 2 - 3 4.
async fn five(store: &Dyn) -> (crate::world::Talk, Vec<MessageRow>) {
    let talk = talk(store, "ada", ConversationState::Open).await;
    let row = &talk.conversation;
    let note = MessageRow {
        thread_seq: None,
        kind: MessageKind::Note,
        direction: Direction::Outbound,
        agent_id: Some(AgentId::new()),
        content: vec![Content::text("is angry")],
        ..inbound(row, 3)
    };
    let at = |pos, message: MessageRow| MessageRow { pos, ..message };
    let rows = vec![
        inbound(row, 1),
        outbound(row, 2),
        note,
        at(4, inbound(row, 3)),
        at(5, outbound(row, 4)),
    ];
    let changes = Changes {
        messages: rows.clone(),
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    (talk, rows)
}

pub(crate) async fn messages_are_paged_both_ways(store: &Dyn) {
    let (talk, rows) = five(store).await;
    let id = talk.conversation.id;
    let page = async |page| store.messages(id, page).await.unwrap();
    assert_eq!(page(MessagePage::Before(u64::MAX, 2)).await, rows[3..]);
    assert_eq!(page(MessagePage::Before(4, 2)).await, rows[1..3]);
    assert_eq!(page(MessagePage::Before(1, 2)).await, []);
    assert_eq!(page(MessagePage::After(0, 2)).await, rows[..2]);
    assert_eq!(page(MessagePage::After(3, 10)).await, rows[3..]);
    assert_eq!(page(MessagePage::After(u64::MAX, 10)).await, []);
    assert_eq!(
        store.message(rows[2].id).await.unwrap(),
        Some(rows[2].clone())
    );
    let wanted = [rows[4].id, MessageId::new(), rows[0].id, rows[4].id];
    let mut found = store.message_rows(&wanted).await.unwrap();
    found.sort_by_key(|row| row.pos);
    assert_eq!(found, [rows[0].clone(), rows[4].clone()]);
}

pub(crate) async fn a_visitor_sees_no_notes(store: &Dyn) {
    let (talk, rows) = five(store).await;
    let visible = [&rows[0], &rows[1], &rows[3], &rows[4]].map(Clone::clone);
    let history = store.history(talk.thread.id, 0, 10).await.unwrap();
    assert_eq!(history, visible);
    assert_eq!(
        store.history(talk.thread.id, 2, 1).await.unwrap(),
        visible[2..3]
    );
    assert_eq!(
        store.history(talk.thread.id, u64::MAX, 1).await.unwrap(),
        []
    );
}

pub(crate) async fn reading_clears_unread_and_keeps_the_version(store: &Dyn) {
    let unread = |row: &mut Conversation| row.unread = 4;
    let talk = talk_with(store, "ada", ConversationState::Open, unread).await;
    let changes = Changes {
        read: vec![talk.conversation.id],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let found = store
        .conversation(talk.conversation.id)
        .await
        .unwrap()
        .unwrap()
        .conversation;
    assert_eq!((found.unread, found.version), (0, 0));
}
