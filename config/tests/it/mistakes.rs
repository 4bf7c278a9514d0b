use std::collections::BTreeMap;

use insta::assert_snapshot;

use crate::{load, report};

#[test]
fn every_mistake_of_every_file_in_one_report() {
    let config = r#"
public_url = "chat.example.com"
data_dri = "data"

[public]
listen = "127.0.0.1"
lisen = "127.0.0.1:9000"

[bus]
partitions = "many"
prefetch = 0

[store]
dedupe_horizon = "30 fortnights"

[publik]
listen = "127.0.0.1:8080"

[log]
format = "jsn"
"#;
    let sms = r#"
kind = "sms"
auth = "singature"
enabled = "yes"
limits = { send_per_second = 0.0, in_flight = 3 }

[retry]
delay_min = "5m"
delay_max = "1s"
expire_after = 24
on_unknown = "resent"
"#;
    let wechat = "auth = { none = \"\" }\n[options]\n";
    let files = [
        ("patchbay.toml", config),
        ("channels/acme-sms.toml", sms),
        ("channels/wechat-main.toml", wechat),
        (
            "channels/Web_1.toml",
            "kind = \"webchat\"\nauth = \"token\"\n",
        ),
    ];
    assert_snapshot!(report(&files, &[]));
}

#[test]
fn what_serde_cannot_see() {
    let config = r#"
[bus]
partitions = 0
reconnect = { delay_min = "20s", delay_max = "10s" }
[blobs]
url = "s3://media?endpoint=ftp://x"
[router]
lease_ttl = "15ms"
batch_max = 0
"#;
    assert_snapshot!(report(&[("patchbay.toml", config)], &[]));
    let config = "[bus]\npartitions = 0\n[router]\nlease_ttl = \"15ms\"\nbatch_max = 0\n[blobs]\nurl = \"s3://media\"\n";
    assert_snapshot!(report(&[("patchbay.toml", config)], &[]));
    let channel = r#"
kind = "sms"
auth = { none = " " }
limits.send_per_second = 0
retry = { delay_min = "5m", delay_max = "1s", expire_after = "1m" }
"#;
    assert_snapshot!(report(&[("channels/sms.toml", channel)], &[]));
}

#[test]
fn broken_syntax_is_shown_where_it_breaks_and_other_files_are_still_read() {
    let files = [
        ("patchbay.toml", "[public\nlisten = \"127.0.0.1:80\"\n"),
        (
            "channels/web.toml",
            "kind = \"webchat\"\nkind = \"web\"\nauth = token\n",
        ),
        (
            "channels/sms.toml",
            "kind = \"sms\"\nauth = \"token\"\nlimts = {}\n",
        ),
    ];
    assert_snapshot!(report(&files, &[]));
}

#[test]
fn a_second_wrong_item_of_a_list_is_shown_at_its_own_place() {
    let channel = "kind = \"sms\"\nauth = \"token\"\n[options]\nnames = [1, \"sms2\", 2]\n";
    let loaded = load(&[("channels/sms.toml", channel)], &[]).expect("options are read later");
    let options = &loaded.channels[0].options;
    let names = options.deserialize::<BTreeMap<String, Vec<String>>>();
    assert_snapshot!(names.expect_err("two are no names"));
}

#[test]
fn nothing_at_all_is_a_working_configuration() {
    let loaded = load(&[], &[]).expect("defaults");
    assert_eq!(loaded.config.public.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(loaded.config.admin.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(loaded.config.bus.url.to_string(), "embedded");
    assert_eq!(loaded.config.store.url.to_string(), "sqlite");
    assert_eq!(loaded.config.bus.partitions, 16);
    assert_eq!(loaded.config.store.dedupe_horizon.to_string(), "30d");
    assert!(loaded.channels.is_empty());
}
