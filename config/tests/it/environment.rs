use insta::assert_snapshot;

use crate::{load, report};

#[test]
fn the_environment_wins_over_the_file() {
    let config = "public_url = \"https://old.example\"\n[public]\nlisten = \"127.0.0.1:1\"\n";
    let env = [
        ("PATCHBAY_PUBLIC_URL", "https://chat.example/"),
        ("PATCHBAY_PUBLIC__LISTEN", "0.0.0.0:443"),
        ("PATCHBAY_PUBLIC__TLS__CERT", "cert.pem"),
        ("PATCHBAY_PUBLIC__TLS__KEY", "key.pem"),
        ("PATCHBAY_BUS__PREFETCH", "50"),
        ("PATCHBAY_BUS__RECONNECT__DELAY_MAX", "1m"),
        (
            "PATCHBAY_STORE__URL",
            "postgres://patchbay:hunter2@db/patchbay",
        ),
        ("PATCHBAY_DATA_DIR", "/var/lib/patchbay"),
    ];
    let config = load(&[("patchbay.toml", config)], &env)
        .expect("loads")
        .config;
    assert_eq!(
        config.public_url.expect("set").as_str(),
        "https://chat.example"
    );
    assert_eq!(config.public.listen.to_string(), "0.0.0.0:443");
    assert_eq!(
        config.public.tls.expect("set").cert.to_str(),
        Some("cert.pem"),
        "relative to the working directory"
    );
    assert_eq!(config.bus.prefetch, 50);
    assert_eq!(config.bus.reconnect.delay_max.as_secs(), 60);
    assert_eq!(config.store.url.to_string(), "postgres://db/patchbay");
    assert!(!format!("{:?}", config.store).contains("hunter2"));
}

#[test]
fn paths_in_the_file_are_relative_to_the_file() {
    let config =
        "data_dir = \"../data\"\npublic.tls = { cert = \"/etc/cert.pem\", key = \"key.pem\" }\n";
    let config = load(&[("patchbay.toml", config)], &[])
        .expect("loads")
        .config;
    assert_eq!(
        config.data_dir.expect("set").to_str(),
        Some("config/../data")
    );
    let tls = config.public.tls.expect("set");
    assert_eq!(
        (tls.cert.to_str(), tls.key.to_str()),
        (Some("/etc/cert.pem"), Some("config/key.pem"))
    );
}

#[test]
fn mistakes_name_the_variable_and_never_show_its_value() {
    let env = [
        ("PATCHBAY_PUBLIC__LISTEN", "localhost"),
        ("PATCHBAY_BUS__PREFETCH", "hunter2"),
        ("PATCHBAY_BUS__URL", "http://guest:hunter2@broker"),
        ("PATCHBAY_STORE_URL", "postgres://db:hunter2@x/y"),
        ("PATCHBAY_STORE__TIMEOUTS", "5s"),
        ("PATCHBAY_NOTHING__LIKE_IT", "5s"),
        ("PATCHBAY_ROUTER__BATCH_MAX", "0"),
    ];
    let report = report(&[("patchbay.toml", "[bus]\nprefech = 1\n")], &env);
    assert_snapshot!(report);
    assert!(!report.contains("hunter2"));
}

#[test]
fn names_that_platforms_and_tests_invent_are_left_alone() {
    let env = [
        ("PATCHBAY_CONFIG", "config"),
        ("PATCHBAY_SERVICE_HOST", "10.0.0.1"),
        ("PATCHBAY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("PATCHBAY_TEST_AMQP", "amqp://x"),
        ("HOME", "/nowhere"),
    ];
    load(&[], &env).expect("none of these is a key");
}
