//! Files that came in by the provider's handle take their place in the message, once.

use std::{sync::atomic::Ordering, time::Duration};

use patchbay_message::{Content, ConversationId, Direction, MessageId, Part, Party, ThreadId};
use patchbay_store::{
    Changes, MediaFetch, MessageKind, MessageRow,
    blobs::{BlobToken, collect},
};
use serde_json::{Value, json};

use crate::{
    guarded::{Guard, PHOTO},
    stores,
    world::{Plan, World, channel},
};

fn plans(guard: &Guard) -> [Plan; 1] {
    [Plan::of("wx", guard.channel("acme"))]
}

/// What the router does for a message with these files.
async fn comes(world: &World, from: &str, handles: &[&str]) -> MessageId {
    let part = |handle: &&str| -> Content {
        let part = json!({
            "type": "image", "url": format!("provider:{handle}"),
            "mime": "image/*", "size": 0, "caption": "see",
        });
        serde_json::from_value(part).expect("a part")
    };
    let id = MessageId::new();
    let row = MessageRow {
        id,
        conversation_id: ConversationId::new(),
        thread_id: ThreadId::of(&channel("wx"), from),
        pos: 1,
        thread_seq: Some(1),
        out_seq: None,
        kind: MessageKind::Message,
        direction: Direction::Inbound,
        sender: Party::default(),
        agent_id: None,
        content: handles.iter().map(part).collect(),
        external_id: None,
        at: world.now(),
        state: None,
        reason: None,
        attempts: 0,
        expires_at: None,
    };
    let fetch = MediaFetch {
        message: id,
        channel: channel("wx"),
        due: world.now(),
        attempts: 0,
    };
    world
        .commit(Changes {
            messages: vec![row],
            fetches: vec![fetch],
            ..Changes::default()
        })
        .await;
    id
}

/// The message's parts once this is true of them.
async fn parts(world: &World, id: MessageId, is: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    world
        .until("the files", || async {
            let content = world.message(id).await.content;
            let parts: Vec<Value> = content
                .iter()
                .map(|part| serde_json::to_value(part).expect("JSON"))
                .collect();
            is(&parts).then_some(parts)
        })
        .await
}

fn is_here(part: &Value) -> bool {
    part["url"]
        .as_str()
        .is_some_and(|url| url.starts_with("/media/"))
}

async fn bytes(world: &World, part: &Value) -> Vec<u8> {
    let token = part["url"]
        .as_str()
        .and_then(|url| url.strip_prefix("/media/"));
    let token = BlobToken::parse(token.expect("ours")).expect("a token");
    let found = world.blobs.get(&token).await.expect("it answers");
    let (_, body) = found.expect("it is there");
    collect(body, 1 << 20).await.expect("whole").to_vec()
}

async fn files_take_their_place(home: stores::Home) {
    let guard = Guard::new().await;
    let world = home.world(plans(&guard));
    let _sinks = world.sinks();
    let id = comes(&world, "ada", &["photo", "gone"]).await;
    let parts = parts(&world, id, |parts| is_here(&parts[0])).await;
    assert_eq!(parts[0]["mime"], "image/png");
    assert_eq!(parts[0]["size"], PHOTO.len());
    assert_eq!(parts[0]["name"], "photo.png");
    assert_eq!(parts[0]["caption"], "see");
    assert_eq!(bytes(&world, &parts[0]).await, PHOTO);
    assert_eq!(parts[1]["url"], "provider:gone", "what is lost stays named");
    let note = parts[1]["note"].as_str().expect("a note");
    assert!(note.contains("does not have the file"), "{note}");
    let events = world.store.events(0, 10).await.expect("it answers");
    let told: Vec<&Value> = events
        .iter()
        .map(|event| &event.data["message_id"])
        .collect();
    assert_eq!(told, [&json!(id)], "consoles are told once");
    let left = world.store.claim_media(Duration::ZERO, 10).await;
    assert_eq!(left.expect("it answers"), []);
}

async fn who_dies_over_a_file_leaves_it_to_the_next(home: stores::Home) {
    let guard = Guard::new().await;
    guard.state.files_hang.store(true, Ordering::SeqCst);
    let world = home.world(plans(&guard));
    let short = |options: &mut patchbay_sinks::SinksOptions| {
        options.media.claim_ttl = Duration::from_secs(2);
        options.media.turn_max = Duration::from_secs(1);
    };
    let dies = world.sinks_with(short);
    let id = comes(&world, "ada", &["photo"]).await;
    world
        .until("somebody fetches", || async {
            (guard.files() == 1).then_some(())
        })
        .await;
    dies.kill().await;
    let _survives = world.sinks_with(short);
    let parts = parts(&world, id, |parts| is_here(&parts[0])).await;
    assert_eq!(bytes(&world, &parts[0]).await, PHOTO);
    assert_eq!(guard.files(), 2);
}

stores::on_both!(
    files_take_their_place,
    who_dies_over_a_file_leaves_it_to_the_next,
);

#[tokio::test]
async fn what_fails_is_tried_again_and_what_came_is_kept() {
    let guard = Guard::new().await;
    guard.state.files_failing.store(1, Ordering::SeqCst);
    let world = World::new(plans(&guard));
    let _sinks = world.sinks();
    let id = comes(&world, "ada", &["later", "photo"]).await;
    let half = parts(&world, id, |parts| is_here(&parts[1])).await;
    assert!(!is_here(&half[0]));
    let whole = parts(&world, id, |parts| is_here(&parts[0])).await;
    assert_eq!(whole[1], half[1], "fetched once");
    assert_eq!(guard.files(), 3);
}

#[tokio::test]
async fn a_file_that_hangs_keeps_no_later_one_from_coming() {
    let guard = Guard::new().await;
    guard.state.files_hang.store(true, Ordering::SeqCst);
    let world = World::new(plans(&guard));
    let _sinks = world.sinks();
    let hangs = comes(&world, "ada", &["photo"]).await;
    world
        .until("somebody fetches", || async {
            (guard.files() == 1).then_some(())
        })
        .await;
    let later = comes(&world, "bob", &["photo"]).await;
    parts(&world, later, |parts| is_here(&parts[0])).await;
    parts(&world, hangs, |parts| !is_here(&parts[0])).await;
}

#[tokio::test]
async fn a_token_refused_over_a_file_is_renewed() {
    let guard = Guard::new().await;
    let world = World::new(plans(&guard));
    let _sinks = world.sinks();
    let first = comes(&world, "ada", &["photo"]).await;
    parts(&world, first, |parts| is_here(&parts[0])).await;
    guard.revoke();
    let second = comes(&world, "bob", &["photo"]).await;
    parts(&world, second, |parts| is_here(&parts[0])).await;
    assert_eq!(guard.fetches(), (2, 1));
}

#[tokio::test]
async fn a_file_that_is_too_large_or_too_old_is_noted() {
    let guard = Guard::new().await;
    guard.state.files_failing.store(u32::MAX, Ordering::SeqCst);
    let world = World::new(plans(&guard));
    let sinks = world.sinks_with(|options| options.media.try_for = Duration::ZERO);
    let old = comes(&world, "ada", &["later"]).await;
    let noted = parts(&world, old, |parts| parts[0]["note"].is_string()).await;
    assert_eq!(noted[0]["note"], "the file could not be fetched in time");
    sinks.stop().await;

    let guard = Guard::new().await;
    let world = World::new(plans(&guard));
    let _sinks = world.sinks_with(|options| options.media.file_bytes_max = PHOTO.len() - 1);
    let large = comes(&world, "ada", &["photo"]).await;
    let noted = parts(&world, large, |parts| parts[0]["note"].is_string()).await;
    let note = noted[0]["note"].as_str().expect("a note");
    assert!(note.contains("larger than"), "{note}");
    let content = world.message(large).await.content;
    assert!(matches!(content[0], Content::Known(Part::Image { .. })));
}
