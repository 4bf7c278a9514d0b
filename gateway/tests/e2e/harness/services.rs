//! Private RabbitMQ, PostgreSQL and Mosquitto that a test may kill, by the scripts in `.ci`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A private server in a folder of its own; killed and removed with it.
pub struct Service {
    script: PathBuf,
    folder: TempDir,
    /// How to reach it.
    pub url: String,
}

impl Service {
    /// A RabbitMQ broker.
    pub fn rabbitmq() -> Self {
        Self::begin("rabbitmq")
    }

    /// A PostgreSQL database.
    pub fn postgres() -> Self {
        Self::begin("postgres")
    }

    /// A Mosquitto broker.
    pub fn mosquitto() -> Self {
        Self::begin("mosquitto")
    }

    fn begin(name: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../.ci")
            .join(name);
        let folder = tempfile::Builder::new()
            .prefix("patchbay-")
            .tempdir()
            .expect("make a folder");
        let url = start(&script, folder.path());
        Self {
            script,
            folder,
            url,
        }
    }

    /// kill -9.
    pub fn kill(&self) {
        run(&self.script, "kill", self.folder.path());
    }

    /// An orderly stop.
    pub fn stop(&self) {
        run(&self.script, "stop", self.folder.path());
    }

    /// Starts again with the same data and port.
    pub fn start(&self) {
        assert_eq!(
            start(&self.script, self.folder.path()),
            self.url,
            "the address changed"
        );
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        run(&self.script, "kill", self.folder.path());
    }
}

fn start(script: &Path, folder: &Path) -> String {
    let output = Command::new(script)
        .arg("start")
        .arg(folder)
        .env("PATCHBAY_OWNER", std::process::id().to_string())
        .stderr(Stdio::inherit())
        .output()
        .expect("run the service script");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let url = text.lines().find_map(|line| line.strip_prefix("url="));
    url.unwrap_or_else(|| panic!("{} did not start: {text}", script.display()))
        .to_owned()
}

fn run(script: &Path, verb: &str, folder: &Path) {
    let status = Command::new(script)
        .arg(verb)
        .arg(folder)
        .stdout(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{} {verb}",
        script.display()
    );
}
