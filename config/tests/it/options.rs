use std::collections::BTreeMap;

use insta::assert_snapshot;
use patchbay_config::{ChannelFile, Secret, Trouble};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{load, loader, texts};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fake {
    app_id: String,
    app_secret: Secret,
    token: Vec<Secret>,
    #[serde(default)]
    named: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    up: Vec<Rule>,
    mode: Option<Mode>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(Secret),
    More(Vec<Secret>),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    topic: String,
    #[serde(default)]
    qos: u8,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Plain,
    Safe,
}

const HEAD: &str = "kind = \"fake\"\nauth = \"signature\"\n";

fn channel(options: &str, env: &[(&str, &str)]) -> ChannelFile {
    let text = format!("{HEAD}{options}");
    load(&[("channels/fake.toml", &text)], env)
        .expect("the common keys are fine")
        .channels
        .remove(0)
}

fn mistakes(options: &str, env: &[(&str, &str)]) -> String {
    channel(options, env)
        .options
        .deserialize::<Fake>()
        .expect_err("mistakes")
        .to_string()
}

#[test]
fn secrets_are_fetched_wherever_the_schema_has_them() {
    let options = r#"
[options]
app_id = "env:NOT_A_SECRET"
app_secret = "env:ONE"
token = ["env:ONE", "env:TWO"]
named = { hook = ["env:ONE"], api = "env:TWO" }
mode = "safe"
up = [ { topic = "a/b" } ]
"#;
    let env = [("ONE", "1"), ("TWO", "env:ONE")];
    let fake: Fake = channel(options, &env).options.deserialize().expect("reads");
    assert_eq!(fake.app_id, "env:NOT_A_SECRET");
    assert_eq!(fake.app_secret.expose(), "1");
    assert_eq!(
        fake.token[1].expose(),
        "env:ONE",
        "what was fetched is not looked at again"
    );
    assert!(matches!(&fake.named["hook"], OneOrMore::More(all) if all[0].expose() == "1"));
    assert!(matches!(&fake.named["api"], OneOrMore::One(one) if one.expose() == "env:ONE"));
    assert!(matches!(fake.mode, Some(Mode::Safe)));
    assert_eq!((fake.up[0].topic.as_str(), fake.up[0].qos), ("a/b", 0));
}

#[test]
fn every_mistake_in_the_options_has_its_place() {
    let options = r#"
[options]
app_idd = "x"
app_secret = "env:ABSENT"
token = ["hunter2"]
mode = "sfe"

[[options.up]]
topic = 5

[[options.up]]
topc = "a/b"

[[options.up]]
topic = "a/b"
qos = 300
"#;
    let report = mistakes(options, &[]);
    assert_snapshot!(report);
    assert!(!report.contains("hunter2"));
}

#[test]
fn options_that_are_not_there() {
    assert_snapshot!(mistakes("", &[]));
    assert_snapshot!(mistakes("[options]\n", &[]));
}

#[test]
fn an_adapters_own_problems_are_shown_at_their_paths() {
    let options = r#"
[options]
url = "ftp://x"
tables."a.b".states = ["x", "y"]
"#;
    let channel = channel(options, &[]);
    let problems = vec![
        ("url".to_owned(), "`url` must be http or https".to_owned()),
        (
            "tables.a.b.states.1".to_owned(),
            "`y` is no state".to_owned(),
        ),
        (
            "tables.c".to_owned(),
            "the table `c` is used and not there".to_owned(),
        ),
    ];
    let mistakes = channel
        .options
        .open::<()>(&serde_json::json!({}), |_| {
            Err(Trouble::Problems(problems.clone()))
        })
        .expect_err("problems");
    assert_snapshot!(mistakes);
    assert_snapshot!(patchbay_config::Mistakes::from(vec![
        channel.options.mistake("url", "found later"),
        channel.mistake("kind", "there is no adapter `fake`"),
    ]));
}

#[test]
fn an_offline_check_says_nothing_about_absent_secrets() {
    let text = format!("{HEAD}[options]\nkey = \"env:ABSENT\"\nsize = 5\n");
    let files = texts(&[("channels/fake.toml", &text)]);
    let channel = loader(&[])
        .offline()
        .load(&files)
        .expect("loads")
        .channels
        .remove(0);
    let schema =
        serde_json::json!({ "properties": { "key": { "type": "string", "x-secret": true } } });
    let mistakes = channel
        .options
        .open::<()>(&schema, |_| {
            Err(Trouble::Problems(vec![
                ("key".to_owned(), "`key` must have 43 characters".to_owned()),
                ("size".to_owned(), "`size` must be even".to_owned()),
            ]))
        })
        .expect_err("a problem");
    assert_snapshot!(mistakes);
}
