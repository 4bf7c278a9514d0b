//! A platform by a library of other people talks to the real binary.

use std::{path::Path, process::Command, time::Duration};

use patchbay_testkit::fakes::wechat::{Mode, Sign};
use serde_json::{Value, json};

use super::{ALICE, APPID, House, KEY, TOKEN, texts};
use crate::harness::{config::Pair, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn wechatpy_is_understood_in_plain_mode() {
    understood(Mode::Plain, "plain").await;
}

#[tokio::test]
async fn wechatpy_is_understood_in_safe_mode() {
    understood(Mode::Safe, "safe").await;
}

/// What wechatpy signs and seals is taken, once each; what it forges is not; the agent's reply goes out
/// by the API that wechatpy is at home with too.
async fn understood(mode: Mode, name: &str) {
    let house = House::new(Pair::Embedded, mode).await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(here.join("../.ci/wechatpy"));
    command
        .arg(here.join("tests/e2e/wechat/user.py"))
        .args([name, &house.address(), APPID, TOKEN, KEY, ALICE])
        .args(["你好", "second"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("it ends").expect("python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["echo"], "4375120948345356249");
    let taken = json!([200, "success"]);
    assert_eq!(
        said["answers"],
        json!([taken, taken, taken, taken, [401, ""]])
    );

    let conversation = house.conversation(ALICE).await;
    eventually("both messages", PATIENCE, || async {
        let messages = house.ada.messages(&conversation).await;
        (texts(&messages, "inbound") == ["你好", "second"]).then_some(())
    })
    .await;
    house.app.sign(ALICE, Sign::Message);
    house.ada.reply(&conversation, "您好", "reply").await;
    eventually("the reply", PATIENCE, || async {
        let shown = house.app.shown(ALICE);
        (shown.len() == 1 && shown[0].text() == Some("您好")).then_some(())
    })
    .await;
}
