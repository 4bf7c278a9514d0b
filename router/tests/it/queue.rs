//! The queue for agents: limits hold with several routers, nobody is left behind, rests end.

use std::{collections::HashMap, time::Duration};

use patchbay_bus::{Bus as _, Mailbox};
use patchbay_message::{
    AgentId, Clock as _, Command, CommandName, LiveSignal, SignalBody, SystemClock,
};
use patchbay_router::RouterOptions;
use patchbay_store::{Conversation, ConversationState, Group, Presence, Strategy};

use crate::house::{House, channel, command, house, options, thread, until};

/// Open conversations by agent; no agent ever has more than `capacity`.
async fn within(house: &House, capacity: u32) -> Vec<Conversation> {
    let all = house.all().await;
    let mut loads: HashMap<AgentId, u32> = HashMap::new();
    for row in &all {
        if let Some(agent) = row.agent_id {
            *loads.entry(agent).or_default() += 1;
        }
    }
    assert!(loads.values().all(|load| *load <= capacity), "{loads:?}");
    for agent in house.store.agents().await.unwrap() {
        assert!(agent.load <= capacity, "{}: {}", agent.name, agent.load);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn with_several_routers_no_limit_is_exceeded_and_nobody_is_left_behind() {
    let house = house();
    for name in ["Ann", "Bob", "Cy"] {
        house.agent(name, 2).await;
    }
    let routers = [house.router(), house.router(), house.router()];
    for n in 0..24 {
        house.say(&format!("v{n}"), "Hello?").await;
    }
    let mut resolved = 0;
    let began = std::time::Instant::now();
    while resolved < 24 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{resolved} of 24"
        );
        let all = within(&house, 2).await;
        let open = |row: &&Conversation| row.state == ConversationState::Open;
        let Some(row) = all.iter().find(open) else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        house
            .done(row, command(CommandName::Resolve, row.agent_id))
            .await;
        resolved += 1;
    }
    let all = within(&house, 2).await;
    assert_eq!(all.len(), 24);
    assert!(
        all.iter()
            .all(|row| row.state == ConversationState::Resolved)
    );
    let loads: u32 = (house.store.agents().await.unwrap().iter())
        .map(|agent| agent.load)
        .sum();
    assert_eq!(loads, 0);
    for router in routers {
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_the_place_and_then_the_agent() {
    let house = house();
    let mut signals = house
        .bus
        .mailbox(Mailbox::Event(LiveSignal::MAILBOX.into()))
        .await
        .unwrap();
    let router = house.router();
    for visitor in ["v1", "v2"] {
        house.say(visitor, "Hello?").await;
        house
            .conversation(visitor, |row| row.state == ConversationState::Waiting)
            .await;
    }
    let ann = house.agent("Ann", 1).await;
    let first = house
        .conversation("v1", |row| row.agent_id == Some(ann))
        .await;
    assert_eq!(first.state, ConversationState::Open);
    let mut told = Vec::new();
    while !told.contains(&SignalBody::Waiting { position: 1 }) || told.len() < 2 {
        let signal = tokio::time::timeout(Duration::from_secs(10), signals.recv())
            .await
            .expect("the second visitor is told")
            .unwrap();
        let signal: LiveSignal = serde_json::from_slice(&signal).unwrap();
        if signal.thread_id == thread("v2") {
            told.push(signal.body);
        }
    }
    let places = [2, 1].map(|position| SignalBody::Waiting { position });
    assert_eq!(told, places);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_of_a_busy_group_hides_nobody_behind_it() {
    let house = house();
    let group = Group {
        id: patchbay_message::GroupId::new(),
        name: "Night".into(),
        strategy: Strategy::RoundRobin,
        members: vec![],
        channels: vec![channel()],
    };
    house.store.save_group(&group).await.unwrap();
    let router = house.router();
    // More than are read at once, all for a group in which nobody is.
    for batch in 0..6 {
        let batch = (0..100).map(|n| {
            crate::house::said(&format!("n{batch}-{n}"), "Hello?", &serde_json::Value::Null)
        });
        house.publish(batch.collect()).await;
    }
    until("the queue", || async {
        let gauges = house.store.gauges().await.unwrap();
        gauges
            .iter()
            .any(|gauge| gauge.name == "waiting" && gauge.value >= 600.0)
            .then_some(())
    })
    .await;
    let elsewhere = serde_json::json!({
        "channel": {"id": "sms-main", "kind": "http"}, "partition_key": "sms-main/v1",
    });
    let message = crate::house::said("v1", "Hello?", &elsewhere);
    house.publish(vec![message]).await;
    let ann = house.agent("Ann", 5).await;
    let sms = patchbay_message::ChannelId::new("sms-main").unwrap();
    until("the one behind", || async {
        let thread = patchbay_message::ThreadId::of(&sms, "v1");
        let standing = house.store.standing(thread).await.unwrap();
        standing.filter(|(row, _)| row.agent_id == Some(ann))
    })
    .await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_ends_by_itself() {
    let house = house();
    let ann = house.agent("Ann", 1).await;
    let router = house.router();
    house.say("v1", "Hello?").await;
    let row = house
        .conversation("v1", |row| row.agent_id == Some(ann))
        .await;
    let until = SystemClock.now().plus(Duration::from_millis(700));
    let snooze = Command {
        until: Some(until),
        ..command(CommandName::Snooze, Some(ann))
    };
    house.done(&row, snooze).await;
    let resting = house
        .conversation("v1", |row| row.state == ConversationState::Snoozed)
        .await;
    assert_eq!(resting.snoozed_until, Some(until));
    assert_eq!(house.store.agents().await.unwrap()[0].load, 0);
    let woken = house
        .conversation("v1", |row| row.state == ConversationState::Open)
        .await;
    assert!(woken.updated_at >= until, "not before its time");
    assert_eq!(woken.agent_id, Some(ann));
    assert_eq!(woken.snoozed_until, None);
    assert_eq!(house.store.agents().await.unwrap()[0].load, 1);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_stays_away_gives_conversations_back_if_so_wished() {
    let house = house();
    let ann = house.agent("Ann", 1).await;
    let wish = RouterOptions {
        requeue_offline_after: Some(Duration::from_millis(300)),
        ..options()
    };
    let router = house.router_on(house.bus.clone(), wish);
    house.say("v1", "Hello?").await;
    house
        .conversation("v1", |row| row.agent_id == Some(ann))
        .await;
    let bob = house.agent("Bob", 1).await;
    house.store.presence(ann, Presence::Offline).await.unwrap();
    let row = house
        .conversation("v1", |row| row.agent_id == Some(bob))
        .await;
    assert_eq!(row.state, ConversationState::Open);
    let loads: HashMap<AgentId, u32> = (house.store.agents().await.unwrap().iter())
        .map(|agent| (agent.id, agent.load))
        .collect();
    assert_eq!((loads[&ann], loads[&bob]), (0, 1));
    router.stop().await;
}
