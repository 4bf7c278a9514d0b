//! The fake before strangers: wechatpy calls its API and reads its pushes.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use patchbay_testkit::fakes::wechat::{
    Answer, App, Family, Format, Kind, Media, Mode, Push, Sign, Way, WeChat,
};
use serde_json::{Value, json};

use super::{ALICE, BOB, SECRET, account};

fn python(words: &[&str]) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(here.join("../../.ci/wechatpy"));
    let script: PathBuf = here.join("tests/sdk/wechat.py");
    command.arg(script).args(words);
    command
}

#[tokio::test]
async fn wechatpy_fetches_tokens_sends_and_uploads() {
    let wechat = WeChat::start().await;
    let app = wechat.open(account(
        Kind::Official,
        Mode::Plain,
        Format::Xml,
        "http://127.0.0.1:9/",
    ));
    app.sign(ALICE, Sign::Message);
    let mut command = python(&[
        "client",
        wechat.url(),
        "wx5823bf96d3bd56c7",
        SECRET,
        ALICE,
        BOB,
    ]);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = app.shown(ALICE);
    assert_eq!(shown[0].text(), Some("你好 & <bye>"));
    assert_eq!(
        (shown[0].way, shown[1].msg_type.as_str()),
        (Way::CustomerService, "image")
    );
    let file = app.file(said["uploaded"].as_str().unwrap()).unwrap();
    assert_eq!(
        hex::encode(file),
        said["bytes"].as_str().unwrap(),
        "what it fetched is what it uploaded"
    );
    assert_eq!(
        said["refused"],
        json!([
            ["a stranger", 40003],
            ["no file", 40007],
            ["too long", 45002]
        ])
    );
    assert_eq!(
        app.tokens_issued(Family::Plain),
        1,
        "one token for all of it"
    );
}

/// wechatpy's side of a callback; ends with us.
struct Callback(Child, BufReader<std::process::ChildStdout>);

impl Callback {
    fn start(app: &str, token: &str, key: &str) -> (Self, String) {
        let mut child = python(&["callback", app, token, key])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut callback = Self(child, out);
        let url = callback.line()["url"].as_str().unwrap().to_owned();
        (callback, url)
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wechatpy_reads_every_push_and_answers() {
    for mode in [Mode::Plain, Mode::Safe, Mode::Compatible] {
        let mut account = account(Kind::Official, mode, Format::Xml, "");
        let (mut callback, url) = Callback::start(
            &account.appid,
            &account.callback.token,
            &account.callback.encoding_aes_key,
        );
        account.callback.url = url;
        let wechat = WeChat::start().await;
        let app = wechat.open(account);
        app.verify().await.unwrap();
        for (push, read) in pushes(&app) {
            let delivery = app.push(ALICE, push).await;
            let heard = callback.line();
            for (name, value) in read.as_object().unwrap() {
                assert_eq!(&heard[name], value, "{mode:?} {heard}");
            }
            assert_eq!(heard["source"], ALICE);
            if read["type"] == "text" {
                assert_eq!(heard["id"], json!(delivery.msg_id.unwrap()));
                let Answer::Reply(shown) = delivery.answer else {
                    panic!("{delivery:?}")
                };
                assert_eq!(shown.text(), Some("heard: a  b <你好>"));
            } else {
                assert!(delivery.taken(), "{delivery:?}");
            }
        }
    }
}

/// Pushes, and what wechatpy calls their fields.
fn pushes(app: &App) -> Vec<(Push, Value)> {
    let picture = app.attach(Media::Image, b"\xff\xd8\xff\xe0 a picture");
    vec![
        (
            Push::text("a ]]> b <你好>"),
            json!({ "type": "text", "content": "a ]]> b <你好>" }),
        ),
        (
            Push::image(&picture, "http://a.example/1"),
            json!({ "type": "image", "media_id": picture }),
        ),
        (
            Push::voice("v", Some("hello")),
            json!({ "type": "voice", "recognition": "hello", "format": "amr" }),
        ),
        (
            Push::video("f", "t"),
            json!({ "type": "video", "media_id": "f", "thumb_media_id": "t" }),
        ),
        (
            Push::short_video("f", "t"),
            json!({ "type": "shortvideo", "media_id": "f" }),
        ),
        (
            Push::location("23.1", "113.3", "a place"),
            json!({ "type": "location", "label": "a place" }),
        ),
        (
            Push::link("t", "d", "http://a.example/2"),
            json!({ "type": "link", "url": "http://a.example/2" }),
        ),
        (Push::follow(None), json!({ "event": "subscribe" })),
        (
            Push::follow(Some("7")),
            json!({ "event": "subscribe_scan", "scene_id": "7" }),
        ),
        (Push::scan("8"), json!({ "event": "scan", "scene_id": "8" })),
        (
            Push::click("MENU"),
            json!({ "event": "click", "key": "MENU" }),
        ),
        (
            Push::view("http://a.example/3"),
            json!({ "event": "view", "url": "http://a.example/3" }),
        ),
        (
            Push::whereabouts("23.1", "113.3"),
            json!({ "event": "location", "latitude": 23.1 }),
        ),
        (Push::leave(), json!({ "event": "unsubscribe" })),
    ]
}
