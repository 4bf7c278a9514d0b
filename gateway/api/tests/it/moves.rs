//! Assign, close, reopen, snooze: what is allowed, and what is refused without a trace.

use std::time::Duration;

use patchbay_message::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::house::{House, until};

struct Desk {
    house: House,
    id: String,
    ann: (String, String),
    bob: (String, String),
}

async fn desk() -> Desk {
    let house = House::new().await;
    let ann = house.agent("Ann", "agent").await;
    let bob = house.agent("Bob", "agent").await;
    let id = house.say("v1", "Hello?").await;
    // The assigner has looked: nobody is online.
    let path = format!("/conversations/{id}");
    until("a waiting conversation", || async {
        (house.get(&path, &ann.1).await.ok()["state"] == "waiting").then_some(())
    })
    .await;
    Desk {
        house,
        id,
        ann,
        bob,
    }
}

impl Desk {
    async fn act(&self, what: &str, body: &Value) -> crate::call::Answer {
        let path = format!("/conversations/{}/{what}", self.id);
        self.house.post(&path, &self.ann.1, body).await
    }

    /// It is refused, the sentence names the state, and nothing has changed.
    async fn refused(&self, what: &str, body: &Value) {
        let before = self.shown().await;
        let sentence = self.act(what, body).await.problem(409, "bad_transition");
        let state = before["state"].as_str().unwrap();
        assert!(sentence.contains(state), "{what}: {sentence}");
        assert_eq!(self.shown().await, before, "{what}");
    }

    async fn shown(&self) -> Value {
        let path = format!("/conversations/{}", self.id);
        self.house.get(&path, &self.ann.1).await.ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_through_its_states() {
    let desk = desk().await;
    assert_eq!(desk.shown().await["position"], 1);
    desk.act("assign", &json!({ "agent_id": desk.bob.0 }))
        .await
        .ok();
    let shown = desk.shown().await;
    assert_eq!(
        (&shown["state"], &shown["agent"]["name"]),
        (&json!("open"), &json!("Bob"))
    );
    assert_eq!(shown["position"], Value::Null);
    let until = SystemClock.now().plus(Duration::from_secs(3600));
    desk.act("snooze", &json!({ "until": until })).await.ok();
    assert_eq!(desk.shown().await["state"], "snoozed");
    // A body is not needed.
    let path = format!("/conversations/{}/reopen", desk.id);
    let call = desk.house.call("POST", &path).token(&desk.ann.1);
    call.send().await.ok();
    assert_eq!(desk.shown().await["state"], "open");
    desk.act("close", &json!({ "resolved": true })).await.ok();
    assert_eq!(desk.shown().await["state"], "resolved");
    desk.act("reopen", &json!({})).await.ok();
    let outcome = desk.act("close", &json!({})).await.ok();
    let shown = desk.shown().await;
    assert_eq!(shown["state"], "closed");
    assert_eq!(shown["agent"], Value::Null);
    assert_eq!(shown["version"], outcome["version"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_possible_is_409_and_changes_nothing() {
    let desk = desk().await;
    let later = SystemClock.now().plus(Duration::from_secs(3600));
    let resolve = json!({ "resolved": true });
    let snooze = json!({ "until": later });
    let assign = json!({ "agent_id": desk.bob.0 });
    desk.refused("reopen", &json!({})).await;
    desk.act("close", &resolve).await.ok();
    desk.refused("close", &resolve).await;
    desk.refused("snooze", &snooze).await;
    desk.act("close", &json!({})).await.ok();
    for (what, body) in [
        ("close", &json!({})),
        ("reopen", &json!({})),
        ("assign", &assign),
        ("snooze", &snooze),
    ] {
        desk.refused(what, body).await;
    }
    let reply = desk.house.reply(&desk.id, &desk.ann.1, "Hi!", "k1").await;
    reply.problem(409, "bad_transition");
}

#[tokio::test(flavor = "multi_thread")]
async fn assigning_to_nobody_there_is_told_by_name() {
    let desk = desk().await;
    let nobody = patchbay_message::AgentId::new();
    let sentence = desk.act("assign", &json!({ "agent_id": nobody })).await;
    let sentence = sentence.problem(404, "not_found");
    assert!(sentence.contains("agent"), "{sentence}");
    let sentence = desk.act("assign", &json!({ "group_id": nobody })).await;
    let sentence = sentence.problem(404, "not_found");
    assert!(sentence.contains("group"), "{sentence}");
    let past = SystemClock.now().minus(Duration::from_secs(1));
    let sentence = desk.act("snooze", &json!({ "until": past })).await;
    let sentence = sentence.problem(400, "bad_request");
    assert!(sentence.contains("`until`"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_given_a_conversation_and_shows_it() {
    let desk = desk().await;
    let fields = json!({ "name": "Sales", "members": [desk.ann.0] });
    let group = desk.house.operate("POST", "/groups").json(&fields);
    let group = group.send().await.ok();
    let body = json!({ "group_id": group["id"] });
    desk.act("assign", &body).await.ok();
    let shown = desk.shown().await;
    assert_eq!(shown["state"], "waiting");
    assert_eq!(shown["group"]["name"], "Sales");
}
