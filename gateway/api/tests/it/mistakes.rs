//! Bad requests get a clear sentence, in the one shape of errors.

use serde_json::{Value, json};

use crate::house::{House, options};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_body_is_told_with_the_field() {
    let house = House::new().await;
    let (_, token) = house.agent("Ada", "admin").await;
    let id = house.say("v1", "Hello?").await;
    let reply = format!("/conversations/{id}/reply");
    let assign = format!("/conversations/{id}/assign");
    let typing = format!("/conversations/{id}/typing");
    let text = json!([{ "type": "text", "text": "Hi" }]);
    let cases: [(&str, &str, Value, &str); 12] = [
        ("POST", &reply, json!({}), "content"),
        ("POST", &reply, json!({ "content": [] }), "content"),
        ("POST", &reply, json!({ "content": "Hi" }), "content"),
        (
            "POST",
            &reply,
            json!({ "content": [{ "text": "Hi" }] }),
            "content",
        ),
        (
            "POST",
            &reply,
            json!({ "content": text, "verison": 3 }),
            "verison",
        ),
        (
            "POST",
            &reply,
            json!({ "content": text, "version": "3" }),
            "version",
        ),
        ("POST", &assign, json!({ "agent_id": "Bob" }), "agent_id"),
        ("POST", &typing, json!({ "on": "yes" }), "on"),
        (
            "PUT",
            "/me/presence",
            json!({ "presence": "busy" }),
            "presence",
        ),
        (
            "POST",
            "/agents",
            json!({ "name": "X", "role": "boss" }),
            "role",
        ),
        (
            "POST",
            "/agents",
            json!({ "name": "X", "role": "agent", "capacity": -1 }),
            "capacity",
        ),
        (
            "POST",
            "/channels/web-main/pause",
            json!({ "reason": " " }),
            "reason",
        ),
    ];
    for (method, path, body, field) in cases {
        let call = house.call(method, path).token(&token).key("k1");
        let answer = call.json(&body).send().await;
        let status = answer.status.as_u16();
        assert!(status == 400 || status == 422, "{path} {body}: {answer:?}");
        let sentence = answer.problem(status, "bad_request");
        assert!(sentence.contains(field), "{path} {body}: {sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_refused_in_the_same_shape() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let path = format!("/conversations/{id}/reply");
    let call = || house.call("POST", &path).token(&token).key("k1");
    let broken = call().raw("application/json", r#"{"content": ["#);
    broken.send().await.problem(400, "bad_request");
    let form = call().raw("application/x-www-form-urlencoded", "content=Hi");
    form.send().await.problem(415, "unsupported");
    let deep = format!(r#"{{"content": {}"#, "[".repeat(100_000));
    let deep = call().raw("application/json", deep).send().await;
    let status = deep.status.as_u16();
    assert!(status == 400 || status == 422, "{deep:?}");
    deep.problem(status, "bad_request");
    let large = json!({ "content": [{ "type": "text", "text": "x".repeat(300_000) }] });
    let large = call().json(&large).send().await;
    large.problem(413, "too_large");
    let many = json!({ "content": vec![json!({ "type": "text", "text": "x" }); 500] });
    let many = call().json(&many).send().await;
    many.problem(422, "content");
    let broken = house.call("POST", &format!("/conversations/{id}/reopen"));
    let broken = broken.token(&token).raw("application/json", "{").send();
    broken.await.problem(400, "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_needed_where_a_repeat_would_be_seen() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let content = json!({ "content": [{ "type": "text", "text": "Hi" }] });
    let note = json!({ "text": "Hi" });
    for (what, body) in [("reply", &content), ("note", &note)] {
        let path = format!("/conversations/{id}/{what}");
        let answer = house.post(&path, &token, body).await;
        let sentence = answer.problem(400, "bad_request");
        assert!(sentence.contains("Idempotency-Key"), "{sentence}");
        for key in ["", &"k".repeat(201)] {
            let call = house.call("POST", &path).token(&token).key(key).json(body);
            let sentence = call.send().await.problem(400, "bad_request");
            assert!(sentence.contains("Idempotency-Key"), "{sentence}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_query_is_told_with_its_parameter() {
    let house = House::new().await;
    let (_, token) = house.agent("Ada", "admin").await;
    let id = house.say("v1", "Hello?").await;
    for (path, what) in [
        ("/conversations?cursor=nonsense", "cursor"),
        ("/conversations?cursor=MTIz", "cursor"),
        ("/dead?cursor=%C3%A9", "cursor"),
        ("/conversations?view=theirs", "view"),
        ("/conversations?state=sleeping", "state"),
        ("/conversations?agent=Bob", "agent"),
        ("/conversations?group=7", "group"),
        ("/conversations?channel=UPPER", "channel"),
        ("/conversations?limit=many", "limit"),
        ("/conversations?chanel=web-main", "chanel"),
        ("/dead?status=alive", "status"),
        ("/dead?conversation=1", "conversation"),
        (&format!("/conversations/{id}/messages?before=x"), "before"),
        (&format!("/conversations/{id}/messages?pos=1"), "pos"),
    ] {
        let sentence = house.get(path, &token).await.problem(400, "bad_request");
        assert!(sentence.contains(what), "{path}: {sentence}");
    }
    // More than a page is a page.
    house.get("/conversations?limit=0", &token).await.ok();
    house
        .get("/conversations?limit=4000000000", &token)
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404_and_what_is_not_done_so_is_405() {
    let house = House::new().await;
    let (_, token) = house.agent("Ada", "admin").await;
    let none = patchbay_message::MessageId::new();
    for path in [
        format!("/conversations/{none}"),
        format!("/conversations/{none}/messages"),
        "/conversations/no-uuid".into(),
        "/conversations/%00%ff".into(),
        format!("/agents/{none}"),
        format!("/dead/{none}"),
        "/nowhere".into(),
    ] {
        let answer = house.get(&path, &token).await;
        let status = answer.status.as_u16();
        assert!(
            status == 404 || path.contains('%') && status == 400,
            "{path}: {answer:?}"
        );
        let code = if status == 404 {
            "not_found"
        } else {
            "bad_request"
        };
        answer.problem(status, code);
    }
    for path in ["/channels/sms-none/pause", "/channels/UPPER/pause"] {
        let answer = house.post(path, &token, &json!({ "reason": "x" })).await;
        let sentence = answer.problem(404, "not_found");
        assert!(sentence.contains("channel"), "{sentence}");
    }
    let answer = house.post("/me", &token, &json!({})).await;
    assert_eq!(answer.headers["allow"], "GET,HEAD");
    answer.problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_back_and_others_are_not_bothered() {
    let house = House::with(patchbay_api::ApiOptions {
        requests_per_second: 5,
        ..options()
    })
    .await;
    let (_, ann) = house.agent("Ann", "agent").await;
    let (_, bob) = house.agent("Bob", "agent").await;
    let mut refused = None;
    for _ in 0..50 {
        let answer = house.get("/me", &ann).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("fifty at once are more than five a second");
    assert_eq!(refused.headers["retry-after"], "1");
    refused.problem(429, "rate_limited");
    house.get("/me", &bob).await.ok();
}
