//! Pushes: verification, attempts, and what is made of answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use patchbay_testkit::fakes::wechat::{
    ANSWER_TIME, ATTEMPTS, Answer, App, Attempt, Format, Kind, Mode, Push, Seal, Shown, Standing,
    Way, WeChat,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{ALICE, account};

/// A callback that answers by a script: what it heard, and a status and body; no status is no answer.
struct Callback {
    url: String,
    heard: Arc<Mutex<Vec<(String, String)>>>,
    task: JoinHandle<()>,
}

impl Callback {
    async fn start(
        script: impl Fn(usize, &str, &str) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/wx?of=us", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (target, body) = request(&mut stream).await;
                let n = {
                    let mut all = all.lock().unwrap();
                    all.push((target.clone(), body.clone()));
                    all.len()
                };
                let (status, answer) = script(n, &target, &body);
                if status == 0 {
                    // Held open until the platform cuts it.
                    let _ = stream.read(&mut [0; 1]).await;
                    continue;
                }
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
                    answer.len()
                );
                stream
                    .write_all(format!("{head}{answer}").as_bytes())
                    .await
                    .unwrap();
            }
        });
        Self { url, heard, task }
    }

    fn heard(&self) -> Vec<(String, String)> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Target and body of a request.
async fn request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                return (target, body.to_owned());
            }
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{text}");
    }
}

fn parameter(target: &str, name: &str) -> String {
    let url = reqwest::Url::parse(&format!("http://callback{target}")).unwrap();
    let mut found = url.query_pairs().filter(|(known, _)| known == name);
    found
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// A platform whose callback answers by a script.
async fn platform(
    (kind, mode, format): (Kind, Mode, Format),
    script: impl Fn(usize, &str, &str) -> (u16, String) + Send + Sync + 'static,
) -> (WeChat, App, Callback) {
    let callback = Callback::start(script).await;
    let wechat = WeChat::start().await;
    let app = wechat.open(account(kind, mode, format, &callback.url));
    (wechat, app, callback)
}

const PLAIN: (Kind, Mode, Format) = (Kind::Official, Mode::Plain, Format::Xml);

fn success(_: usize, _: &str, _: &str) -> (u16, String) {
    (200, "success".to_owned())
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from)
        .and_then(|(_, rest)| rest.split_once(to))
        .map_or("", |(found, _)| found)
}

#[tokio::test]
async fn a_callback_proves_that_it_knows_the_token() {
    let (_wechat, app, callback) =
        platform(PLAIN, |_, target, _| (200, parameter(target, "echostr"))).await;
    app.verify().await.unwrap();
    let (target, _) = &callback.heard()[0];
    let (at, nonce) = (parameter(target, "timestamp"), parameter(target, "nonce"));
    assert_eq!(
        parameter(target, "signature"),
        app.seal().sign(&[&at, &nonce])
    );
    assert_eq!(
        parameter(target, "of"),
        "us",
        "the address is kept as it is"
    );

    let (_wechat, app, _callback) = platform(PLAIN, success).await;
    let answered = Attempt::Answered {
        status: 200,
        body: "success".to_owned(),
    };
    assert_eq!(app.verify().await, Err(answered));
}

#[tokio::test]
async fn a_message_is_pushed_in_the_open() {
    let (_wechat, app, callback) = platform(PLAIN, success).await;
    let delivery = app.push(ALICE, Push::text("a ]]> b <你好>")).await;
    assert_eq!(
        (delivery.answer, delivery.attempts.len()),
        (Answer::Success, 1)
    );
    let (target, body) = &callback.heard()[0];
    assert_eq!(parameter(target, "openid"), ALICE);
    assert_eq!(parameter(target, "encrypt_type"), "");
    assert!(
        body.contains("<Content><![CDATA[a ]]]]><![CDATA[> b <你好>]]></Content>"),
        "{body}"
    );
    assert!(body.contains("<FromUserName><![CDATA[oAlice-_0123456789abcdefghij]]></FromUserName>"));
    assert!(body.contains("<ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>"));
    let msg_id = delivery.msg_id.unwrap();
    assert!(
        msg_id > 1 << 53 && body.contains(&format!("<MsgId>{msg_id}</MsgId>")),
        "{body}"
    );
    assert_eq!(app.left(ALICE), 5, "she may be answered now");
}

#[tokio::test]
async fn a_sealed_push_shows_nothing_and_a_compatible_one_both() {
    for (mode, format) in [(Mode::Safe, Format::Xml), (Mode::Compatible, Format::Json)] {
        let (_wechat, app, callback) = platform((Kind::MiniProgram, mode, format), success).await;
        app.push(ALICE, Push::text("a secret")).await;
        let (target, body) = &callback.heard()[0];
        let sealed = match format {
            Format::Xml => between(body, "<Encrypt><![CDATA[", "]]>").to_owned(),
            Format::Json => {
                let body: Value = serde_json::from_str(body).unwrap();
                body["Encrypt"].as_str().unwrap().to_owned()
            }
        };
        let (at, nonce) = (parameter(target, "timestamp"), parameter(target, "nonce"));
        assert_eq!(parameter(target, "encrypt_type"), "aes");
        assert_eq!(
            parameter(target, "msg_signature"),
            app.seal().sign(&[&at, &nonce, &sealed])
        );
        let inside = String::from_utf8(app.seal().open(&sealed).unwrap()).unwrap();
        assert!(
            inside.contains("a secret") && inside.contains("MsgId"),
            "{inside}"
        );
        assert_eq!(body.contains("a secret"), mode == Mode::Compatible);
    }
}

#[tokio::test]
async fn who_does_not_answer_is_cut_off_and_told_three_times_in_all() {
    let (wechat, app, callback) = platform(PLAIN, |n, _, _| match n {
        1 => (0, String::new()),
        2 => (500, "oops".to_owned()),
        _ => (200, String::new()),
    })
    .await;
    assert_eq!(
        (ANSWER_TIME, ATTEMPTS),
        (Duration::from_secs(5), 3),
        "what the platform promises"
    );
    wechat.hurry(Duration::from_millis(200), Duration::ZERO);
    let delivery = app.push(ALICE, Push::text("hello")).await;
    assert_eq!(delivery.answer, Answer::Empty);
    let failed = Attempt::Answered {
        status: 500,
        body: "oops".to_owned(),
    };
    assert_eq!(delivery.attempts[..2], [Attempt::TimedOut, failed]);
    let heard = callback.heard();
    let ids: Vec<_> = heard
        .iter()
        .map(|(_, body)| between(body, "<MsgId>", "</MsgId>"))
        .collect();
    assert!(
        !ids[0].is_empty() && ids.iter().all(|id| *id == ids[0]),
        "{ids:?}"
    );

    let (wechat, app, callback) = platform(PLAIN, |_, _, _| (503, String::new())).await;
    wechat.hurry(Duration::from_millis(200), Duration::ZERO);
    assert!(!app.push(ALICE, Push::text("hello")).await.taken());
    assert_eq!(callback.heard().len(), 3);
}

fn passive(from: &str, to: &str, inner: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[{to}]]></ToUserName><FromUserName><![CDATA[{from}]]></FromUserName>\
         <CreateTime>1714037059</CreateTime>{inner}</xml>"
    )
}

const ACCOUNT: &str = "gh_97417a04a28d";
const HELLO: &str = "<MsgType>text</MsgType><Content><![CDATA[hi & bye]]></Content>";

/// A callback that answers with what the user says.
async fn parrot() -> (WeChat, App, Callback) {
    platform(PLAIN, |_, _, body| {
        let said = between(body, "<Content><![CDATA[", "]]></Content>");
        (200, said.to_owned())
    })
    .await
}

/// A reply without CDATA, which would end that of the user's message.
fn reply(inner: &str) -> String {
    bare(&passive(ACCOUNT, ALICE, inner))
}

fn bare(answer: &str) -> String {
    answer.replace("<![CDATA[", "").replace("]]>", "")
}

#[tokio::test]
async fn a_reply_is_shown() {
    let (_wechat, app, _callback) = parrot().await;
    let say = async |answer: String| app.push(ALICE, Push::text(&answer)).await.answer;
    let plain = reply("<MsgType>text</MsgType><Content>hi &amp; bye &#20320;</Content>");
    let Answer::Reply(Shown {
        way: Way::Passive,
        content,
        ..
    }) = say(plain).await
    else {
        panic!("not shown")
    };
    assert_eq!(content, json!({ "Content": "hi & bye 你" }));
    let news = "<MsgType>news</MsgType><ArticleCount>1</ArticleCount>\
                <Articles><item><Title>t</Title><Url>u</Url></item></Articles>";
    let Answer::Reply(shown) = say(reply(news)).await else {
        panic!("not shown")
    };
    assert_eq!(shown.content, json!([{ "Title": "t", "Url": "u" }]));
    assert!(matches!(
        say(reply("<MsgType>transfer_customer_service</MsgType>")).await,
        Answer::Reply(_)
    ));
}

#[tokio::test]
async fn what_is_no_reply_makes_the_service_unavailable() {
    let (_wechat, app, _callback) = parrot().await;
    for (answer, why) in [
        ("Success".to_owned(), "0 roots"),
        ("{}".to_owned(), "ToUserName is missing"),
        (
            passive(ALICE, ACCOUNT, "<MsgType>text</MsgType>"),
            "not swapped",
        ),
        (reply("<MsgType>text</MsgType>"), "Content is missing"),
        (
            reply("<MsgType>text</MsgType><Content></Content>"),
            "a text of 0 bytes",
        ),
        (reply("<MsgType>hologram</MsgType>"), "MsgType hologram"),
        (
            reply("<MsgType>image</MsgType><Image><MediaId>nobody's</MediaId></Image>"),
            "invalid media_id",
        ),
        (
            reply(
                "<MsgType>news</MsgType><ArticleCount>2</ArticleCount><Articles><item/></Articles>",
            ),
            "ArticleCount",
        ),
        (
            "<xml><Encrypt>x</Encrypt></xml>".to_owned(),
            "a sealed answer in plain mode",
        ),
        ("<!DOCTYPE xml><xml/>".to_owned(), "a document type"),
        ("<xml>".to_owned(), "not closed"),
    ] {
        let answer = bare(&answer);
        let delivery = app.push(ALICE, Push::text(&answer)).await;
        let Answer::Unavailable { why: found } = delivery.answer else {
            panic!("{answer} was taken")
        };
        assert!(found.contains(why), "{answer}: {found}");
    }
    assert_eq!(app.shown(ALICE), []);
}

fn sealed(seal: &Seal, inner: &str, signature: Option<&str>) -> String {
    let encrypt = seal.seal(inner.as_bytes());
    let signed = seal.sign(&["1714037059", "12345", &encrypt]);
    format!(
        "<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt><MsgSignature>{}</MsgSignature>\
         <TimeStamp>1714037059</TimeStamp><Nonce>12345</Nonce></xml>",
        signature.unwrap_or(&signed)
    )
}

#[tokio::test]
async fn a_reply_in_safe_mode_is_sealed_and_signed() {
    let inner = passive(ACCOUNT, ALICE, HELLO);
    let ours = super::account(Kind::Official, Mode::Safe, Format::Xml, "");
    let seal = Seal::new(
        &ours.callback.token,
        &ours.callback.encoding_aes_key,
        &ours.appid,
    );
    let strange = Seal::new(&ours.callback.token, &ours.callback.encoding_aes_key, "wx0");
    for (answer, why) in [
        (sealed(&seal, &inner, None), None),
        (
            sealed(&seal, &inner, Some("forged")),
            Some("MsgSignature is wrong"),
        ),
        (
            sealed(&strange, &inner, None),
            Some("sealed for somebody else"),
        ),
        (inner.clone(), Some("an open answer in safe mode")),
        ("success".to_owned(), None),
    ] {
        let script = answer.clone();
        let safe = (Kind::Official, Mode::Safe, Format::Xml);
        let (_wechat, app, _callback) = platform(safe, move |_, _, _| (200, script.clone())).await;
        let found = match app.push(ALICE, Push::text("hello")).await.answer {
            Answer::Unavailable { why } => Some(why),
            _ => None,
        };
        assert_eq!(found.as_deref(), why, "{answer}");
    }
}

#[tokio::test]
async fn a_mini_program_may_only_transfer() {
    let mini = (Kind::MiniProgram, Mode::Plain, Format::Json);
    let reply = json!({
        "ToUserName": ALICE, "FromUserName": ACCOUNT, "CreateTime": 1_714_037_059, "MsgType": "text", "Content": "x",
    });
    let (_wechat, app, callback) = platform(mini, move |n, _, _| {
        let mut reply = reply.clone();
        reply["MsgType"] = if n == 1 {
            json!("text")
        } else {
            json!("transfer_customer_service")
        };
        (200, reply.to_string())
    })
    .await;
    assert!(!app.push(ALICE, Push::enter("shop")).await.taken());
    assert!(app.push(ALICE, Push::text("hello")).await.taken());
    let body: Value = serde_json::from_str(&callback.heard()[0].1).unwrap();
    assert_eq!(
        (&body["Event"], &body["SessionFrom"]),
        (&json!("user_enter_tempsession"), &json!("shop"))
    );
}

#[tokio::test]
async fn following_and_leaving_change_what_may_be_said() {
    let (wechat, app, callback) = platform(PLAIN, success).await;
    app.push(ALICE, Push::follow(Some("42"))).await;
    assert_eq!(app.left(ALICE), 3);
    app.push(ALICE, Push::leave()).await;
    assert!(
        callback.heard()[0]
            .1
            .contains("<EventKey><![CDATA[qrscene_42]]></EventKey>")
    );
    app.stand(ALICE, Standing::Follows);
    app.template("T1", &[]);
    let notice = json!({ "touser": ALICE, "template_id": "T1", "data": {} });
    let http = super::http();
    let token = json!({ "grant_type": "client_credential", "appid": "wx5823bf96d3bd56c7", "secret": super::SECRET });
    let url = wechat.url();
    let answer = http
        .post(format!("{url}/cgi-bin/stable_token"))
        .body(token.to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    let path = format!(
        "{url}/cgi-bin/message/template/send?access_token={}",
        answer["access_token"].as_str().unwrap()
    );
    let sent: Value = http
        .post(path)
        .body(notice.to_string())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    app.finish("failed:user block").await;
    let (_, body) = callback.heard().pop().unwrap();
    assert!(body.contains("<![CDATA[TEMPLATESENDJOBFINISH]]>"), "{body}");
    assert!(
        body.contains(&format!("<MsgID>{}</MsgID>", sent["msgid"])),
        "{body}"
    );
    assert!(
        body.contains("<Status><![CDATA[failed:user block]]></Status>"),
        "{body}"
    );
    assert!(
        app.finish("success").await.is_empty(),
        "each has one result"
    );
}
