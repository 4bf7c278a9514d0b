//! Channels: listed, paused, resumed.

use serde_json::{Value, json};

use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_paused_with_a_reason_and_resumed() {
    let house = House::new().await;
    let (_, token) = house.agent("Sue", "supervisor").await;
    let list = house.get("/channels", &token).await;
    assert_eq!(list.all("id"), ["web-main", "sms-main"]);
    assert_eq!(list.all("state"), ["running", "running"]);
    let path = "/channels/sms-main";
    let reason = json!({ "reason": "provider is down" });
    let paused = house.post(&format!("{path}/pause"), &token, &reason).await;
    let paused = paused.ok();
    assert_eq!(paused["state"], "paused");
    assert_eq!(paused["reason"], "provider is down");
    assert_eq!(paused["backlog"], 0);
    assert_eq!(paused["last_error"], Value::Null);
    let list = house.get("/channels", &token).await;
    assert_eq!(list.all("state"), ["running", "paused"]);
    let call = house.call("POST", &format!("{path}/resume")).token(&token);
    assert_eq!(call.send().await.ok()["state"], "running");
    let long = json!({ "reason": "x".repeat(501) });
    let long = house.post(&format!("{path}/pause"), &token, &long).await;
    let sentence = long.problem(400, "bad_request");
    assert!(sentence.contains("`reason`"), "{sentence}");
}
