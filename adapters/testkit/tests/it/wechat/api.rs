//! Customer-service messages, typing, and calls that go wrong on demand.

use std::time::{Duration, Instant};

use patchbay_testkit::fakes::wechat::{Fault, Kind, Media, Sign, Standing, Way};
use serde_json::{Value, json};

use super::{ALICE, BOB, Caller};

const SEND: &str = "/cgi-bin/message/custom/send";
const TYPING: &str = "/cgi-bin/message/custom/typing";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture";

fn to_alice(msg_type: &str, content: &Value) -> Value {
    json!({ "touser": ALICE, "msgtype": msg_type, msg_type: content })
}

#[tokio::test]
async fn what_is_sent_is_shown_in_order_and_twice_if_it_came_twice() {
    let caller = Caller::official().await;
    caller.app.sign(ALICE, Sign::Message);
    for text in ["你好", "second", "second"] {
        assert_eq!(caller.text(ALICE, text).await, 0);
    }
    let shown = caller.app.shown(ALICE);
    let texts: Vec<_> = shown.iter().filter_map(|shown| shown.text()).collect();
    assert_eq!(texts, ["你好", "second", "second"]);
    assert!(shown.iter().all(|shown| shown.way == Way::CustomerService));
    assert_eq!(caller.app.left(ALICE), 2);
}

#[tokio::test]
async fn escaped_characters_are_refused_because_users_would_see_the_escape() {
    let caller = Caller::official().await;
    caller.app.sign(ALICE, Sign::Message);
    let body = |text: &str| {
        format!(r#"{{"touser":"{ALICE}","msgtype":"text","text":{{"content":"{text}"}}}}"#)
    };
    let code = async |text: &str| caller.post(SEND, body(text)).await["errcode"].clone();
    assert_eq!(code(r"\u4f60").await, 47001);
    assert_eq!(code(r"\\\u4f60").await, 47001);
    assert_eq!(
        code(r"\\u4f60 \n \u001b").await,
        0,
        "a backslash, and what must be escaped"
    );
    assert_eq!(code("你").await, 0);
    let refusals = caller.wechat.refusals();
    assert!(
        refusals[0].refused.errmsg.contains(r"\u4f60"),
        "{refusals:?}"
    );
}

#[tokio::test]
async fn every_type_has_its_fields() {
    let caller = Caller::official().await;
    let picture = caller.app.attach(Media::Image, JPEG);
    let voice = caller.app.attach(Media::Voice, b"#!AMR\nsaid");
    let film = caller.app.attach(Media::Video, b"\0\0\0\x18ftypmp42");
    let thumb = caller.app.attach(Media::Thumb, JPEG);
    let article =
        json!({ "title": "t", "description": "d", "url": "https://a.example", "picurl": "" });
    let entry = json!({ "id": "1", "content": "yes" });
    let cases = [
        ("image", json!({ "media_id": picture }), 0),
        ("image", json!({}), 41006),
        ("image", json!({ "media_id": "nobody's" }), 40007),
        ("image", json!({ "media_id": voice }), 40007),
        ("voice", json!({ "media_id": voice }), 0),
        (
            "video",
            json!({ "media_id": film, "thumb_media_id": thumb, "title": "t" }),
            0,
        ),
        ("video", json!({ "media_id": film }), 41006),
        (
            "music",
            json!({ "musicurl": "u", "hqmusicurl": "u", "thumb_media_id": thumb }),
            0,
        ),
        ("music", json!({ "thumb_media_id": thumb }), 40097),
        ("news", json!({ "articles": [article] }), 0),
        ("news", json!({ "articles": [article, article] }), 45008),
        (
            "msgmenu",
            json!({ "head_content": "h", "list": [entry], "tail_content": "t" }),
            0,
        ),
        ("msgmenu", json!({ "head_content": "h", "list": [] }), 40097),
        (
            "miniprogrampage",
            json!({ "title": "t", "appid": "wx1", "pagepath": "p", "thumb_media_id": thumb }),
            0,
        ),
        (
            "miniprogrampage",
            json!({ "title": "t", "pagepath": "p", "thumb_media_id": thumb }),
            40097,
        ),
        ("text", json!({ "content": "" }), 44004),
        ("text", json!({ "content": "字".repeat(682) }), 0),
        ("text", json!({ "content": "字".repeat(683) }), 45002),
        (
            "link",
            json!({ "title": "t", "description": "d", "url": "u", "thumb_url": "u" }),
            40008,
        ),
        ("carrier_pigeon", json!({}), 40008),
    ];
    for (msg_type, content, errcode) in cases {
        caller.app.sign(ALICE, Sign::Message);
        let sent = caller.send(&to_alice(msg_type, &content)).await;
        assert_eq!(sent, errcode, "{msg_type} {content}");
    }
    assert_eq!(
        caller.app.left(ALICE),
        5,
        "what is refused counts for nothing"
    );
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let caller = Caller::official().await;
    assert_eq!(
        caller
            .send(&json!({ "msgtype": "text", "text": { "content": "x" } }))
            .await,
        40003
    );
    assert_eq!(caller.post(SEND, String::new()).await["errcode"], 44002);
    assert_eq!(caller.post(SEND, "{".to_owned()).await["errcode"], 47001);
    assert_eq!(
        caller.post("/cgi-bin/nothing", "{}".to_owned()).await["errcode"],
        404_000
    );
}

#[tokio::test]
async fn mini_programs_have_types_of_their_own() {
    let caller = Caller::of(Kind::MiniProgram).await;
    caller.app.sign(ALICE, Sign::Enter);
    let link = json!({ "title": "t", "description": "d", "url": "u", "thumb_url": "u" });
    assert_eq!(caller.send(&to_alice("link", &link)).await, 0);
    assert_eq!(
        caller
            .send(&to_alice("voice", &json!({ "media_id": "x" })))
            .await,
        40008
    );
    let thumb = caller.app.attach(Media::Image, JPEG);
    let card = json!({ "title": "t", "pagepath": "p", "thumb_media_id": thumb });
    assert_eq!(caller.send(&to_alice("miniprogrampage", &card)).await, 0);
    assert_eq!(
        caller.text(ALICE, "a third").await,
        45047,
        "two after entering"
    );
}

#[tokio::test]
async fn a_sign_of_life_allows_so_many_messages_for_so_long() {
    for (sign, allowed, seconds) in [
        (Sign::Message, 5, 48 * 3600),
        (Sign::Menu, 3, 60),
        (Sign::Follow, 3, 60),
        (Sign::Scan, 3, 60),
    ] {
        let mut caller = Caller::official().await;
        caller.app.stand(ALICE, Standing::Follows);
        assert_eq!(caller.text(ALICE, "x").await, 45015, "before {sign:?}");
        caller.app.sign(ALICE, sign);
        for _ in 0..allowed {
            assert_eq!(caller.text(ALICE, "x").await, 0, "{sign:?}");
        }
        assert_eq!(caller.text(ALICE, "x").await, 45047, "{sign:?}");
        caller.app.sign(ALICE, sign);
        caller.wechat.advance(Duration::from_secs(seconds));
        caller.renew().await;
        assert_eq!(caller.text(ALICE, "x").await, 45015, "after {sign:?}");
    }
    let caller = Caller::official().await;
    caller.app.sign(ALICE, Sign::Menu);
    caller.app.sign(ALICE, Sign::Message);
    caller.app.sign(ALICE, Sign::Message);
    assert_eq!(
        caller.app.left(ALICE),
        8,
        "signs of two kinds add up, of one they begin anew"
    );
}

#[tokio::test]
async fn users_who_left_or_block_hear_nothing() {
    let caller = Caller::official().await;
    caller.app.sign(ALICE, Sign::Message);
    caller.app.stand(ALICE, Standing::Blocks);
    assert_eq!(caller.text(ALICE, "x").await, 43019);
    caller.app.stand(ALICE, Standing::Stranger);
    assert_eq!(caller.text(ALICE, "x").await, 43004);
    assert_eq!(caller.text(BOB, "x").await, 40003);
    assert!(caller.app.shown(ALICE).is_empty());
}

#[tokio::test]
async fn an_account_may_send_so_much_in_a_minute_and_in_a_day() {
    let caller = Caller::official().await;
    caller.app.limit_sends(2, 3);
    caller.app.sign(ALICE, Sign::Message);
    for errcode in [0, 0, 45011] {
        assert_eq!(caller.text(ALICE, "x").await, errcode);
    }
    caller.wechat.advance(Duration::from_secs(61));
    for errcode in [0, 45009] {
        assert_eq!(caller.text(ALICE, "x").await, errcode);
    }
}

#[tokio::test]
async fn typing_is_seen_for_a_while() {
    let caller = Caller::official().await;
    let typing = json!({ "touser": ALICE, "command": "Typing" });
    assert_eq!(caller.code(TYPING, &typing).await, 40003);
    caller.app.sign(ALICE, Sign::Message);
    assert_eq!(caller.code(TYPING, &typing).await, 0);
    assert!(caller.app.sees_typing(ALICE));
    assert_eq!(caller.code(TYPING, &typing).await, 45081);
    assert_eq!(
        caller
            .code(
                TYPING,
                &json!({ "touser": ALICE, "command": "CancelTyping" })
            )
            .await,
        0
    );
    assert!(!caller.app.sees_typing(ALICE));
    assert_eq!(
        caller
            .code(TYPING, &json!({ "touser": ALICE, "command": "Smile" }))
            .await,
        45072
    );
    caller.wechat.advance(Duration::from_secs(31));
    assert_eq!(caller.code(TYPING, &typing).await, 45080);
}

#[tokio::test]
async fn calls_go_wrong_as_ordered() {
    let caller = Caller::official().await;
    caller.app.sign(ALICE, Sign::Message);
    let late = Duration::from_millis(200);
    for fault in [
        Fault::Refuse(-1),
        Fault::Refuse(45009),
        Fault::Slow(late),
        Fault::Gateway(502),
        Fault::ResetLost,
        Fault::ResetTaken,
        Fault::ExpireTokens,
    ] {
        caller.wechat.fault(SEND, fault);
    }
    assert_eq!(caller.text(ALICE, "busy").await, -1);
    assert_eq!(caller.text(ALICE, "quota").await, 45009);
    let began = Instant::now();
    assert_eq!(caller.text(ALICE, "late").await, 0);
    assert!(began.elapsed() >= late);
    let raw = async |text: &str| {
        let body = to_alice("text", &json!({ "content": text })).to_string();
        let url = format!(
            "{}{SEND}?access_token={}",
            caller.wechat.url(),
            caller.token
        );
        caller.http.post(url).body(body).send().await
    };
    assert_eq!(raw("upstream").await.unwrap().status(), 502);
    assert!(raw("lost").await.is_err());
    assert!(raw("taken").await.is_err());
    assert_eq!(caller.text(ALICE, "expired").await, 42001);
    let shown = caller.app.shown(ALICE);
    let texts: Vec<_> = shown.iter().filter_map(|shown| shown.text()).collect();
    assert_eq!(
        texts,
        ["late", "taken"],
        "a reset can hide that it was done"
    );
    assert_eq!(caller.wechat.calls(SEND), 7);
}
