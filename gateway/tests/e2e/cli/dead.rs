//! `patchbay dead`: looked at, edited by hand, replayed, dropped.

use std::{io::Write, process::Stdio, time::Duration};

use serde_json::{Value, json};

use super::{
    super::harness::{agent::Agent, eventually, visitor::Visitor},
    Desk, assert_has, text,
};

/// Three replies that web chat cannot show die in the sinks; answers the visitor and the letters' ids.
async fn three_dead(desk: &Desk) -> (Visitor, Vec<String>) {
    let operator = Agent::operator(&[desk.process.admin_url()]);
    let gateways = [desk.process.url()];
    let ada = operator.hire(&gateways, "Ada", "agent", 5).await;
    let mut visitor = Visitor::new(&gateways).await;
    visitor.say("c1", "Hello?");
    let accepted = |visitor: &Visitor| visitor.accepted.len() == 1;
    visitor
        .until("acceptance", Duration::from_secs(30), accepted)
        .await;
    let conversation = ada.conversation_of(&visitor.address).await;
    let path = format!(
        "/conversations/{}/reply",
        conversation["id"].as_str().expect("an id")
    );
    for n in 0..3 {
        let body = json!({ "content": [{ "type": "telemetry", "values": { "n": n } }] });
        let key = format!("k{n}");
        let answer = ada.ask(reqwest::Method::POST, &path, &body, Some(&key));
        let (status, answer) = answer.await.expect("an answer");
        assert!(status.is_success(), "{answer}");
    }
    let ids = eventually("three dead letters", Duration::from_secs(30), || async {
        let all = desk.json(&["dead", "list", "--channel", "web"]);
        let all = all.as_array().expect("a list");
        let ids = all
            .iter()
            .map(|letter| letter["id"].as_str().expect("an id"));
        (all.len() == 3).then(|| ids.map(str::to_owned).collect())
    })
    .await;
    (visitor, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_shown_edited_and_replayed_once() {
    let desk = Desk::open().await;
    let (mut visitor, ids) = three_dead(&desk).await;
    let id = &ids[0];
    assert_has(
        &desk.run(&["dead", "list"]),
        &["CHANNEL", "web", "outbound", id],
    );
    let shown: Value = serde_json::from_str(&desk.run(&["dead", "show", id])).expect("JSON");
    assert_eq!(shown["envelope"]["content"][0]["type"], "telemetry");
    let edit = |editor: &str| {
        let mut command = desk.command(&["dead", "edit", id]);
        command.env_remove("VISUAL").env("EDITOR", editor);
        command.output().expect("run the binary")
    };
    // An editor that makes another kind of part of it.
    let done = edit(
        r#"sed -i -e 's/"telemetry"/"text"/' -e 's/"values": {/"text": "I am back", "was": {/'"#,
    );
    assert!(done.status.success(), "{done:?}");
    assert_has(&text(&done.stdout), &["dead replay", id]);
    assert_has(&desk.run(&["dead", "replay", id]), &[id, "replayed as"]);
    visitor
        .until("the replayed reply", Duration::from_secs(30), |visitor| {
            visitor.replies().contains(&"I am back")
        })
        .await;
    assert_has(
        &desk.fail(1, &["dead", "replay", id]),
        &[id, "1 of 1 letter"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_fails_loses_nothing() {
    let desk = Desk::open().await;
    let (_, ids) = three_dead(&desk).await;
    let id = &ids[0];
    let edit = |editor: &str| {
        let mut command = desk.command(&["dead", "edit", id]);
        command.env_remove("VISUAL").env("EDITOR", editor);
        command.output().expect("run the binary")
    };
    assert_has(&text(&edit("true").stdout), &["nothing was changed"]);
    let stopped = edit("false");
    assert_eq!(stopped.status.code(), Some(1));
    assert_has(&text(&stopped.stderr), &["nothing was changed"]);
    assert_has(&text(&edit("").stderr), &["EDITOR", "--file"]);
    for (editor, why) in [
        ("sed -i s/{/[/", "no JSON"),
        (r#"sed -i s/"schema"/"shema"/"#, "schema"),
    ] {
        let broken = edit(editor);
        assert_eq!(broken.status.code(), Some(1), "{broken:?}");
        let said = text(&broken.stderr);
        assert_has(&said, &[why]);
        let kept = said
            .split_whitespace()
            .find(|word| word.ends_with(".json,"));
        let kept = kept
            .expect("it says where it is kept")
            .trim_end_matches(',');
        assert!(!std::fs::read(kept).expect("it is kept").is_empty());
        std::fs::remove_file(kept).expect("remove it");
    }
    // From the standard input.
    let mut bad = desk.command(&["dead", "edit", id, "--file", "-"]);
    bad.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut bad = bad.spawn().expect("run the binary");
    let mut stdin = bad.stdin.take().expect("a pipe");
    stdin.write_all(b"{}").expect("write");
    drop(stdin);
    let bad = bad.wait_with_output().expect("an end");
    assert_has(&text(&bad.stderr), &["envelope"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_counted_before_they_are_replayed() {
    let desk = Desk::open().await;
    let (_, ids) = three_dead(&desk).await;
    let dropped = desk.run(&["dead", "drop", &ids[0]]);
    assert_has(&dropped, &[&ids[0], "dropped"]);
    let count = desk.run(&["dead", "replay", "--all", "--channel", "web"]);
    assert_has(&count, &["2 dead letters of web", "--yes"]);
    let none = desk.run(&["dead", "replay", "--all", "--channel", "none"]);
    assert_has(&none, &["0 dead letters"]);
    let done = desk.run(&["dead", "replay", "--all", "--yes"]);
    assert_eq!(done.lines().count(), 2, "{done}");
    assert!(!done.contains(&ids[0]), "a dropped one stays dropped");
    let list = desk.run(&["dead", "list", "--status", "dropped"]);
    assert_has(&list, &[&ids[0]]);
    assert_has(&desk.fail(2, &["dead", "replay"]), &["<ID>"]);
    assert_has(&desk.fail(1, &["dead", "drop", "nonsense"]), &["nonsense"]);
}
