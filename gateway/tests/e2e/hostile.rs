//! Bad input, floods and slow peers: a clear answer, a count, and nobody else disturbed.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::harness::{
    config::{Pair, System, WEB},
    eventually, http,
    process::Process,
    visitor::Visitor,
};

const BOUNDS: &str = r#"
edge.header_timeout = "1s"
edge.connections_per_address_max = 40
edge.body_max = "64KiB"
"#;

async fn up() -> (System, Process) {
    let system = System::with(Pair::Embedded, BOUNDS);
    let mut up = Process::new(&system, "up");
    up.start().await;
    (system, up)
}

/// Posts raw bytes as a message.
async fn post(url: &str, token: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    let request = http()
        .post(format!("{url}/channels/web/messages"))
        .bearer_auth(token)
        .body(body);
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[tokio::test]
async fn bad_requests_get_a_clear_answer_and_are_counted() {
    let (_system, up) = up().await;
    let (url, visitor) = (up.url(), Visitor::new(&[up.url()]).await);
    let token = &visitor.token;
    let message = |text: &str| json!({ "type": "message", "client_id": "1", "content": [{ "type": "text", "text": text }] });

    let (status, problem) = post(&url, "v1.wrong.token", message("a").to_string()).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (401, &json!("unauthorized")),
        "{problem}"
    );
    let (status, problem) = post(&url, token, "{\"type\":\"message\"").await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (400, &json!("bad_frame")),
        "{problem}"
    );
    let (status, problem) = post(&url, token, vec![0xff, 0xfe, b'{']).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (400, &json!("bad_frame")),
        "{problem}"
    );
    let (status, problem) = post(
        &url,
        token,
        json!({ "type": "message", "client_id": "1" }).to_string(),
    )
    .await;
    assert_eq!(status, 400, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("content"),
        "names the field: {problem}"
    );
    let (status, problem) = post(&url, token, "x".repeat(70_000)).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (413, &json!("too_large")),
        "{problem}"
    );
    let answer = http()
        .post(format!("{url}/channels/nowhere/messages"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(
        answer.json::<Value>().await.unwrap()["code"],
        "unknown_channel"
    );
    let refused = connect_async(format!(
        "{}/channels/web/socket?token=no",
        url.replace("http", "ws")
    ))
    .await;
    assert!(refused.unwrap_err().to_string().contains("401"));

    for reason in ["unauthorized", "bad_frame", "unknown_channel"] {
        assert_counted(&up, reason).await;
    }
}

/// The refusal shows in the metrics.
async fn assert_counted(up: &Process, reason: &str) {
    let url = format!("{}/metrics", up.admin_url());
    let answer = http().get(url).send().await.expect("an answer");
    let metrics = answer.text().await.expect("a text");
    let label = format!("reason=\"{reason}\"");
    let counted =
        |line: &str| line.starts_with("patchbay_ingress_rejected_total") && line.contains(&label);
    assert!(metrics.lines().any(counted), "{reason} is counted");
}

#[tokio::test]
async fn a_socket_says_what_was_wrong_and_goes_on() {
    let (_system, up) = up().await;
    let visitor = Visitor::new(&[up.url()]).await;
    let url = format!(
        "{}/channels/web/socket?token={}&after=0",
        up.url().replace("http", "ws"),
        visitor.token
    );
    let (mut socket, _) = connect_async(url).await.unwrap();
    let mut ask = async |frame: &str, want: &str| -> Value {
        socket.send(Message::text(frame)).await.unwrap();
        loop {
            let Message::Text(text) = socket.next().await.unwrap().unwrap() else {
                continue;
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] == want {
                return frame;
            }
        }
    };
    let refused = ask("not json", "refused").await;
    assert_eq!(
        (&refused["code"], &refused["retry"]),
        (&json!("bad_frame"), &json!(false)),
        "{refused}"
    );
    let refused = ask(
        r#"{"type":"message","client_id":"7","content":[]}"#,
        "refused",
    )
    .await;
    assert_eq!(refused["client_id"], "7", "says which message: {refused}");
    let accepted = ask(
        r#"{"type":"message","client_id":"8","content":[{"type":"text","text":"still here"}]}"#,
        "accepted",
    )
    .await;
    assert_eq!(accepted["client_id"], "8");
}

#[tokio::test]
async fn a_flood_is_slowed_down_by_address_and_told_when_to_come_back() {
    let (system, mut up) = up().await;
    up.kill();
    system.write("channels/web.toml", &WEB.replace("6000", "60"));
    up.start().await;
    let url = up.url();
    let (flooder, other) = (
        Visitor::new(std::slice::from_ref(&url)).await,
        Visitor::new(std::slice::from_ref(&url)).await,
    );
    let frame = |n: u32| json!({ "type": "message", "client_id": n.to_string(), "content": [{ "type": "text", "text": "x" }] });
    let mut refused = None;
    for n in 0..200 {
        let request = http()
            .post(format!("{url}/channels/web/messages"))
            .bearer_auth(&flooder.token);
        let answer = request.body(frame(n).to_string()).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a flood to be refused within 200 messages");
    assert!(refused.headers().contains_key("retry-after"));
    let (status, _) = post(&url, &other.token, frame(1).to_string()).await;
    assert_eq!(status, 202, "another visitor is not touched");
}

#[tokio::test]
async fn slow_headers_and_too_many_connections_are_cut_off() {
    let (_system, up) = up().await;
    let address = ("127.0.0.1", up.public);
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /widget.js HTTP/1.1\r\nx-slow: ")
        .await
        .unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(10), slow.read_to_end(&mut rest))
        .await
        .expect("a cut within 10 s");
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "not before its time"
    );

    let mut held = Vec::new();
    let mut answer = String::new();
    // Silence means admitted; the one too many is told so at once.
    while answer.is_empty() {
        assert!(
            held.len() < 200,
            "200 connections of one address were admitted"
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut text = [0; 12];
        if let Ok(Ok(1..)) = timeout(Duration::from_millis(50), stream.read(&mut text)).await {
            answer = String::from_utf8_lossy(&text).into_owned();
        }
        held.push(stream);
    }
    assert_eq!(answer, "HTTP/1.1 429");
    drop(held);
    let ok = || async {
        http()
            .get(format!("{}/demo", up.url()))
            .send()
            .await
            .ok()
            .map(|_| ())
    };
    eventually("room again", Duration::from_secs(10), ok).await;
}

#[tokio::test]
async fn a_reader_that_never_reads_does_not_hold_up_the_others() {
    let (_system, up) = up().await;
    let gateways = [up.url()];
    let lazy = Visitor::new(&gateways).await;
    let url = format!(
        "{}/channels/web/socket?token={}&after=0",
        up.url().replace("http", "ws"),
        lazy.token
    );
    let (_never_read, _) = connect_async(url).await.unwrap();
    let mut writer = Visitor::new(&gateways).await;
    writer.token.clone_from(&lazy.token);
    for n in 0..300 {
        writer.say(format!("w{n}"), "x".repeat(4000));
    }
    let mut control = Visitor::new(&gateways).await;
    control.say("c", "hello");
    let all = |visitor: &Visitor| visitor.outbox.is_empty();
    tokio::join!(
        writer.until("the writer's acceptance", Duration::from_secs(60), all),
        control.until("the control's acceptance", Duration::from_secs(20), all),
    );
}

#[tokio::test]
async fn without_the_broker_clients_are_told_to_come_back_and_nothing_is_lost() {
    let system = System::with(Pair::servers(), "bus.confirm_timeout = \"2s\"\n");
    let mut up = Process::new(&system, "up");
    up.start().await;
    let mut visitor = Visitor::new(&[up.url()]).await;
    visitor.say("1", "before");
    visitor
        .until("acceptance", Duration::from_secs(20), |visitor| {
            visitor.accepted.len() == 1
        })
        .await;
    let Pair::Servers { rabbitmq, .. } = &system.pair else {
        unreachable!("a pair of servers")
    };
    rabbitmq.kill();
    let frame = json!({ "type": "message", "client_id": "h", "content": [{ "type": "text", "text": "by post" }] });
    let request = http().request(Method::POST, format!("{}/channels/web/messages", up.url()));
    let answer = request
        .bearer_auth(&visitor.token)
        .body(frame.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    visitor.say("2", "while it is away");
    visitor
        .until("a refusal with retry", Duration::from_secs(30), |visitor| {
            visitor
                .other
                .iter()
                .any(|frame| frame["code"] == "unavailable" && frame["retry"] == true)
        })
        .await;
    let ready = http()
        .get(format!("{}/readyz", up.admin_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("\"what\":\"bus\""));
    rabbitmq.start();
    let all = |visitor: &Visitor| visitor.accepted.len() == 2 && visitor.own().len() >= 2;
    visitor
        .until(
            "acceptance after the broker is back",
            Duration::from_secs(60),
            all,
        )
        .await;
    assert_eq!(visitor.own(), ["before", "while it is away"]);
}
