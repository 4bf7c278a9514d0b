//! A reply on WeChat's own request: while it waits, once, and by the API where it does not.

use std::{path::Path, process::Command, time::Duration};

use patchbay_testkit::fakes::wechat::{Answer, Attempt, Delivery, Envelope, Mode, Push, Way};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{ALICE, APPID, BOB, House, KEY, TOKEN, account, texts};
use crate::harness::{config::Pair, eventually};

const PATIENCE: Duration = Duration::from_secs(60);
const SEND: &str = "/cgi-bin/message/custom/send";
const LONG: &str = "passive_reply = { wait = \"4500ms\", held_max = 500 }";
/// Two gateways.
const FOUR: [&str; 4] = ["gateway", "gateway", "router", "sinks"];

async fn house(pair: Pair, mode: Mode, more: &str) -> House {
    let roles: &[&'static str] = match pair {
        Pair::Embedded => &["up"],
        Pair::Servers { .. } => &["gateway", "router", "sinks"],
    };
    House::with(pair, mode, roles, more).await
}

/// A user writes; the platform waits for the answer.
fn say(house: &House, openid: &'static str, text: &str) -> JoinHandle<Delivery> {
    let (app, push) = (house.app.clone(), Push::text(text));
    tokio::spawn(async move { app.push(openid, push).await })
}

fn post(house: &House, envelope: &Envelope) -> JoinHandle<Attempt> {
    let (app, envelope) = (house.app.clone(), envelope.clone());
    tokio::spawn(async move { app.post(&envelope).await })
}

async fn reply(house: &House, openid: &str, text: &str) {
    let conversation = house.conversation(openid).await;
    let key = uuid::Uuid::now_v7().to_string();
    house.ada.reply(&conversation, text, &key).await;
}

/// Waits until so many slots came to this end.
async fn slots(house: &House, outcome: &str, n: f64) {
    let label = format!("outcome=\"{outcome}\"");
    eventually(&format!("{n} {outcome}"), PATIENCE, || async {
        let name = "patchbay_ingress_slots_total";
        (house.metric(name, &label).await >= n).then_some(())
    })
    .await;
}

/// What the user was shown, and by which way.
fn shown(house: &House, openid: &str) -> Vec<(Way, String)> {
    let shown = house.app.shown(openid);
    let of = shown
        .iter()
        .map(|one| (one.way, one.text().unwrap_or_default().to_owned()));
    of.collect()
}

/// The conversation says that it was sent.
async fn known_as_sent(house: &House, openid: &str, text: &str) {
    let conversation = house.conversation(openid).await;
    eventually(&format!("{text} to be known as sent"), PATIENCE, || async {
        let messages = house.ada.messages(&conversation).await;
        let message = messages.iter().find(|m| m["content"][0]["text"] == text)?;
        let state = message["delivery"]["state"].as_str()?;
        matches!(state, "accepted" | "sent").then_some(())
    })
    .await;
}

#[tokio::test]
async fn in_time_on_the_embedded_pair_in_plain_mode() {
    in_time(&house(Pair::Embedded, Mode::Plain, LONG).await).await;
}

#[tokio::test]
async fn in_time_on_the_embedded_pair_in_safe_mode() {
    in_time(&house(Pair::Embedded, Mode::Safe, LONG).await).await;
}

#[tokio::test]
async fn in_time_on_rabbitmq_and_postgresql_in_safe_mode() {
    in_time(&house(Pair::servers(), Mode::Safe, LONG).await).await;
}

/// The reply is what WeChat's own request is answered; the next one goes by the API.
async fn in_time(house: &House) {
    let asked = say(house, ALICE, "hello");
    reply(house, ALICE, "您好 ]]> & <i>").await;
    let delivery = asked.await.expect("it ends");
    let Answer::Reply(answer) = &delivery.answer else {
        panic!("{delivery:?}");
    };
    assert_eq!(answer.text(), Some("您好 ]]> & <i>"));
    assert_eq!(delivery.attempts.len(), 1);
    known_as_sent(house, ALICE, "您好 ]]> & <i>").await;
    assert_eq!(house.wechat.calls(SEND), 0);
    assert_eq!(house.app.left(ALICE), 5, "it counts against no quota");
    reply(house, ALICE, "and more").await;
    known_as_sent(house, ALICE, "and more").await;
    let all = [
        (Way::Passive, "您好 ]]> & <i>".to_owned()),
        (Way::CustomerService, "and more".to_owned()),
    ];
    assert_eq!(shown(house, ALICE), all);
    slots(house, "answered", 1.0).await;
}

/// Of a message that is pushed again while the first request waits, the newest request is answered by the
/// reply, the older one by `success`; one more gets the same reply, not another.
#[tokio::test]
async fn a_repeat_joins() {
    let house = house(Pair::Embedded, Mode::Plain, LONG).await;
    let envelope = house.app.envelope(ALICE, &Push::text("hello"));
    let older = post(&house, &envelope);
    slots(&house, "held", 1.0).await;
    let newer = post(&house, &envelope);
    slots(&house, "joined", 1.0).await;
    let success = Attempt::Answered {
        status: 200,
        body: "success".to_owned(),
    };
    assert_eq!(older.await.expect("it ends"), success);
    reply(&house, ALICE, "once").await;
    let answered = newer.await.expect("it ends");
    let Attempt::Answered { status: 200, body } = &answered else {
        panic!("{answered:?}");
    };
    assert!(body.contains("<![CDATA[once]]>"), "{body}");
    known_as_sent(&house, ALICE, "once").await;
    assert_eq!(house.app.post(&envelope).await, answered, "the same again");
    assert_eq!(house.wechat.calls(SEND), 0);
    let conversation = house.conversation(ALICE).await;
    let messages = house.ada.messages(&conversation).await;
    assert_eq!(texts(&messages, "inbound"), ["hello"]);
}

#[tokio::test]
async fn too_late_it_goes_by_the_api_once() {
    let short = "passive_reply = { wait = \"500ms\" }";
    let house = house(Pair::Embedded, Mode::Safe, short).await;
    let delivery = say(&house, ALICE, "hello").await.expect("it ends");
    assert_eq!(delivery.answer, Answer::Success);
    slots(&house, "expired", 1.0).await;
    reply(&house, ALICE, "late").await;
    known_as_sent(&house, ALICE, "late").await;
    let once = [(Way::CustomerService, "late".to_owned())];
    assert_eq!(shown(&house, ALICE), once);
}

#[tokio::test]
async fn one_more_than_may_wait_is_answered_at_once() {
    let one = "passive_reply = { wait = \"4500ms\", held_max = 1 }";
    let house = house(Pair::Embedded, Mode::Safe, one).await;
    let held = say(&house, ALICE, "hello");
    slots(&house, "held", 1.0).await;
    let delivery = say(&house, BOB, "hello").await.expect("it ends");
    assert_eq!(delivery.answer, Answer::Success);
    assert!(!held.is_finished(), "the other one still waits");
    slots(&house, "full", 1.0).await;
    reply(&house, BOB, "by the API").await;
    reply(&house, ALICE, "by the answer").await;
    let delivery = held.await.expect("it ends");
    assert!(matches!(delivery.answer, Answer::Reply(_)), "{delivery:?}");
    known_as_sent(&house, BOB, "by the API").await;
    let once = [(Way::CustomerService, "by the API".to_owned())];
    assert_eq!(shown(&house, BOB), once);
}

/// The user's phone waits for nobody: WeChat goes away, and the reply goes by the API.
#[tokio::test]
async fn nobody_waits_any_more() {
    let house = house(Pair::Embedded, Mode::Safe, LONG).await;
    let asked = post(&house, &house.app.envelope(ALICE, &Push::text("hello")));
    slots(&house, "held", 1.0).await;
    asked.abort();
    slots(&house, "gone", 1.0).await;
    house
        .app
        .sign(ALICE, patchbay_testkit::fakes::wechat::Sign::Message);
    reply(&house, ALICE, "still here").await;
    known_as_sent(&house, ALICE, "still here").await;
    let once = [(Way::CustomerService, "still here".to_owned())];
    assert_eq!(shown(&house, ALICE), once);
}

#[tokio::test]
async fn a_gateway_that_dies_with_the_request_costs_no_reply() {
    let mut house = House::with(Pair::servers(), Mode::Safe, &FOUR, LONG).await;
    let asked = post(&house, &house.app.envelope(ALICE, &Push::text("hello")));
    slots(&house, "held", 1.0).await;
    let conversation = house.conversation(ALICE).await;
    house
        .app
        .sign(ALICE, patchbay_testkit::fakes::wechat::Sign::Message);
    house.processes[0].kill();
    assert_eq!(asked.await.expect("it ends"), Attempt::Broken);
    house.ada.reply(&conversation, "after all", "reply").await;
    known_as_sent(&house, ALICE, "after all").await;
    let once = [(Way::CustomerService, "after all".to_owned())];
    assert_eq!(shown(&house, ALICE), once);
}

/// WeChat pushes again, and another gateway gets it: one reply, to whom WeChat asked last.
#[tokio::test]
async fn a_repeat_at_another_gateway_is_no_second_reply() {
    let house = House::with(Pair::servers(), Mode::Plain, &FOUR, LONG).await;
    let envelope = house.app.envelope(ALICE, &Push::text("hello"));
    let older = post(&house, &envelope);
    slots(&house, "held", 1.0).await;
    account(&house.wechat, Mode::Plain, &house.processes[1].url());
    let newer = post(&house, &envelope);
    reply(&house, ALICE, "once").await;
    let (older, newer) = (older.await.expect("it ends"), newer.await.expect("it ends"));
    let texts = [older, newer].map(|attempt| match attempt {
        Attempt::Answered { status: 200, body } => body,
        other => panic!("{other:?}"),
    });
    let n_replies = texts
        .iter()
        .filter(|text| text.contains("<![CDATA[once]]>"));
    assert_eq!(n_replies.count(), 1, "{texts:?}");
    assert!(texts.iter().any(|text| text == "success"), "{texts:?}");
    known_as_sent(&house, ALICE, "once").await;
    assert_eq!(house.wechat.calls(SEND), 0);
}

#[tokio::test]
async fn wechatpy_reads_the_reply_in_plain_mode() {
    understood(Mode::Plain, "plain").await;
}

#[tokio::test]
async fn wechatpy_reads_the_reply_in_safe_mode() {
    understood(Mode::Safe, "safe").await;
}

/// wechatpy checks the signature of what its push is answered, opens it and reads the reply.
async fn understood(mode: Mode, name: &str) {
    let house = house(Pair::Embedded, mode, LONG).await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(here.join("../.ci/wechatpy"));
    command.arg(here.join("tests/e2e/wechat/waits.py")).args([
        name,
        &house.address(),
        APPID,
        TOKEN,
        KEY,
        ALICE,
        "你好",
    ]);
    let output = tokio::task::spawn_blocking(move || command.output());
    reply(&house, ALICE, "您好 ]]> &").await;
    let output = output.await.expect("it ends").expect("python runs");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = json!({
        "type": "text", "content": "您好 ]]> &", "to": ALICE, "from": super::ORIGINAL_ID,
    });
    assert_eq!(read, expected);
}
