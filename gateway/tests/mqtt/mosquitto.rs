//! Brokers: the one that all tests share, and private ones that a test may kill.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use patchbay_mqtt::{Client, Packet, Publish};
use patchbay_sdk::{MqttBroker, MqttVersion};
use tempfile::TempDir;

/// The broker that all tests share: `host:port`.
pub(crate) fn shared() -> String {
    std::env::var("PATCHBAY_TEST_MQTT")
        .expect("PATCHBAY_TEST_MQTT names a broker; run the tests by .ci/with-services")
}

/// A private broker; killed and removed with it.
pub(crate) struct Mosquitto {
    folder: TempDir,
    pub(crate) url: String,
}

impl Mosquitto {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-")
            .tempdir()
            .unwrap();
        let url = run("start", folder.path());
        Self { folder, url }
    }

    /// kill -9.
    pub(crate) fn kill(&self) {
        run("kill", self.folder.path());
    }

    /// Starts again with the same data and port.
    pub(crate) fn again(&self) {
        assert_eq!(run("start", self.folder.path()), self.url);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        run("kill", self.folder.path());
    }
}

fn run(what: &str, folder: &Path) -> String {
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/mosquitto");
    let output = Command::new(script).arg(what).arg(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let url = said.lines().find_map(|line| line.strip_prefix("url="));
    url.unwrap_or_default().to_owned()
}

/// How to connect to the broker at a URL.
pub(crate) fn at(url: &str, version: MqttVersion) -> MqttBroker {
    let (host, port) = url
        .strip_prefix("mqtt://")
        .unwrap()
        .split_once(':')
        .unwrap();
    MqttBroker {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        tls: None,
        version,
        client_id: String::new(),
        username: None,
        password: None,
        filters: Vec::new(),
        qos: 1,
        share: None,
        keep_alive: std::time::Duration::from_secs(60),
        session_expiry: std::time::Duration::ZERO,
        in_flight_max: 100,
        packet_bytes_max: 1 << 20,
    }
}

/// By a client that is not ours: `mosquitto_pub`.
pub(crate) fn mosquitto_pub(url: &str, version: &str, args: &[&str]) {
    let (host, port) = url
        .strip_prefix("mqtt://")
        .unwrap()
        .split_once(':')
        .unwrap();
    let output = Command::new("mosquitto_pub")
        .args(["-h", host, "-p", port, "-V", version, "-q", "1"])
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Publishes one message with QoS 1 and waits for its PUBACK; false if there was none.
pub(crate) async fn publish(client: &mut Client, id: u16, topic: &str, payload: String) -> bool {
    let publish = Publish {
        topic: topic.to_owned(),
        payload: Bytes::from(payload),
        qos: 1,
        id,
        ..Publish::default()
    };
    if client.put(&Packet::Publish(publish)).is_err() || client.flush().await.is_err() {
        return false;
    }
    matches!(client.next().await, Ok(Packet::PubAck { id: acked, .. }) if acked == id)
}
