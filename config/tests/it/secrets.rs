use std::fs;

use insta::assert_snapshot;
use patchbay_config::{BusUrl, Loader};

use crate::{loader, report, texts};

#[test]
fn from_the_environment_from_a_file_and_from_systemd() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("key"), "from-file\n").expect("written");
    fs::write(
        folder.path().join("amqp"),
        "amqps://me:from-cred@broker/%2f",
    )
    .expect("written");
    let env = [
        ("BLOB_KEY", "from-env".to_owned()),
        ("CREDENTIALS_DIRECTORY", folder.path().display().to_string()),
    ];
    let config = r#"
bus.url = "cred:amqp"
[blobs]
url = "s3://media?endpoint=http://127.0.0.1:9000"
access_key = "env:BLOB_KEY"
secret_key = "file:key"
"#;
    let loader = Loader::new(
        folder.path(),
        env.map(|(name, value)| (name.to_owned(), value)),
    );
    let config = loader
        .load(&texts(&[("patchbay.toml", config)]))
        .expect("loads")
        .config;
    assert_eq!(config.blobs.access_key.expect("set").expose(), "from-env");
    assert_eq!(config.blobs.secret_key.expect("set").expose(), "from-file");
    let BusUrl::Amqp(url) = config.bus.url else {
        panic!("an address: {:?}", config.bus.url);
    };
    assert_eq!(url.expose(), "amqps://me:from-cred@broker/%2f");
}

#[test]
fn absent_and_literal_secrets_are_mistakes_that_show_nothing() {
    let config = r#"
bus.url = "amqp://guest:hunter2@broker"
store.url = "env:DATABASE_URL"
[blobs]
url = "s3://media"
access_key = "env:EMPTY"
secret_key = "hunter2"
"#;
    let report = report(&[("patchbay.toml", config)], &[("EMPTY", "")]);
    assert_snapshot!(report);
    assert!(!report.contains("hunter2"));
    let files =
        "[blobs]\nurl = \"s3://media\"\naccess_key = \"file:none\"\nsecret_key = \"cred:../x\"\n";
    assert_snapshot!(crate::report(
        &[("patchbay.toml", files)],
        &[("CREDENTIALS_DIRECTORY", "/nowhere")]
    ));
}

#[test]
fn an_address_without_a_password_may_stand_in_the_file() {
    let config =
        "bus.url = \"amqp://broker\"\nstore.url = \"postgres:///patchbay?host=/run/postgresql\"\n";
    let loaded = crate::load(&[("patchbay.toml", config)], &[]).expect("loads");
    assert_eq!(loaded.config.bus.url.to_string(), "amqp://broker");
}

#[test]
fn an_offline_check_needs_no_secrets() {
    let config = r#"
bus.url = "env:AMQP_URL"
store.url = "file:/nowhere"
blobs = { url = "s3://media", access_key = "env:A", secret_key = "cred:b" }
"#;
    let files = texts(&[("patchbay.toml", config)]);
    loader(&[])
        .offline()
        .load(&files)
        .expect("absent secrets are fine");
    assert_eq!(
        loader(&[]).load(&files).expect_err("but not online").len(),
        4
    );
}

#[test]
fn debug_and_json_show_nothing() {
    let config = "blobs = { url = \"s3://m\", access_key = \"env:A\", secret_key = \"env:A\" }\nbus.url = \"env:U\"\n";
    let env = [
        ("A", "hunter2"),
        ("U", "amqp://u:hunter2@h/?password=hunter2"),
    ];
    let config = crate::load(&[("patchbay.toml", config)], &env)
        .expect("loads")
        .config;
    let json = serde_json::to_string(&config).expect("serializes");
    assert!(
        !json.contains("hunter2") && json.contains("[redacted]"),
        "{json}"
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}
