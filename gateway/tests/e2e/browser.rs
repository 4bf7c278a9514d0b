//! People in real browsers, and a device, on the real binary. What they do and see stands in
//! `console/tests/real/`; here is what a page cannot do.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::harness::{
    agent::Agent,
    config::{Pair, System, free_port},
    process::Process,
};

#[tokio::test]
async fn a_visitor_and_an_agent_talk_in_browsers_across_a_kill() {
    let console = console();
    let system = System::new(Pair::Embedded);
    let mut up = Process::new(&system, "up");
    up.start().await;
    let operator = Agent::operator(&[up.admin_url()]);
    let ada = operator.hire(&[up.url()], "Ada Marsh", "agent", 5).await;
    let token = ada.token.expect("a hired agent has a token");

    let mut browsers = Browsers::start(
        &console,
        "talk",
        &[("SERVER", &up.url()), ("TOKEN", &token)],
    );
    while let Some(wish) = browsers.wish() {
        match wish.as_str() {
            "kill" => up.kill(),
            "start" => up.start().await,
            _ => panic!("unknown wish {wish}"),
        }
        browsers.grant();
    }
    browsers.end();
}

/// The device of the configuration that comes with Patchbay.
const DEVICES: &str = include_str!("../../../config/channels/devices.toml");

#[tokio::test]
async fn a_device_and_an_agent_in_a_browser_work_a_ticket_off() {
    let console = console();
    let system = System::new(Pair::Embedded);
    let (port, password) = (free_port().to_string(), "a password of the tests");
    let secret = system.folder.path().join("device");
    std::fs::write(&secret, password).expect("write the device's password");
    let channel = DEVICES
        .replace("127.0.0.1:1883", &format!("127.0.0.1:{port}"))
        .replace("enabled = false\n", "")
        .replace(
            "file:../data/secrets/device-demo",
            &format!("file:{}", secret.display()),
        );
    system.write("channels/devices.toml", &channel);
    let mut up = Process::new(&system, "up");
    up.start().await;
    let operator = Agent::operator(&[up.admin_url()]);
    let ada = operator.hire(&[up.url()], "Ada Marsh", "agent", 5).await;
    let token = ada.token.expect("a hired agent has a token");
    let world = [
        ("SERVER", up.url()),
        ("TOKEN", token),
        ("DEVICE_PORT", port),
        ("DEVICE_PASSWORD", password.to_owned()),
    ];
    let world = world
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    Browsers::start(&console, "ticket", &world).end();
}

/// The console's folder, with everything built that the test needs.
fn console() -> PathBuf {
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    for built in [
        "dist/widget.js",
        "dist/console/index.html",
        "node_modules/playwright-core",
    ] {
        assert!(
            console.join(built).exists(),
            "console/{built} is missing: run `make console`"
        );
    }
    console
}

/// The script that leads the browsers. Killed when dropped.
struct Browsers {
    node: Child,
    wishes: BufReader<ChildStdout>,
    grants: ChildStdin,
}

impl Browsers {
    fn start(console: &Path, script: &str, world: &[(&str, &str)]) -> Self {
        let mut node = Command::new("node");
        node.arg(format!("scripts/{script}.mjs"))
            .current_dir(console)
            .envs(world.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // Takes the pictures of the documentation anew.
        if std::env::var_os("PATCHBAY_SHOTS").is_some() {
            node.env("SHOTS", console.join("../../docs/images"));
        }
        let mut node = node
            .spawn()
            .expect("start node, which this test needs as the console does");
        let wishes = BufReader::new(node.stdout.take().expect("stdout is piped"));
        let grants = node.stdin.take().expect("stdin is piped");
        Self {
            node,
            wishes,
            grants,
        }
    }

    /// What the script wants to happen next; none once it has ended.
    fn wish(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.wishes.read_line(&mut line).expect("read from node");
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// Waits until it has ended, which has to be well.
    fn end(mut self) {
        let status = self.node.wait().expect("reap node");
        assert!(status.success(), "it failed, see above: {status}");
    }

    fn grant(&mut self) {
        writeln!(self.grants, "done").expect("write to node");
    }
}

impl Drop for Browsers {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}
