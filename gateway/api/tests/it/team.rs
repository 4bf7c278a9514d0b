//! Agents, groups and tokens.

use std::time::Duration;

use patchbay_message::Clock;
use serde_json::{Value, json};

use crate::house::{House, until};

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_made_changed_and_listed() {
    let house = House::new().await;
    let (id, token) = house.agent("Ann", "agent").await;
    let me = house.get("/me", &token).await.ok();
    assert_eq!((&me["id"], &me["role"]), (&json!(id), &json!("agent")));
    assert_eq!(me["presence"], "offline");
    assert_eq!(me["groups"], json!([]));
    let path = format!("/agents/{id}");
    let fields = json!({ "name": "Anna", "capacity": 3 });
    let changed = house.operate("PATCH", &path).json(&fields).send().await;
    assert_eq!(changed.ok()["name"], "Anna");
    let shown = house.get(&path, &token).await.ok();
    assert_eq!(
        (&shown["name"], &shown["capacity"]),
        (&json!("Anna"), &json!(3))
    );
    assert_eq!(house.get("/agents", &token).await.all("name"), ["Anna"]);
    let taken = json!({ "name": "Anna", "role": "agent" });
    let taken = house.operate("POST", "/agents").json(&taken).send().await;
    taken.problem(409, "conflict");
    let nameless = json!({ "role": "agent" });
    let nameless = house
        .operate("POST", "/agents")
        .json(&nameless)
        .send()
        .await;
    let sentence = nameless.problem(422, "refused");
    assert!(sentence.contains("name"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_leaves_is_out_at_once() {
    let house = House::new().await;
    let (id, token) = house.agent("Ann", "agent").await;
    house.get("/me", &token).await.ok();
    let path = format!("/agents/{id}");
    let gone = house
        .operate("PATCH", &path)
        .json(&json!({ "active": false }));
    gone.send().await.ok();
    house.get("/me", &token).await.problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_made_changed_and_deleted() {
    let house = House::new().await;
    let (ann, token) = house.agent("Ann", "agent").await;
    let fields = json!({ "name": "Sales", "strategy": "least_loaded", "members": [ann], "channels": ["web-main"] });
    let group = house.operate("POST", "/groups").json(&fields).send().await;
    let group = group.ok();
    assert_eq!(group["members"], json!([ann]));
    let me = house.get("/me", &token).await.ok();
    assert_eq!(
        me["groups"],
        json!([{ "id": group["id"], "name": "Sales" }])
    );
    let path = format!("/groups/{}", group["id"].as_str().unwrap());
    let fields = json!({ "name": "Support", "members": [] });
    let changed = house.operate("PATCH", &path).json(&fields).send().await;
    let changed = changed.ok();
    assert_eq!(
        changed["strategy"], "least_loaded",
        "what was not named stays"
    );
    assert_eq!(changed["members"], json!([]));
    let unknown = json!({ "channels": ["nowhere"] });
    let unknown = house.operate("PATCH", &path).json(&unknown).send().await;
    let sentence = unknown.problem(400, "bad_request");
    assert!(sentence.contains("nowhere"), "{sentence}");
    let stranger = json!({ "members": [patchbay_message::AgentId::new()] });
    let stranger = house.operate("PATCH", &path).json(&stranger).send().await;
    stranger.problem(422, "refused");
    assert_eq!(house.get("/groups", &token).await.all("name"), ["Support"]);
    let gone = house.operate("DELETE", &path).send().await;
    assert_eq!(gone.status, 204);
    assert!(house.get("/groups", &token).await.all("name").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_ends_when_revoked_or_expired() {
    let house = House::new().await;
    let until_then = house.clock.now().plus(Duration::from_secs(60));
    let fields = json!({ "name": "report", "role": "auditor", "expires_at": until_then });
    let made = house.operate("POST", "/tokens").json(&fields).send().await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with(patchbay_api::TOKEN_PREFIX) && text.len() > 40);
    let me = house.get("/me", text).await.ok();
    assert_eq!((&me["id"], &me["role"]), (&Value::Null, &json!("auditor")));
    let list = house.operate("GET", "/tokens").send().await;
    assert!(!list.body.to_string().contains(text), "kept nowhere");
    assert_eq!(list.all("name"), ["report"]);
    house.clock.advance(Duration::from_secs(61));
    until("the token to expire", || async {
        (house.get("/me", text).await.status == 401).then_some(())
    })
    .await;
    let fields = json!({ "name": "robot", "role": "agent" });
    let made = house.operate("POST", "/tokens").json(&fields).send().await;
    let made = made.ok();
    let text = made["token"].as_str().unwrap();
    house.get("/me", text).await.ok();
    let path = format!("/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(house.operate("DELETE", &path).send().await.status, 204);
    house.get("/me", text).await.problem(401, "unauthorized");
    let none = json!({ "name": "x", "agent_id": patchbay_message::AgentId::new() });
    let none = house.operate("POST", "/tokens").json(&none).send().await;
    let sentence = none.problem(400, "bad_request");
    assert!(sentence.contains("`agent_id`"), "{sentence}");
    let none = json!({ "name": "x" });
    let none = house.operate("POST", "/tokens").json(&none).send().await;
    let sentence = none.problem(400, "bad_request");
    assert!(sentence.contains("`role`"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_never_allows_more_than_its_agent_may() {
    let house = House::new().await;
    let (id, token) = house.agent("Ada", "admin").await;
    house.get("/tokens", &token).await.ok();
    let path = format!("/agents/{id}");
    let less = house
        .operate("PATCH", &path)
        .json(&json!({ "role": "agent" }));
    less.send().await.ok();
    house.get("/tokens", &token).await.problem(403, "forbidden");
    assert_eq!(house.get("/me", &token).await.ok()["role"], "agent");
}
