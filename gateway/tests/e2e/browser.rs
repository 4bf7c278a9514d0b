//! A visitor and an agent, each in a real browser, on the real binary that is killed in between.
//! What they do and see stands in `console/tests/real/talk.ts`; here is what a page cannot do.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::harness::{
    agent::Agent,
    config::{Pair, System},
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

    let mut browsers = Browsers::start(&console, &up.url(), &token);
    while let Some(wish) = browsers.wish() {
        match wish.as_str() {
            "kill" => up.kill(),
            "start" => up.start().await,
            _ => panic!("unknown wish {wish}"),
        }
        browsers.grant();
    }
    let status = browsers.node.wait().expect("reap node");
    assert!(status.success(), "the talk failed, see above: {status}");
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

/// The script that leads both browsers. Killed when dropped.
struct Browsers {
    node: Child,
    wishes: BufReader<ChildStdout>,
    grants: ChildStdin,
}

impl Browsers {
    fn start(console: &Path, server: &str, token: &str) -> Self {
        let mut node = Command::new("node");
        node.arg("scripts/talk.mjs")
            .current_dir(console)
            .env("SERVER", server)
            .env("TOKEN", token)
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
