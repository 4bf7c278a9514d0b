//! Replies and notes: done once under a key, waited for, and never silently lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{House, options, thread, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_done_and_comes_back_as_the_message_it_made() {
    let house = House::new().await;
    let (ann, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let outcome = house.reply(&id, &token, "Hi!", "k1").await.ok();
    assert_eq!(outcome["status"], "done");
    assert_eq!(outcome["problem"], Value::Null);
    let message = &outcome["message"];
    assert_eq!(message["content"][0]["text"], "Hi!");
    assert_eq!(message["kind"], "message");
    assert_eq!(message["direction"], "outbound");
    assert_eq!(message["seq"], 2);
    assert_eq!(message["from"]["kind"], "agent");
    assert_eq!(message["from"]["id"], ann.as_str());
    assert_eq!(message["from"]["name"], "Ann");
    assert_eq!(message["delivery"]["state"], "queued");
    let later = house
        .get(
            &format!("/commands/{}", outcome["command_id"].as_str().unwrap()),
            &token,
        )
        .await
        .ok();
    assert_eq!(later["status"], "done");
    assert_eq!(later["message"]["id"], message["id"]);
    let shown = house.get(&format!("/conversations/{id}"), &token).await;
    let shown = shown.ok();
    assert_eq!(shown["state"], "pending");
    assert_eq!(shown["agent"]["name"], "Ann");
    assert_eq!(shown["version"], outcome["version"]);
    assert_eq!(shown["last_message"]["preview"], "Hi!");
    assert_eq!(shown["unread"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_done_once_however_often_and_at_once() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let again = (0..8).map(|_| house.reply(&id, &token, "Hi!", "k1"));
    let answers = futures_util::future::join_all(again).await;
    let mut made: Vec<String> = answers
        .into_iter()
        .map(|answer| answer.ok()["message"]["id"].to_string())
        .collect();
    made.dedup();
    assert_eq!(made.len(), 1, "{made:?}");
    let rows = house.store.history(thread("v1"), 0, 100).await.unwrap();
    assert_eq!(rows.len(), 2, "the question and one answer");
    // Another agent's key is another key.
    let (_, bob) = house.agent("Bob", "agent").await;
    let other = house.reply(&id, &bob, "Hi from me", "k1").await.ok();
    assert_ne!(other["message"]["id"].to_string(), made[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn minimal_says_no_more_than_the_outcome() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let body = json!({ "content": [{ "type": "text", "text": "Hi!" }] });
    let call = house.call("POST", &format!("/conversations/{id}/reply"));
    let call = call.token(&token).key("k1").json(&body);
    let outcome = call.header("prefer", "return=minimal").send().await.ok();
    assert_eq!(outcome["status"], "done");
    assert_eq!(outcome["message"], Value::Null);
    assert!(outcome["message_id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_refuses_the_reply_and_changes_nothing() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let before = house.get(&format!("/conversations/{id}"), &token).await;
    let version = before.ok()["version"].as_i64().unwrap();
    let body = json!({ "content": [{ "type": "text", "text": "Hi!" }], "version": version + 7 });
    let path = format!("/conversations/{id}/reply");
    let call = house.call("POST", &path).token(&token).key("k1");
    let sentence = call.json(&body).send().await;
    let sentence = sentence.problem(409, "version_conflict");
    assert!(sentence.contains("changed"), "{sentence}");
    let rows = house.store.history(thread("v1"), 0, 100).await.unwrap();
    assert_eq!(rows.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_kept_and_the_contact_never_sees_it() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let path = format!("/conversations/{id}/note");
    let call = house.call("POST", &path).token(&token).key("n1");
    let outcome = call.json(&json!({ "text": "VIP" })).send().await.ok();
    assert_eq!(outcome["message"]["kind"], "note");
    assert_eq!(outcome["message"]["seq"], Value::Null);
    let rows = house.store.history(thread("v1"), 0, 100).await.unwrap();
    assert_eq!(rows.len(), 1, "the contact's own view is unchanged");
    let all = house
        .get(&format!("/conversations/{id}/messages"), &token)
        .await;
    assert!(all.all("kind").contains(&"note".to_owned()));
    let call = house.call("POST", &path).token(&token).key("n2");
    let sentence = call.json(&json!({ "text": "  " })).send().await;
    let sentence = sentence.problem(400, "bad_request");
    assert!(sentence.contains("`text`"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_takes_long_is_202_and_its_end_can_be_asked_for() {
    let options = patchbay_api::ApiOptions {
        command_wait: Duration::from_millis(50),
        ..options()
    };
    let mut house = House::with(options.clone()).await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    house.stop_router().await;
    let answer = house.reply(&id, &token, "Hi!", "k1").await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.body["status"], "pending");
    let command = answer.body["command_id"].as_str().unwrap().to_owned();
    let path = format!("/commands/{command}");
    let pending = house.get(&path, &token).await;
    assert_eq!(pending.status, 202);
    house.route();
    let end = until("the outcome", || async {
        let answer = house.get(&path, &token).await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert_eq!(end["status"], "done");
    assert_eq!(end["message"]["content"][0]["text"], "Hi!");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_is_503_with_retry_after_and_nothing_is_sent() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    house.bus.shut(true);
    let answer = house.reply(&id, &token, "Hi!", "k1").await;
    let after = answer.headers["retry-after"].to_str().unwrap().to_owned();
    assert!(after.parse::<u32>().unwrap() >= 1);
    answer.problem(503, "unavailable");
    house.bus.shut(false);
    house.reply(&id, &token, "Hi!", "k1").await.ok();
    let rows = house.store.history(thread("v1"), 0, 100).await.unwrap();
    assert_eq!(rows.len(), 2);
}
