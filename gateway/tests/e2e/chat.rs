//! One message all the way through and back, on both pairs.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{
    agent::Agent,
    config::{Pair, System},
    process::Process,
    visitor::Visitor,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_visitor_and_an_agent_talk_on_the_embedded_pair() {
    let system = System::new(Pair::Embedded);
    let mut up = Process::new(&system, "up");
    up.start().await;
    talk(&[up.url()], &[up.admin_url()]).await;
    assert_eq!(up.stop().await, Some(0), "a graceful end");
}

#[tokio::test]
async fn a_visitor_and_an_agent_talk_on_rabbitmq_and_postgresql() {
    let system = System::new(Pair::servers());
    let mut processes: Vec<Process> = ["gateway", "gateway", "router", "sinks"]
        .map(|role| Process::new(&system, role))
        .into();
    for process in &mut processes {
        process.spawn("");
    }
    for process in &mut processes {
        process.ready().await;
    }
    // The visitor talks to one gateway, the agent to the other.
    talk(&[processes[0].url()], &[processes[1].admin_url()]).await;
}

async fn talk(gateways: &[String], admins: &[String]) {
    let operator = Agent::operator(admins);
    let ada = operator.hire(gateways, "Ada", "agent", 5).await;
    ada.presence("online").await;

    let mut visitor = Visitor::new(gateways).await;
    visitor.say("1", "my lamp does not work");
    visitor
        .until("acceptance", PATIENCE, |visitor| {
            visitor.accepted.len() == 1
        })
        .await;
    let conversation = ada.conversation_of(&visitor.address).await;
    let id = conversation["id"].as_str().expect("an id");
    ada.reply(id, "have you tried the switch?", "r1").await;
    visitor
        .until("the reply", PATIENCE, |visitor| {
            visitor.replies().len() == 1
        })
        .await;
    assert_eq!(visitor.own(), ["my lamp does not work"]);
    assert_eq!(visitor.replies(), ["have you tried the switch?"]);

    // The same key again says the same and sends nothing.
    ada.reply(id, "have you tried the switch?", "r1").await;
    ada.reply(id, "or the bulb?", "r2").await;
    // A visitor who comes back gets what was missed, once.
    visitor.cut();
    visitor.say("2", "it was the bulb");
    visitor
        .until("everything", PATIENCE, |visitor| visitor.shown.len() == 4)
        .await;
    assert_eq!(
        visitor.replies(),
        ["have you tried the switch?", "or the bulb?"]
    );
    assert_eq!(visitor.own(), ["my lamp does not work", "it was the bulb"]);
    let assigned = ada.conversation_of(&visitor.address).await;
    assert_eq!(assigned["agent"]["name"], "Ada");

    // Whoever was away is told who answers, and how far they have read.
    let read = format!("/conversations/{id}/read");
    ada.must(Method::POST, &read, json!({ "seq": visitor.seq() }))
        .await;
    visitor.cut();
    visitor.other.clear();
    visitor
        .until("the greeting of the server", PATIENCE, |visitor| {
            visitor.other.iter().any(|frame| frame["type"] == "ready")
        })
        .await;
    let ready = visitor.other.iter().find(|frame| frame["type"] == "ready");
    let ready = ready.expect("waited for");
    assert_eq!(ready["agent_read"], 4);
    assert_eq!(ready["queue"]["state"], "assigned");
    assert_eq!(ready["queue"]["agent"], "Ada");
}
