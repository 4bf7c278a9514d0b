//! The client commands: the real binary asks the real binary.

mod dead;

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::harness::{
    config::{Pair, System},
    process::Process,
    visitor::Visitor,
};

/// A system that runs, and commands to it.
struct Desk {
    system: System,
    process: Process,
}

impl Desk {
    async fn open() -> Self {
        let system = System::new(Pair::Embedded);
        let mut process = Process::new(&system, "up");
        process.start().await;
        Self { system, process }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
        command
            .args(arguments)
            .env("PATCHBAY_CONFIG", self.system.config())
            .env(
                "PATCHBAY_PUBLIC__LISTEN",
                format!("127.0.0.1:{}", self.process.public),
            )
            .env(
                "PATCHBAY_ADMIN__LISTEN",
                format!("127.0.0.1:{}", self.process.admin),
            )
            .env_remove("PATCHBAY_TOKEN")
            .env_remove("PATCHBAY_URL")
            .stdin(Stdio::null());
        command
    }

    /// What a command that works prints.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("run the binary");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        serde_json::from_str(&self.run(&all)).expect("JSON")
    }

    /// What a command that fails says.
    #[track_caller]
    fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("run the binary");
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn assert_has(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_agent_is_told_how_and_can_sign_in() {
    let desk = Desk::open().await;
    let log = desk.process.log();
    let hint = log
        .lines()
        .find(|line| line.contains("agent add"))
        .expect("a hint");
    assert_has(hint, &["agent add Ada --token", "--config"]);
    let added = desk.run(&["agent", "add", "Ada", "--token"]);
    assert_has(&added, &["Ada", "agent", "/console/"]);
    let token = added
        .split_whitespace()
        .find(|word| word.starts_with("pbt_"));
    let token = token.expect("a token");
    let me = super::harness::http()
        .get(format!("{}/api/v1/me", desk.process.url()))
        .bearer_auth(token)
        .send()
        .await
        .expect("an answer");
    assert_eq!(me.json::<Value>().await.expect("JSON")["name"], "Ada");
    assert_has(
        &desk.run(&["agent", "list"]),
        &["NAME", "Ada", "offline", "0/5"],
    );
    let taken = desk.fail(1, &["agent", "add", "Ada"]);
    assert_has(&taken, &["Ada", "token create"]);
    let none = desk.fail(1, &["agent", "add", "Bob", "--group", "Sales"]);
    assert_has(&none, &["group Sales"]);
    let boss = desk.fail(1, &["agent", "add", "Bob", "--role", "boss"]);
    assert_has(&boss, &["role", "boss"]);
    let all = desk.json(&["agent", "list"]);
    assert_eq!(all.as_array().expect("a list").len(), 1, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_used_and_revoked() {
    let desk = Desk::open().await;
    desk.run(&[
        "agent",
        "add",
        "Sue",
        "--role",
        "supervisor",
        "--capacity",
        "3",
    ]);
    let made = desk.json(&["token", "create", "--agent", "Sue", "--expires", "90days"]);
    let (token, id) = (
        made["token"].as_str().unwrap(),
        made["id"].as_str().unwrap(),
    );
    let as_sue = |arguments: &[&str]| -> Output {
        let mut command = desk.command(arguments);
        command
            .env("PATCHBAY_TOKEN", token)
            .output()
            .expect("run the binary")
    };
    // With a token it is the public listener, and the token's role counts.
    assert!(as_sue(&["channel", "list"]).status.success());
    let refused = as_sue(&["token", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_has(&text(&refused.stderr), &["role admin", "supervisor"]);
    let list = desk.run(&["token", "list"]);
    assert_has(&list, &["Sue", "supervisor", "valid", id]);
    assert!(!list.contains(token), "a token's text is kept nowhere");
    desk.run(&["token", "revoke", id]);
    let refused = as_sue(&["channel", "list"]);
    assert_has(&text(&refused.stderr), &["PATCHBAY_TOKEN", "not valid"]);
    assert_has(&desk.run(&["token", "list"]), &["revoked"]);
    assert_has(
        &desk.fail(1, &["token", "revoke", "nonsense"]),
        &["nonsense"],
    );
    assert_has(&desk.fail(2, &["token", "create"]), &["--role"]);
    assert_has(
        &desk.fail(1, &["token", "create", "--agent", "Bob"]),
        &["Bob", "Sue"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_paused_and_resumed() {
    let desk = Desk::open().await;
    assert_has(
        &desk.run(&["channel", "list"]),
        &["web", "webchat", "running"],
    );
    let paused = desk.run(&["channel", "pause", "web", "--reason", "lunch"]);
    assert_has(&paused, &["paused", "lunch"]);
    assert_eq!(desk.json(&["channel", "list"])[0]["state"], "paused");
    assert_has(&desk.run(&["channel", "resume", "web"]), &["running"]);
    assert_has(
        &desk.fail(1, &["channel", "pause", "nowhere", "--reason", "x"]),
        &["channel"],
    );
    assert_has(&desk.fail(2, &["channel", "pause", "web"]), &["--reason"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_can_be_followed_without_what_was_said() {
    let desk = Desk::open().await;
    let spawn = |arguments: &[&str]| {
        let mut command = desk.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("run the binary")
    };
    let plain = spawn(&["tap", "--after", "0", "--type", "message", "--count", "1"]);
    let json = spawn(&[
        "tap", "--after", "0", "--type", "message", "--count", "1", "--json",
    ]);
    let open = spawn(&[
        "tap", "--after", "0", "--type", "message", "--count", "1", "--bodies",
    ]);
    let gateways = [desk.process.url()];
    let mut visitor = Visitor::new(&gateways).await;
    visitor.say("c1", "my password is kiwi");
    let accepted = |visitor: &Visitor| visitor.accepted.len() == 1;
    visitor
        .until("acceptance", Duration::from_secs(30), accepted)
        .await;
    let output = |child: std::process::Child| {
        let output = child.wait_with_output().expect("an end");
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let plain = output(plain);
    assert_has(&plain, &["message", "contact", "[text]"]);
    let line: Value = serde_json::from_str(output(json).trim()).expect("one line of JSON");
    assert_eq!(line["data"]["message"]["content"][0]["type"], "text");
    assert!(!plain.contains("kiwi") && !line.to_string().contains("kiwi"));
    assert_has(&output(open), &["my password is kiwi"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_with_what_to_do() {
    let system = System::new(Pair::Embedded);
    let process = Process::new(&system, "up");
    let admin = process.admin_url();
    let mut desk = Desk { system, process };
    let silent = desk.fail(1, &["agent", "list"]);
    assert_has(&silent, &[&admin, "patchbay up", "--url"]);
    let silent = desk.fail(1, &["tap"]);
    assert_has(&silent, &[&admin, "patchbay up"]);
    let nowhere = desk.fail(1, &["--config", "/nowhere/at/all", "agent", "list"]);
    assert_has(&nowhere, &["/nowhere/at/all", "--url"]);
    assert_has(&desk.fail(2, &["agent", "fly"]), &["fly"]);
    desk.process.start().await;
    // The public listener asks for a token; what answers there is named.
    let public = desk.process.url();
    let refused = desk.fail(
        1,
        &["--config", "/nowhere", "agent", "list", "--url", &public],
    );
    assert_has(&refused, &["asks for a token", "PATCHBAY_TOKEN"]);
    // The admin listener is reached without any configuration.
    let admin = desk.process.admin_url();
    desk.run(&["--config", "/nowhere", "agent", "list", "--url", &admin]);
}
