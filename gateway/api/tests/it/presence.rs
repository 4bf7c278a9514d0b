//! Presence: what an agent says, and what the console's absence says.

use futures_util::StreamExt;
use serde_json::json;

use crate::{
    house::{House, until},
    live::Console,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_is_online_is_given_what_waits() {
    let house = House::new().await;
    let (ann, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let call = house.call("PUT", "/me/presence").token(&token);
    let me = call.json(&json!({ "presence": "online" })).send().await;
    assert_eq!(me.ok()["presence"], "online");
    let path = format!("/conversations/{id}");
    until("the assignment", || async {
        let shown = house.get(&path, &token).await.ok();
        (shown["agent"]["id"] == ann.as_str()).then_some(())
    })
    .await;
    assert_eq!(house.get("/me", &token).await.ok()["load"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_vanishes_makes_its_agent_offline_after_the_grace() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let (_, watcher) = house.agent("Sue", "supervisor").await;
    let watching = Console::open(&house, &watcher, None).await;
    let console = Console::open(&house, &token, None).await;
    let call = house.call("PUT", "/me/presence").token(&token);
    call.json(&json!({ "presence": "online" }))
        .send()
        .await
        .ok();
    // As long as it is there nothing happens, however long that is.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    assert_eq!(house.get("/me", &token).await.ok()["presence"], "online");
    drop(console);
    until("the agent to be offline", || async {
        (house.get("/me", &token).await.ok()["presence"] == "offline").then_some(())
    })
    .await;
    let mut seen = Box::pin(watching.events());
    loop {
        let event = seen.next().await.expect("the event is told");
        if event["type"] == "agent" && event["data"]["presence"] == "offline" {
            assert_eq!(event["data"]["name"], "Ann");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_comes_back_within_the_grace_was_never_away() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let console = Console::open(&house, &token, None).await;
    let call = house.call("PUT", "/me/presence").token(&token);
    call.json(&json!({ "presence": "online" }))
        .send()
        .await
        .ok();
    drop(console);
    let _again = Console::open(&house, &token, None).await;
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    assert_eq!(house.get("/me", &token).await.ok()["presence"], "online");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_works_without_a_console_stays_online() {
    let house = House::new().await;
    let (_, token) = house.agent("Robot", "agent").await;
    let call = house.call("PUT", "/me/presence").token(&token);
    call.json(&json!({ "presence": "online" }))
        .send()
        .await
        .ok();
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    assert_eq!(house.get("/me", &token).await.ok()["presence"], "online");
}
