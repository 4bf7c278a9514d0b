//! A user writes, an agent answers.

use std::time::Duration;

use patchbay_testkit::fakes::wechat::{Answer, Delivery, Family, Fault, Media, Mode, Push, Way};
use serde_json::Value;

use super::{ALICE, BOB, House, texts};
use crate::harness::{config::Pair, eventually, http};

const PATIENCE: Duration = Duration::from_secs(60);
const SEND: &str = "/cgi-bin/message/custom/send";
const TOKENS: &str = "/cgi-bin/stable_token";

#[tokio::test]
async fn a_user_and_an_agent_talk_on_the_embedded_pair_in_plain_mode() {
    talk(&House::new(Pair::Embedded, Mode::Plain).await).await;
}

#[tokio::test]
async fn a_user_and_an_agent_talk_on_the_embedded_pair_in_safe_mode() {
    talk(&House::new(Pair::Embedded, Mode::Safe).await).await;
}

#[tokio::test]
async fn a_user_and_an_agent_talk_on_rabbitmq_and_postgresql_in_safe_mode() {
    talk(&House::new(Pair::servers(), Mode::Safe).await).await;
}

#[tokio::test]
async fn a_user_and_an_agent_talk_on_rabbitmq_and_postgresql_in_compatible_mode() {
    talk(&House::new(Pair::servers(), Mode::Compatible).await).await;
}

async fn talk(house: &House) {
    house
        .app
        .verify()
        .await
        .expect("the console is content with the address");
    say(house, ALICE, "你好 ]]> <b>").await;
    let conversation = house.conversation(ALICE).await;
    reply(house, &conversation, "您好 \\u4f60 & <i>").await;
    reply(house, &conversation, "two").await;
    assert_eq!(house.wechat.calls(TOKENS), 1, "one token for both");

    house.app.expire_tokens();
    reply(house, &conversation, "three").await;
    assert_eq!(
        house.app.tokens_issued(Family::Stable),
        2,
        "an expired token is renewed once"
    );
    // The platform's refusals do not count against the user's five.
    house.wechat.fault(SEND, Fault::Refuse(-1));
    reply(house, &conversation, "four").await;
    assert_eq!(
        house.app.tokens_issued(Family::Plain),
        0,
        "the older API is left alone"
    );
    assert_eq!(house.app.left(ALICE), 1);

    pushed_again(house, &conversation).await;
    let shown = house.app.shown(ALICE);
    let replies: Vec<_> = shown.iter().filter_map(|shown| shown.text()).collect();
    let all = ["您好 \\u4f60 & <i>", "two", "three", "four"];
    assert_eq!(replies, all, "each once, in order, letter by letter");
    assert!(shown.iter().all(|shown| shown.way == Way::CustomerService));
    assert_eq!(refused(house), [42001, -1], "nothing else was refused");
    everything_is_taken(house).await;
}

/// With what the platform has refused calls, in order.
fn refused(house: &House) -> Vec<i64> {
    let refusals = house.wechat.refusals();
    refusals
        .iter()
        .map(|refusal| refusal.refused.errcode)
        .collect()
}

/// A token that ends while a message is under way is renewed; one that ends again at once is waited for,
/// for the platform forces no second one within half a minute.
#[tokio::test]
async fn a_token_that_ends_in_flight_costs_no_message() {
    let house = House::new(Pair::Embedded, Mode::Safe).await;
    say(&house, ALICE, "hello").await;
    let conversation = house.conversation(ALICE).await;
    for text in ["one", "two"] {
        house.wechat.fault(SEND, Fault::ExpireTokens);
        reply(&house, &conversation, text).await;
    }
    let shown = house.app.shown(ALICE);
    let replies: Vec<_> = shown.iter().filter_map(|shown| shown.text()).collect();
    assert_eq!(replies, ["one", "two"]);
    assert_eq!(
        house.app.tokens_issued(Family::Stable),
        3,
        "the first, and one for each that ended"
    );
    let forced = house.app.tokens_forced();
    assert_eq!(forced, 0, "the platform had another one by then");
    assert!(
        refused(&house).iter().all(|code| *code == 42001),
        "{:?}",
        refused(&house)
    );
}

/// What a user sends by the platform's handle is fetched from it, and the agent can look at it.
#[tokio::test]
async fn a_picture_of_a_user_can_be_looked_at() {
    const PICTURE: &[u8] = b"\xff\xd8\xff\xe0\x00\x10JFIF a picture";
    let house = House::new(Pair::Embedded, Mode::Safe).await;
    let handle = house.app.attach(Media::Image, PICTURE);
    let push = Push::image(&handle, "http://a.example/p");
    assert!(house.app.push(ALICE, push).await.taken());
    let conversation = house.conversation(ALICE).await;
    let url = eventually("the picture in our own store", PATIENCE, || async {
        let messages = house.ada.messages(&conversation).await;
        let url = messages[0]["content"][0]["url"].as_str()?.to_owned();
        url.contains("/media/").then_some(url)
    })
    .await;
    let gateway = house.processes[0].url();
    let path = url.split("/media/").nth(1).expect("a name");
    let picture = http().get(format!("{gateway}/media/{path}")).send().await;
    let picture = picture.expect("an answer");
    assert_eq!(picture.status(), 200);
    assert_eq!(picture.bytes().await.expect("bytes"), PICTURE);
}

/// A user's message is taken at the first attempt.
async fn say(house: &House, openid: &str, text: &str) -> Delivery {
    let delivery = house.app.push(openid, Push::text(text)).await;
    assert_eq!(delivery.answer, Answer::Success, "{delivery:?}");
    assert_eq!(delivery.attempts.len(), 1, "{delivery:?}");
    delivery
}

/// The agent replies, and the user is shown it.
async fn reply(house: &House, conversation: &str, text: &str) {
    let key = uuid::Uuid::now_v7().to_string();
    house.ada.reply(conversation, text, &key).await;
    eventually(&format!("{text} to be shown"), PATIENCE, || async {
        let shown = house.app.shown(ALICE);
        shown
            .iter()
            .any(|shown| shown.text() == Some(text))
            .then_some(())
    })
    .await;
    eventually(&format!("{text} to be known as sent"), PATIENCE, || async {
        let messages = house.ada.messages(conversation).await;
        let message = messages.iter().find(|m| m["content"][0]["text"] == text)?;
        let state = message["delivery"]["state"].as_str()?;
        matches!(state, "accepted" | "sent").then_some(())
    })
    .await;
}

/// A message that is pushed again, and one whose first answer was late, are one message each.
async fn pushed_again(house: &House, conversation: &str) {
    let push = Push::text("again and again");
    let at_s = house.wechat.now_ms() / 1000;
    let first = house.app.push(ALICE, push.clone()).await;
    let msg_id = first.msg_id.expect("messages have numbers");
    for _ in 0..2 {
        let again = house
            .app
            .push_again(ALICE, push.clone(), msg_id, at_s)
            .await;
        assert_eq!(again.answer, Answer::Success, "{again:?}");
    }
    // The platform gives up on each attempt at once, and each may have been taken.
    house.wechat.hurry(Duration::from_millis(1), Duration::ZERO);
    let late = house.app.push(ALICE, Push::text("late")).await;
    house.wechat.hurry(Duration::from_secs(5), Duration::ZERO);
    let id = late.msg_id.expect("messages have numbers");
    let last = house
        .app
        .push_again(ALICE, Push::text("late"), id, at_s)
        .await;
    // Behind an attempt that broke off there is one 503, lest an older message overtake a newer one.
    assert_eq!(last.answer, Answer::Success, "{last:?}");
    say(house, ALICE, "the end").await;
    let messages: Vec<Value> = eventually("the end", PATIENCE, || async {
        let messages = house.ada.messages(conversation).await;
        texts(&messages, "inbound")
            .contains(&"the end".to_owned())
            .then_some(messages)
    })
    .await;
    let said = ["你好 ]]> <b>", "again and again", "late", "the end"];
    assert_eq!(texts(&messages, "inbound"), said);
}

/// Whatever a user does, the callback takes it and says `success`.
async fn everything_is_taken(house: &House) {
    let pushes = [
        Push::follow(Some("42")),
        Push::image("m", "http://a.example/p"),
        Push::voice("m", Some("hello")),
        Push::video("m", "t"),
        Push::short_video("m", "t"),
        Push::location("23.1", "113.3", "a place"),
        Push::link("t", "d", "http://a.example/l"),
        Push::card("t", "wx1", "pages/1", "m"),
        Push::scan("43"),
        Push::click("MENU"),
        Push::view("http://a.example/v"),
        Push::whereabouts("23.1", "113.3"),
        Push::event("something_new", &[("Whatever", "x")]),
        Push::leave(),
    ];
    let n_pushes = pushes.len();
    for push in pushes {
        let delivery = house.app.push(BOB, push).await;
        assert_eq!(delivery.answer, Answer::Success, "{delivery:?}");
    }
    let conversation = house.conversation(BOB).await;
    eventually("all of them in the conversation", PATIENCE, || async {
        let messages = house.ada.messages(&conversation).await;
        let inbound = messages.iter().filter(|m| m["direction"] == "inbound");
        (inbound.count() == n_pushes).then_some(())
    })
    .await;
}
