//! Dead letters: looked at, edited, replayed once, dropped.

use bytes::Bytes;
use patchbay_bus::{Message, Queue};
use patchbay_message::{Direction, MessageId};
use patchbay_store::{Changes, DeadLetter};
use serde_json::{Value, json};

use crate::house::{House, channel, said, thread, until};

struct Morgue {
    house: House,
    token: String,
}

async fn morgue() -> Morgue {
    let house = House::new().await;
    let (_, token) = house.agent("Sue", "supervisor").await;
    Morgue { house, token }
}

impl Morgue {
    /// Something that cannot be read comes in; answers the letter's id.
    async fn garbage(&self, body: &'static [u8]) -> String {
        let id = MessageId::new();
        let message = Message {
            id,
            kind: "message".into(),
            body: Bytes::from_static(body),
        };
        self.house.publish((Queue::Inbound(0), message)).await;
        self.dead(&id.to_string()).await
    }

    async fn dead(&self, id: &str) -> String {
        until("the dead letter", || async {
            let list = self.house.get("/dead", &self.token).await;
            list.all("id").contains(&id.to_owned()).then_some(())
        })
        .await;
        id.to_owned()
    }

    /// A reply that could not be sent, as the sinks leave it; answers its id and conversation.
    async fn lost_reply(&self) -> (String, String) {
        let (_, ann) = self.house.agent("Ann", "agent").await;
        let id = self.house.say("v1", "Hello?").await;
        let outcome = self.house.reply(&id, &ann, "Hi!", "k1").await.ok();
        let message = outcome["message"]["id"].as_str().unwrap();
        let envelope = json!({
            "schema": 1, "type": "message", "id": message, "direction": "outbound",
            "channel": {"id": "web-main", "kind": "webchat"}, "partition_key": "web-main:v1",
            "conversation_id": id, "out_seq": 1, "thread_seq": 2, "lane_key": thread("v1"),
            "recipient": {"address": "v1"}, "content": [{"type": "text", "text": "Hi!"}],
            "received_at": "2026-01-01T00:00:00.000Z", "authenticity": "none",
        });
        let letter = DeadLetter {
            id: message.parse().unwrap(),
            direction: Direction::Outbound,
            channel: channel(),
            conversation_id: Some(id.parse().unwrap()),
            lane: Some(thread("v1")),
            reason: "payload".into(),
            detail: "the provider cannot read it".into(),
            attempts: 3,
            exchange: Some(json!({ "status": 422 })),
            envelope: envelope.to_string().into(),
            at: "2026-01-01T00:00:00.000Z".parse().unwrap(),
            status: "dead".into(),
        };
        let changes = Changes {
            dead: vec![letter],
            ..Changes::default()
        };
        self.house.store.commit(changes).await.unwrap();
        (message.to_owned(), id)
    }

    async fn call(&self, method: &str, path: &str) -> crate::call::Answer {
        let call = self.house.call(method, path).token(&self.token);
        call.send().await
    }

    async fn edit(&self, id: &str, envelope: &Value) -> crate::call::Answer {
        let body = json!({ "envelope": envelope });
        let call = self.house.call("PATCH", &format!("/dead/{id}"));
        call.token(&self.token).json(&body).send().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_shown_edited_and_replayed() {
    let morgue = morgue().await;
    let id = morgue.garbage(b"{ not json").await;
    let path = format!("/dead/{id}");
    let shown = morgue.call("GET", &path).await.ok();
    assert_eq!(shown["reason"], "undecodable");
    assert_eq!(shown["direction"], "inbound");
    assert_eq!(shown["envelope"], "{ not json", "as it came");
    // The list says less.
    let list = morgue.call("GET", "/dead").await;
    assert!(list.body["items"][0].get("envelope").is_none());
    let replay = morgue.call("POST", &format!("{path}/replay")).await;
    let sentence = replay.problem(400, "bad_request");
    assert!(sentence.contains("edit"), "{sentence}");
    let (_, good) = said(
        "v1",
        "Hello at last",
        &json!({ "dedupe_key": "web-main:v1:1" }),
    );
    let good: Value = serde_json::from_slice(&good.body).unwrap();
    let edited = morgue.edit(&id, &good).await.ok();
    assert_eq!(edited["channel"]["id"], "web-main");
    assert_eq!(edited["preview"], "Hello at last");
    let replay = morgue.call("POST", &format!("{path}/replay")).await.ok();
    assert_ne!(replay["id"], good["id"], "a new identity");
    morgue.house.heard("v1", "Hello at last").await;
    let again = morgue.call("POST", &format!("{path}/replay")).await;
    let sentence = again.problem(409, "conflict");
    assert!(sentence.contains("replayed"), "{sentence}");
    assert!(morgue.call("GET", "/dead").await.all("id").is_empty());
    let replayed = morgue.call("GET", "/dead?status=replayed").await;
    assert_eq!(replayed.all("id"), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbound_replayed_by_many_at_once_is_delivered_once() {
    let morgue = morgue().await;
    let id = morgue.garbage(b"[]").await;
    // Nothing about the message itself makes it unique.
    let (_, good) = said("v1", "Once", &Value::Null);
    let good: Value = serde_json::from_slice(&good.body).unwrap();
    morgue.edit(&id, &good).await.ok();
    let path = format!("/dead/{id}/replay");
    let replays = (0..8).map(|_| morgue.call("POST", &path));
    let answers = futures_util::future::join_all(replays).await;
    let done: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect();
    assert!(!done.is_empty());
    assert!(
        answers.iter().all(|a| a.status == 200 || a.status == 409),
        "{answers:?}"
    );
    assert!(done.iter().all(|answer| answer.body == done[0].body));
    morgue.house.heard("v1", "Once").await;
    // What comes after it has the next number: nothing is between.
    morgue.house.say("v1", "Twice").await;
    let rows = morgue
        .house
        .store
        .history(thread("v1"), 0, 10)
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_sent_once_more_at_the_end_of_its_conversation() {
    let morgue = morgue().await;
    let (id, conversation) = morgue.lost_reply().await;
    let list = morgue.call("GET", "/dead?channel=web-main").await;
    assert_eq!(list.all("id"), [id.as_str()]);
    let item = &list.body["items"][0];
    assert_eq!(item["reason"], "payload");
    assert_eq!(item["detail"], "the provider cannot read it");
    assert_eq!(item["conversation_id"], conversation.as_str());
    assert_eq!(item["preview"], "Hi!");
    assert_eq!(
        morgue
            .call("GET", "/dead?channel=sms-main")
            .await
            .all("id")
            .len(),
        0
    );
    let shown = morgue.call("GET", &format!("/dead/{id}")).await.ok();
    assert_eq!(shown["exchange"]["status"], 422);
    assert_eq!(shown["envelope"]["content"][0]["text"], "Hi!");
    morgue.house.say("v1", "Are you there?").await;
    let path = format!("/dead/{id}/replay");
    let replays = (0..6).map(|_| morgue.call("POST", &path));
    let answers = futures_util::future::join_all(replays).await;
    let done: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect();
    assert!(
        answers.iter().all(|a| a.status == 200 || a.status == 409),
        "{answers:?}"
    );
    assert!(done.iter().all(|answer| answer.body == done[0].body));
    let rows = morgue
        .house
        .store
        .history(thread("v1"), 0, 10)
        .await
        .unwrap();
    let texts: Vec<_> = rows
        .iter()
        .filter_map(|row| row.content[0].as_text())
        .collect();
    assert_eq!(texts, ["Hello?", "Hi!", "Are you there?", "Hi!"]);
    assert_eq!(done[0].body["id"], rows[3].id.to_string());
    assert_eq!(
        rows[3].agent_id, rows[1].agent_id,
        "said by whom it was said"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_replay_stays_dead_and_works_when_the_reason_is_gone() {
    let morgue = morgue().await;
    let (id, conversation) = morgue.lost_reply().await;
    let path = format!("/dead/{id}/replay");
    let assign = format!("/conversations/{conversation}");
    let fields = json!({ "content": [] });
    let mut envelope = morgue.call("GET", &format!("/dead/{id}")).await.ok()["envelope"].clone();
    envelope["content"] = fields["content"].clone();
    morgue.edit(&id, &envelope).await.ok();
    let refused = morgue.call("POST", &path).await;
    refused.problem(422, "content");
    assert_eq!(morgue.call("GET", "/dead").await.all("id"), [id.as_str()]);
    envelope["content"] = json!([{ "type": "text", "text": "Hi again" }]);
    morgue.edit(&id, &envelope).await.ok();
    morgue.call("POST", &path).await.ok();
    let shown = morgue.call("GET", &assign).await.ok();
    assert_eq!(shown["last_message"]["preview"], "Hi again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_checked_and_a_dropped_letter_is_out_of_the_way() {
    let morgue = morgue().await;
    let (id, _) = morgue.lost_reply().await;
    let path = format!("/dead/{id}");
    let good = morgue.call("GET", &path).await.ok()["envelope"].clone();
    let changed = |field: &str, value: Value| {
        let mut envelope = good.clone();
        envelope[field] = value;
        envelope
    };
    for (envelope, what) in [
        (json!("text"), "envelope"),
        (json!({}), "envelope"),
        (changed("schema", json!(9)), "schema"),
        (changed("content", json!("Hi")), "content"),
        (changed("direction", json!("inbound")), "direction"),
        (
            changed("channel", json!({ "id": "gone", "kind": "x" })),
            "channel",
        ),
    ] {
        let answer = morgue.edit(&id, &envelope).await;
        let sentence = answer.problem(400, "bad_request");
        assert!(sentence.contains(what), "{envelope}: {sentence}");
    }
    assert_eq!(morgue.call("DELETE", &path).await.status, 204);
    assert!(morgue.call("GET", "/dead").await.all("id").is_empty());
    morgue.call("DELETE", &path).await.problem(409, "conflict");
    morgue.edit(&id, &good).await.problem(409, "conflict");
    let replay = morgue.call("POST", &format!("{path}/replay")).await;
    let sentence = replay.problem(409, "conflict");
    assert!(sentence.contains("dropped"), "{sentence}");
    let dropped = morgue.call("GET", "/dead?status=dropped").await;
    assert_eq!(dropped.all("id"), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_dead_letters_are_complete() {
    let morgue = morgue().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(morgue.garbage(b"?").await);
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = morgue
            .call("GET", &format!("/dead?limit=3&cursor={cursor}"))
            .await;
        found.extend(page.all("id"));
        match page.body["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
}
