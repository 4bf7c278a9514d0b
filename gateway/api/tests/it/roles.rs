//! Who may do what: every endpoint with every role, and with no token at all.

use std::collections::BTreeSet;

use patchbay_message::{ConversationId, MessageId};
use serde_json::{Value, json};

use crate::{call::Call, house::House};

/// Who may: `a`dmin, `s`upervisor, a`g`ent, audi`t`or.
const TABLE: &[(&str, &str, &str)] = &[
    ("GET", "/me", "asgt"),
    ("PUT", "/me/presence", "asg"),
    ("GET", "/agents", "asgt"),
    ("POST", "/agents", "a"),
    ("GET", "/agents/{agent}", "asgt"),
    ("PATCH", "/agents/{agent}", "a"),
    ("GET", "/groups", "asgt"),
    ("POST", "/groups", "a"),
    ("PATCH", "/groups/{none}", "a"),
    ("DELETE", "/groups/{none}", "a"),
    ("GET", "/tokens", "a"),
    ("POST", "/tokens", "a"),
    ("DELETE", "/tokens/{none}", "a"),
    ("GET", "/conversations", "asgt"),
    ("GET", "/conversations/{id}", "asgt"),
    ("GET", "/conversations/{id}/messages", "asgt"),
    ("POST", "/conversations/{id}/reply", "asg"),
    ("POST", "/conversations/{id}/note", "asg"),
    ("POST", "/conversations/{id}/assign", "asg"),
    ("POST", "/conversations/{id}/close", "asg"),
    ("POST", "/conversations/{id}/reopen", "asg"),
    ("POST", "/conversations/{id}/snooze", "asg"),
    ("POST", "/conversations/{id}/typing", "asg"),
    ("POST", "/conversations/{id}/read", "asg"),
    ("GET", "/tickets", "asgt"),
    ("GET", "/tickets/{none}", "asgt"),
    ("GET", "/tickets/{none}/history", "asgt"),
    ("POST", "/tickets/{none}/reply", "asg"),
    ("POST", "/tickets/{none}/note", "asg"),
    ("POST", "/tickets/{none}/assign", "asg"),
    ("POST", "/tickets/{none}/confirm", "asg"),
    ("POST", "/tickets/{none}/cancel", "asg"),
    ("POST", "/tickets/{none}/reopen", "asg"),
    ("POST", "/tickets/{none}/edit", "asg"),
    ("GET", "/commands/{none}", "asg"),
    ("POST", "/uploads", "asg"),
    ("GET", "/channels", "asgt"),
    ("POST", "/channels/{channel}/pause", "as"),
    ("POST", "/channels/{channel}/resume", "as"),
    ("GET", "/dead", "as"),
    ("GET", "/dead/{none}", "as"),
    ("PATCH", "/dead/{none}", "as"),
    ("DELETE", "/dead/{none}", "as"),
    ("POST", "/dead/{none}/replay", "as"),
    ("POST", "/events/ticket", "asgt"),
];

/// A body that is good enough to get as far as the role.
fn body(path: &str) -> Value {
    let text = json!([{ "type": "text", "text": "Hi" }]);
    match path.rsplit('/').next().unwrap() {
        "presence" => json!({ "presence": "away" }),
        "reply" => json!({ "content": text }),
        "note" => json!({ "text": "Hi" }),
        "snooze" => json!({ "until": "2999-01-01T00:00:00.000Z" }),
        "typing" => json!({ "on": true }),
        "read" => json!({ "seq": 1 }),
        "pause" => json!({ "reason": "test" }),
        "tokens" => json!({ "name": "x" }),
        "edit" => json!({ "severity": "minor" }),
        _ if path.starts_with("/dead/") => json!({ "envelope": {} }),
        _ => json!({}),
    }
}

fn call(house: &House, method: &str, path: &str, known: (&str, &str)) -> Call {
    let none = MessageId::new().to_string();
    let filled = path
        .replace("{id}", known.0)
        .replace("{agent}", known.1)
        .replace("{channel}", "web-main")
        .replace("{none}", &none);
    let call = house.call(method, &filled).key(&none);
    match (method, path) {
        ("POST", "/uploads") => call.raw("text/plain", "a note"),
        ("POST" | "PUT" | "PATCH", _) => call.json(&body(path)),
        _ => call,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_lets_in_who_may_and_nobody_else() {
    let house = House::new().await;
    let mut tokens = Vec::new();
    for role in ["admin", "supervisor", "agent", "auditor"] {
        let (id, token) = house.agent(&format!("The {role}"), role).await;
        let letter = if role == "auditor" {
            't'
        } else {
            role.chars().nth(usize::from(role == "agent")).unwrap()
        };
        tokens.push((letter, id, token));
    }
    let agent = tokens[2].1.clone();
    for (method, path, may) in TABLE {
        for (letter, _, token) in &tokens {
            let id = house.say(&format!("v{letter}"), "Hello?").await;
            let answer = call(&house, method, path, (&id, &agent));
            let answer = answer.token(token).send().await;
            if may.contains(*letter) {
                let status = answer.status.as_u16();
                assert!(
                    status != 401 && status != 403 && status < 500,
                    "{letter} {method} {path}: {answer:?}"
                );
            } else {
                let sentence = answer.problem(403, "forbidden");
                assert!(
                    sentence.contains("role"),
                    "{letter} {method} {path}: {sentence}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_valid_token() {
    let house = House::new().await;
    let (agent, token) = house.agent("Ann", "agent").await;
    let id = ConversationId::new().to_string();
    let headers = [
        None,
        Some("Bearer pbt_wrong".to_owned()),
        Some(format!("Basic {token}")),
        Some(token.clone()),
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {}", &token[..token.len() - 1])),
    ];
    for (method, path, _) in TABLE {
        for header in &headers {
            let mut asked = call(&house, method, path, (&id, &agent));
            if let Some(header) = header {
                asked = asked.header("authorization", header);
            }
            asked.send().await.problem(401, "unauthorized");
        }
    }
}

/// The table above knows every endpoint of the description, so that none is forgotten.
#[test]
fn the_table_is_complete() {
    let description = serde_json::to_value(patchbay_api::openapi()).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let plain = path
                .split('/')
                .map(|part| if part.starts_with('{') { "{}" } else { part });
            let plain: Vec<&str> = plain.collect();
            described.insert(format!("{} {}", method.to_uppercase(), plain.join("/")));
        }
    }
    let tested = TABLE.iter().map(|(method, path, _)| {
        let plain = path
            .split('/')
            .map(|part| if part.starts_with('{') { "{}" } else { part });
        let plain: Vec<&str> = plain.collect();
        format!("{method} {}", plain.join("/"))
    });
    assert_eq!(described, tested.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_needs_no_token_but_a_browser_is_refused() {
    let house = House::new().await;
    house.operate("GET", "/tokens").send().await.ok();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-origin"),
    ] {
        let call = house.operate("GET", "/tokens").header(name, value);
        call.send().await.problem(403, "forbidden");
    }
    let rebound = axum::http::Request::builder()
        .uri("/api/v1/tokens")
        .header("host", "evil.example:8081")
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = tower::ServiceExt::oneshot(house.operator.clone(), rebound);
    assert_eq!(answer.await.unwrap().status(), 403);
    for host in ["localhost:8081", "127.0.0.1", "[::1]:8081", "[::1]"] {
        let request = axum::http::Request::builder()
            .uri("/api/v1/tokens")
            .header("host", host)
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = tower::ServiceExt::oneshot(house.operator.clone(), request);
        assert_eq!(answer.await.unwrap().status(), 200, "{host}");
    }
    // What the operator may do is not in the public routes.
    let call = house.call("GET", "/tokens");
    call.send().await.problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_an_agent_cannot_speak_for_one() {
    let house = House::new().await;
    let fields = json!({ "name": "robot", "role": "supervisor" });
    let made = house.operate("POST", "/tokens").json(&fields).send().await;
    let made = made.ok();
    let token = made["token"].as_str().unwrap();
    for path in ["/conversations?view=mine", "/me/presence"] {
        let asked = if path.starts_with("/me") {
            house
                .call("PUT", path)
                .json(&json!({ "presence": "online" }))
        } else {
            house.call("GET", path)
        };
        asked.token(token).send().await.problem(403, "no_agent");
    }
    // It still replies: as the system.
    let id = house.say("v1", "Hello?").await;
    let outcome = house.reply(&id, token, "A robot's word", "k1").await.ok();
    assert_eq!(outcome["message"]["from"]["kind"], "system");
}
