//! A ticket from the fault that opens it to its end, with a router that routes.

use patchbay_message::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::{
    call::Answer,
    house::{House, said, until},
};

struct Work {
    house: House,
    ann: (String, String),
    ticket: String,
}

/// What a device says about its fault.
async fn report(house: &House, state: &str) {
    let fault = json!({
        "type": "fault", "device": "frz-3", "code": "E17", "severity": "major", "state": state,
        "occurred_at": SystemClock.now(), "text": "compressor over temperature",
        "readings": { "temperature": 9.4 },
    });
    let message = said("frz-3", "", &json!({ "content": [fault] }));
    house.publish(message).await;
}

/// The ticket of a fault that was just raised.
async fn work() -> Work {
    let house = House::new().await;
    let ann = house.agent("Ann", "agent").await;
    report(&house, "raised").await;
    let ticket = until("the ticket", || async {
        let list = house.get("/tickets?view=waiting", &ann.1).await;
        list.all("id").pop()
    })
    .await;
    Work { house, ann, ticket }
}

impl Work {
    async fn act(&self, what: &str, body: &Value) -> Answer {
        let path = format!("/tickets/{}/{what}", self.ticket);
        let call = self.house.call("POST", &path).token(&self.ann.1);
        call.key(&format!("{what} {body}")).json(body).send().await
    }

    async fn shown(&self) -> Value {
        let path = format!("/tickets/{}", self.ticket);
        self.house.get(&path, &self.ann.1).await.ok()
    }

    /// Waits until the ticket is in a state.
    async fn is(&self, state: &str) -> Value {
        until(state, || async {
            let shown = self.shown().await;
            (shown["state"] == state).then_some(shown)
        })
        .await
    }

    async fn history(&self) -> Answer {
        let path = format!("/tickets/{}/history", self.ticket);
        self.house.get(&path, &self.ann.1).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_goes_from_the_fault_to_its_end_and_back() {
    let work = work().await;
    let shown = work.shown().await;
    assert_eq!(shown["title"], "compressor over temperature");
    assert_eq!(shown["n_raised"], 1);
    assert_eq!(shown["last_state"]["faults"][0]["state"], "raised");
    let body = json!({ "agent_id": work.ann.0, "version": shown["version"] });
    let outcome = work.act("assign", &body).await.ok();
    let shown = work.is("processing").await;
    assert_eq!(shown["agent"]["name"], "Ann");
    assert_eq!(shown["version"], outcome["version"]);
    let part = json!({ "type": "command", "name": "reset", "arguments": { "hard": true } });
    let order = json!({ "content": [part], "expires_in": 60 });
    let outcome = work.act("reply", &order).await.ok();
    assert_eq!(outcome["message"]["content"][0], part);
    assert_eq!(outcome["message"]["delivery"]["state"], "queued");
    work.act("note", &json!({ "text": "Door seal" })).await.ok();
    report(&work.house, "cleared").await;
    let shown = work.is("pending_confirmation").await;
    assert!(shown["cleared_at"].is_string());
    work.act("confirm", &json!({ "text": "It holds" }))
        .await
        .ok();
    let shown = work.is("done").await;
    assert!(shown["closed_at"].is_string());
    work.act("reopen", &json!({})).await.ok();
    work.is("reopened").await;
    let edit = json!({ "category": "cooling", "severity": "minor" });
    work.act("edit", &edit).await.ok();
    work.act("cancel", &json!({})).await.ok();
    let shown = work.is("cancelled").await;
    assert_eq!(
        (&shown["category"], &shown["severity"]),
        (&json!("cooling"), &json!("minor"))
    );
    let history = work.history().await;
    let kinds = [
        "opened",
        "assigned",
        "sent",
        "note",
        "cleared",
        "done",
        "reopened",
        "edited",
        "cancelled",
    ];
    assert_eq!(history.all("kind"), kinds);
    let line = |n: usize| &history.body["items"][n];
    assert_eq!(line(0)["message"]["content"][0]["code"], "E17");
    assert_eq!(line(1)["agent"]["name"], "Ann");
    assert_eq!(line(2)["message"]["id"], outcome["message"]["id"]);
    assert_eq!(line(3)["text"], "Door seal");
    assert_eq!(line(5)["text"], "It holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_possible_with_a_ticket_is_409_and_changes_nothing() {
    let work = work().await;
    let stale = work.act("confirm", &json!({ "version": 999 })).await;
    stale.problem(409, "version_conflict");
    let early = work.act("reopen", &json!({})).await;
    let sentence = early.problem(409, "bad_transition");
    assert!(sentence.contains("new"), "{sentence}");
    let nobody = patchbay_message::AgentId::new();
    let unknown = work.act("assign", &json!({ "agent_id": nobody })).await;
    let sentence = unknown.problem(404, "not_found");
    assert!(sentence.contains("agent"), "{sentence}");
    assert_eq!(work.history().await.all("kind"), ["opened"]);
}
