//! The real binary, playing one role or all of them.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    config::{System, free_port},
    eventually,
};

/// How long a process may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// One process of a system. Killed when dropped.
pub struct Process {
    /// `up`, `gateway`, `router` or `sinks`.
    pub role: &'static str,
    /// Port of the public listener (gateways only listen on it).
    pub public: u16,
    /// Port of the admin listener.
    pub admin: u16,
    config: PathBuf,
    log: PathBuf,
    environment: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl Process {
    /// A process that is not started yet, on free ports.
    pub fn new(system: &System, role: &'static str) -> Self {
        let (public, admin) = (free_port(), free_port());
        let log = system.folder.path().join(format!("{role}-{admin}.log"));
        Self {
            role,
            public,
            admin,
            config: system.config(),
            environment: system.environment(),
            log,
            child: None,
        }
    }

    /// The same with a config folder of its own.
    pub fn with_config(mut self, config: PathBuf) -> Self {
        self.config = config;
        self
    }

    /// Starts it; `failpoints` as the `fail` crate reads them, empty for none.
    pub fn spawn(&mut self, failpoints: &str) {
        assert!(self.child.is_none(), "{} runs already", self.role);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("open the log");
        let child = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .arg(self.role)
            .arg("--config")
            .arg(&self.config)
            .env(
                "PATCHBAY_PUBLIC__LISTEN",
                format!("127.0.0.1:{}", self.public),
            )
            .env(
                "PATCHBAY_ADMIN__LISTEN",
                format!("127.0.0.1:{}", self.admin),
            )
            .env("FAILPOINTS", failpoints)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log)
            .spawn()
            .expect("start the binary");
        self.child = Some(child);
    }

    /// Starts it and waits until it says that it is ready.
    pub async fn start(&mut self) {
        self.spawn("");
        self.ready().await;
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.admin);
        let http = super::http();
        let what = format!("{} to be ready, see {}", self.role, self.log.display());
        eventually(&what, READY, || async {
            let answer = http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Waits until it is ready or has died of a failpoint.
    pub async fn ready_or_dead(&mut self) {
        let url = format!("{}/readyz", self.admin_url());
        let http = super::http();
        let deadline = tokio::time::Instant::now() + READY;
        while self.runs() {
            if http
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{} is not ready",
                self.role
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Address of the public listener.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.public)
    }

    /// Address of the admin listener.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }

    /// Whether it still runs; reaps it if it does not.
    pub fn runs(&mut self) -> bool {
        let Some(child) = &mut self.child else {
            return false;
        };
        let runs = child.try_wait().expect("ask after a child").is_none();
        if !runs {
            self.child = None;
        }
        runs
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"));
            kill(pid, signal).expect("signal a child");
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().expect("reap a child");
        }
    }

    /// SIGTERM, and waits for its end; answers the exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let child = &mut self.child;
        let status = eventually("a graceful end", Duration::from_secs(30), || {
            let ended = child
                .as_mut()
                .and_then(|child| child.try_wait().expect("ask after a child"));
            async move { ended }
        })
        .await;
        self.child = None;
        status.code()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        super::config::text_of(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("--- the end of {}'s log", self.role);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
