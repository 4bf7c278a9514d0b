//! What agents do to tickets: as a command, through the device's own partition.

use std::time::Duration;

use patchbay_message::{Clock, Command, CommandName, Outcome, OutcomeStatus, Severity};
use serde_json::json;

use crate::{
    fleet::{done, fleet, machine, play, raise},
    house::{House, options},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_ticket_goes_as_a_command_through_its_partition() {
    let fleet = fleet().await;
    let part = json!({ "type": "command", "name": "reset", "arguments": { "hard": true } });
    let send = json!({ "content": [part], "version": 1, "expires_in": 60 });
    let none = json!({});
    for (what, body, name) in [
        ("reply", &send, CommandName::Reply),
        ("note", &json!({ "text": "Door seal" }), CommandName::Note),
        (
            "assign",
            &json!({ "agent_id": fleet.ann.0, "version": 1 }),
            CommandName::Assign,
        ),
        ("confirm", &json!({ "version": 3 }), CommandName::Confirm),
        ("cancel", &json!({ "text": "sold" }), CommandName::Cancel),
        ("reopen", &none, CommandName::Reopen),
        (
            "edit",
            &json!({ "category": "", "severity": "minor", "title": "Door" }),
            CommandName::Edit,
        ),
    ] {
        let path = fleet.path(&format!("/{what}"));
        let call = fleet.house.call("POST", &path).token(&fleet.ann.1);
        let call = call.key(what).json(body).send();
        let before = fleet.house.clock.now();
        let (answer, command) = tokio::join!(call, play(&fleet.house, done));
        let outcome = answer.ok();
        assert_eq!(outcome["status"], "done", "{what}");
        assert_eq!(outcome["version"], 7, "{what}");
        assert_eq!(command.name, name);
        assert_eq!(command.ticket_id, Some(fleet.ticket), "{what}");
        assert_eq!(command.conversation_id, fleet.machine.conversation);
        assert_eq!(command.idempotency_key, what);
        assert_eq!(
            command.agent_id.map(|id| id.to_string()),
            Some(fleet.ann.0.clone())
        );
        assert_eq!(command.expected_version, body["version"].as_i64(), "{what}");
        let asked = serde_json::to_value(&command).unwrap();
        match what {
            "reply" => {
                assert_eq!(asked["content"][0], send["content"][0]);
                let until = command.expires_at.unwrap();
                let away = until.since(before);
                assert!(away >= Duration::from_secs(60) && away < Duration::from_secs(120));
            }
            "note" => assert_eq!(asked["content"][0]["text"], "Door seal"),
            "cancel" => assert_eq!(asked["content"][0]["text"], "sold"),
            "assign" => assert_eq!(asked["assignee"], fleet.ann.0.as_str()),
            "edit" => assert_eq!(
                (&asked["category"], &asked["severity"], &asked["title"]),
                (&json!(""), &json!("minor"), &json!("Door"))
            ),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_and_what_takes_long_is_202() {
    let fleet = fleet().await;
    let path = fleet.path("/confirm");
    let refuse = |command: &Command| Outcome {
        status: OutcomeStatus::Refused,
        code: Some("version".into()),
        detail: Some("the ticket has changed".into()),
        ..done(command)
    };
    let body = json!({ "version": 0 });
    let (answer, _) = tokio::join!(
        fleet.house.post(&path, &fleet.ann.1, &body),
        play(&fleet.house, refuse)
    );
    let sentence = answer.problem(409, "version_conflict");
    assert_eq!(sentence, "the ticket has changed");
    let house = House::without_router(patchbay_api::ApiOptions {
        command_wait: Duration::from_millis(50),
        ..options()
    })
    .await;
    let (_, token) = house.agent("Ann", "agent").await;
    let device = machine(&house, "d1").await;
    let id = raise(&house, &device, ("E1", Severity::Minor)).await;
    // A body is not needed.
    let call = house.call("POST", &format!("/tickets/{id}/cancel"));
    let answer = call.token(&token).send().await;
    assert_eq!(answer.status, 202);
    let command = play(&house, done).await;
    assert_eq!(answer.body["command_id"], command.id.to_string().as_str());
    let path = format!("/commands/{}", command.id);
    assert_eq!(house.get(&path, &token).await.ok()["status"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_to_a_ticket_is_told_with_the_field() {
    let fleet = fleet().await;
    let text = json!([{ "type": "text", "text": "Hi" }]);
    for (what, body, field) in [
        ("reply", json!({ "content": [] }), "content"),
        (
            "reply",
            json!({ "content": [{ "type": "x" }] }),
            "content[0]",
        ),
        (
            "reply",
            json!({ "content": text, "expires_in": 0 }),
            "expires_in",
        ),
        (
            "reply",
            json!({ "content": text, "expires_in": 2_592_001 }),
            "expires_in",
        ),
        ("note", json!({ "text": " " }), "text"),
        ("edit", json!({}), "category"),
        ("edit", json!({ "severity": "bad" }), "severity"),
        ("edit", json!({ "title": " " }), "title"),
        ("edit", json!({ "title": "x".repeat(201) }), "title"),
        ("edit", json!({ "category": "x".repeat(101) }), "category"),
        ("edit", json!({ "state": "done" }), "state"),
        ("confirm", json!({ "verison": 1 }), "verison"),
        ("confirm", json!({ "text": "x".repeat(2001) }), "text"),
    ] {
        let path = fleet.path(&format!("/{what}"));
        let call = fleet.house.call("POST", &path).token(&fleet.ann.1);
        let answer = call.key("k").json(&body).send().await;
        let status = answer.status.as_u16();
        assert!(status == 400 || status == 422, "{what} {body}: {answer:?}");
        let sentence = answer.problem(status, "bad_request");
        assert!(sentence.contains(field), "{what} {body}: {sentence}");
    }
    for what in ["reply", "note"] {
        let body = json!({ "content": text });
        let body = if what == "note" {
            json!({ "text": "x" })
        } else {
            body
        };
        let path = fleet.path(&format!("/{what}"));
        let answer = fleet.house.post(&path, &fleet.ann.1, &body).await;
        let sentence = answer.problem(400, "bad_request");
        assert!(sentence.contains("Idempotency-Key"), "{sentence}");
    }
    for (path, what) in [
        ("/tickets?view=theirs", "view"),
        ("/tickets?state=waiting", "state"),
        ("/tickets?severity=bad", "severity"),
        ("/tickets?agent=Bob", "agent"),
        ("/tickets?cursor=x", "cursor"),
        ("/tickets?devise=x", "devise"),
        (&fleet.path("/history?after=x"), "after"),
    ] {
        let answer = fleet.house.get(path, &fleet.ann.1).await;
        let sentence = answer.problem(400, "bad_request");
        assert!(sentence.contains(what), "{path}: {sentence}");
    }
}
