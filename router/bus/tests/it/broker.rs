//! A RabbitMQ of a test's own, to be killed, and what only an operator does to a broker.

use std::{path::PathBuf, process::Stdio, time::Duration};

use lapin::{Connection, ConnectionProperties};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::within;

/// Stopped when dropped, and by its guard when the test is killed.
pub(crate) struct Broker {
    dir: TempDir,
    pub(crate) url: String,
}

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.ci/rabbitmq")
}

impl Broker {
    pub(crate) async fn start() -> Self {
        let broker = Self::not_started();
        broker.start_again().await;
        broker
    }

    /// Where one will be.
    pub(crate) fn not_started() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("port"), port.to_string()).unwrap();
        Self {
            dir,
            url: format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
        }
    }

    /// Ended without warning.
    pub(crate) async fn kill(&self) {
        self.run("kill", &[]).await;
    }

    /// Ended in good order.
    pub(crate) async fn stop(&self) {
        self.run("stop", &[]).await;
    }

    /// The same data and port again.
    pub(crate) async fn start_again(&self) {
        self.run("start", &[]).await;
    }

    /// Waits until the broker has the names of these queues on disk. RabbitMQ 3.10 writes its
    /// directory of quorum queues some seconds after it has declared them; killed before, it starts
    /// the missing queue anew, empty and without a leader.
    pub(crate) async fn knows_for_good(&self, queues: &[String]) {
        let quorum = "data/patchbay@localhost/quorum/patchbay@localhost/names.dets";
        let path = self.dir.path().join(quorum);
        let known = async || {
            let names = tokio::fs::read(&path).await.unwrap();
            let has = |name: &String| names.windows(name.len()).any(|w| w == name.as_bytes());
            queues.iter().all(has)
        };
        let wait = async {
            while !known().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        within("the broker's directory of queues", wait).await;
    }

    /// A command of `rabbitmqctl`.
    pub(crate) async fn ctl(&self, arguments: &[&str]) -> String {
        self.run("ctl", arguments).await
    }

    async fn run(&self, command: &str, arguments: &[&str]) -> String {
        let output = Command::new(script())
            .arg(command)
            .arg(self.dir.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success(),
            ".ci/rabbitmq {command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// A client that is not ours.
    pub(crate) async fn stranger(&self) -> Connection {
        Connection::connect(&self.url, ConnectionProperties::default())
            .await
            .unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = std::process::Command::new(script())
            .arg("kill")
            .arg(self.dir.path())
            .status();
    }
}
