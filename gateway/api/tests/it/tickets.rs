//! Tickets: lists, one with its device, its history, live events.

use std::collections::HashSet;

use patchbay_message::{Clock, Direction, MessageId, ReceiptState, Severity};
use patchbay_store::{Changes, ReceiptWord, TicketEntry, TicketEvent, TicketState};
use serde_json::{Value, json};

use crate::{
    fleet::{self, Fleet, entry, fleet, machine, raise},
    house::{House, channel, options},
    live::Console,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_shown_by_id_and_by_number_with_its_device_as_it_stands() {
    let fleet = fleet().await;
    let shown = fleet.get("").await;
    let number = shown["number"].as_str().unwrap();
    let year = fleet.house.clock.now().to_string()[..4].to_owned();
    assert_eq!(number, format!("T-{year}-000001"));
    assert_eq!(shown["state"], "new");
    assert_eq!(shown["severity"], "critical");
    assert_eq!(shown["title"], "E17 on store-1/frz-3");
    assert_eq!(
        shown["channel"],
        json!({ "id": "web-main", "kind": "webchat" })
    );
    assert_eq!(
        (&shown["device"], &shown["device_name"], &shown["code"]),
        (
            &json!("store-1/frz-3"),
            &json!("Freezer store-1/frz-3"),
            &json!("E17")
        )
    );
    assert_eq!(shown["agent"], Value::Null);
    let last = &shown["last_state"];
    assert_eq!(last["readings"]["temperature"], 9.4);
    assert_eq!(last["location"]["lat"], 52.5);
    assert_eq!(last["faults"][0]["code"], "E17");
    assert_eq!(last["faults"][0]["state"], "raised");
    assert_eq!(
        last["faults"][0]["ticket_id"],
        fleet.ticket.to_string().as_str()
    );
    let token = &fleet.ann.1;
    for name in [number.to_owned(), number.to_lowercase()] {
        let same = fleet.house.get(&format!("/tickets/{name}"), token).await;
        assert_eq!(same.ok()["id"], shown["id"]);
    }
    let none = format!("T-{year}-000099");
    for name in [none.as_str(), "T-1", "no-id"] {
        let answer = fleet.house.get(&format!("/tickets/{name}"), token).await;
        let sentence = answer.problem(404, "not_found");
        assert!(sentence.contains("ticket"), "{sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_views_keep_what_was_asked_for() {
    let fleet = fleet().await;
    let Fleet { house, ann, .. } = &fleet;
    let other = machine(house, "store-2/frz-1").await;
    let minor = raise(house, &other, ("E3", Severity::Minor)).await;
    let ended = raise(house, &other, ("E4", Severity::Major)).await;
    let mine = raise(house, &fleet.machine, ("E5", Severity::Major)).await;
    let agent = ann.0.parse().unwrap();
    fleet::change(house, &fleet.machine, mine, vec![], |row| {
        row.state = TicketState::Processing;
        row.agent_id = Some(agent);
        row.waiting_since = None;
    })
    .await;
    fleet::change(house, &other, ended, vec![], |row| {
        row.state = TicketState::Done;
        row.closed_at = Some(row.updated_at);
    })
    .await;
    let first = fleet.ticket;
    let number = fleet.get("").await["number"].as_str().unwrap().to_owned();
    for (query, wanted) in [
        ("", vec![first, minor, ended, mine]),
        ("view=mine", vec![mine]),
        ("view=waiting", vec![first, minor]),
        ("view=open", vec![first, minor, mine]),
        ("view=closed", vec![ended]),
        ("view=open&state=processing,done", vec![mine]),
        ("view=open&state=done", vec![]),
        ("state=done,new", vec![first, minor, ended]),
        ("severity=major,minor", vec![minor, ended, mine]),
        (&format!("agent={}", ann.0), vec![mine]),
        ("device=store-1/frz-3", vec![first, mine]),
        ("device=store-1", vec![]),
        ("channel=web-main", vec![first, minor, ended, mine]),
        ("channel=sms-main", vec![]),
        ("q=FRZ-1", vec![minor, ended]),
        ("q=e17", vec![first]),
        ("q=100%25", vec![]),
        (&format!("q={number}"), vec![first]),
        ("q=T-1999-000001", vec![]),
    ] {
        let found = house.get(&format!("/tickets?{query}"), &ann.1).await;
        let found: HashSet<String> = found.all("id").into_iter().collect();
        let wanted: HashSet<String> = wanted.iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted, "{query}");
    }
    // A list is short: what a device stands like is in the one ticket only.
    let list = house.get("/tickets", &ann.1).await.ok();
    assert!(list["items"][0].get("last_state").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_tickets_are_complete() {
    let fleet = fleet().await;
    let mut known = HashSet::from([fleet.ticket.to_string()]);
    for n in 0..10 {
        let code = format!("E{n}");
        let id = raise(&fleet.house, &fleet.machine, (&code, Severity::Minor)).await;
        known.insert(id.to_string());
    }
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/tickets?limit=3&cursor={cursor}");
        let page = fleet.house.get(&path, &fleet.ann.1).await;
        all.extend(page.all("id"));
        match page.body["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(all.len(), 11);
    assert_eq!(all.into_iter().collect::<HashSet<_>>(), known);
}

/// A command that was sent: message and entry, as the router leaves them.
async fn sent(fleet: &Fleet) -> MessageId {
    let part = json!({ "type": "command", "name": "reset", "arguments": { "hard": true } });
    let message = fleet::row(&fleet.machine, Direction::Outbound, part);
    let id = message.id;
    let changes = Changes {
        messages: vec![message],
        ..Changes::default()
    };
    fleet.house.store.commit(changes).await.unwrap();
    let line = TicketEntry {
        agent_id: Some(fleet.ann.0.parse().unwrap()),
        message_id: Some(id),
        ..entry(fleet.ticket, 2, TicketEvent::Sent)
    };
    fleet::change(
        &fleet.house,
        &fleet.machine,
        fleet.ticket,
        vec![line],
        |_| {},
    )
    .await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_tells_what_was_reported_and_how_far_a_command_got() {
    let fleet = fleet().await;
    let id = sent(&fleet).await;
    let word = ReceiptWord {
        channel: channel(),
        external_id: None,
        message: Some(id),
        state: ReceiptState::Expired,
        reason: Some("the device was away".into()),
        at: fleet.house.clock.now(),
        attempts: Some(1),
        overdue: false,
    };
    let changes = Changes {
        receipts: vec![word],
        ..Changes::default()
    };
    fleet.house.store.commit(changes).await.unwrap();
    let history = fleet.get("/history").await;
    assert_eq!(history["next"], Value::Null);
    let [opened, command] = history["items"].as_array().unwrap().as_slice() else {
        panic!("{history:#}");
    };
    assert_eq!(
        (&opened["pos"], &opened["kind"]),
        (&json!(1), &json!("opened"))
    );
    assert_eq!(opened["occurred_at"], fleet::then().to_string().as_str());
    assert_eq!(opened["message"]["content"][0]["code"], "E17");
    assert_eq!(opened["agent"], Value::Null);
    assert_eq!(command["kind"], "sent");
    assert_eq!(command["agent"]["name"], "Ann");
    assert_eq!(command["message"]["content"][0]["name"], "reset");
    assert_eq!(
        command["message"]["delivery"],
        json!({ "state": "expired", "reason": "the device was away", "attempts": 1 })
    );
    let first = fleet.get("/history?limit=1").await;
    assert_eq!(first["next"], "1");
    let rest = fleet.get("/history?limit=1&after=1").await;
    assert_eq!(rest["items"][0]["kind"], "sent");
    assert_eq!(rest["next"], Value::Null);
}

/// A message that both raised and cleared the fault: two lines are about it.
async fn each_line_shows_its_message(house: House) {
    let fleet = fleet::fleet_in(house).await;
    let opened = fleet.get("/history").await;
    let id: MessageId = serde_json::from_value(opened["items"][0]["message_id"].clone()).unwrap();
    let line = TicketEntry {
        message_id: Some(id),
        ..entry(fleet.ticket, 2, TicketEvent::Cleared)
    };
    let (house, machine) = (&fleet.house, &fleet.machine);
    fleet::change(house, machine, fleet.ticket, vec![line], |_| {}).await;
    let history = fleet.get("/history").await;
    for n in 0..2 {
        let shown = &history["items"][n]["message"];
        assert_eq!(shown["content"][0]["code"], "E17", "line {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_two_lines_is_shown_with_both_on_sqlite() {
    each_line_shows_its_message(House::without_router(options()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_two_lines_is_shown_with_both_on_postgresql() {
    each_line_shows_its_message(House::on_postgresql(options()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_changes_is_told_as_it_happens() {
    let fleet = fleet().await;
    let mut console = Console::open(&fleet.house, &fleet.ann.1, None).await;
    let line = entry(fleet.ticket, 2, TicketEvent::Cleared);
    fleet::change(
        &fleet.house,
        &fleet.machine,
        fleet.ticket,
        vec![line],
        |row| {
            row.state = TicketState::PendingConfirmation;
            row.cleared_at = Some(row.updated_at);
        },
    )
    .await;
    let event = console.next_of("ticket").await;
    assert_eq!(event["data"]["id"], fleet.ticket.to_string().as_str());
    assert_eq!(event["data"]["state"], "pending_confirmation");
    assert_eq!(event["data"]["last_pos"], 2);
    let shown = fleet.get("").await;
    assert_eq!(event["data"]["version"], shown["version"]);
    assert_eq!(event["data"]["number"], shown["number"]);
}
