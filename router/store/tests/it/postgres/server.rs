//! A server of a test's own, to be killed.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A private PostgreSQL; it ends with the test, whatever happens.
pub(super) struct Server {
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    pub(super) fn start() -> Self {
        let this = Self::not_yet();
        this.again();
        this
    }

    /// A server's place, with nobody there.
    pub(super) fn not_yet() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The server runs as a user of its own.
        let open = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(folder.path(), open).expect("our folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        Self { folder, port }
    }

    /// Starts it where it was; answers when it accepts connections.
    pub(super) fn again(&self) {
        let port = self.port.to_string();
        script(&["start", self.place(), &port]);
    }

    pub(super) fn kill(&self) {
        script(&["kill", self.place()]);
    }

    pub(super) fn stop(&self) {
        script(&["stop", self.place()]);
    }

    fn place(&self) -> &str {
        self.folder.path().to_str().expect("an ASCII path")
    }

    /// Where the server keeps its files.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops every process of the server where it is, or lets them go on.
    pub(super) fn freeze(&self, on: bool) {
        let postmaster =
            std::fs::read_to_string(self.folder.path().join("pid")).expect("the server has a pid");
        let postmaster = postmaster.trim();
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = std::fs::read_to_string(children).expect("the server runs");
        let signal = if on { "-STOP" } else { "-CONT" };
        let status = Command::new("kill")
            .arg(signal)
            .arg(postmaster)
            .args(children.split_whitespace())
            .status();
        assert!(status.expect("kill runs").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(&["kill", self.place()]);
    }
}

fn script(args: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/postgres");
    let output = Command::new(script)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the script runs");
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
