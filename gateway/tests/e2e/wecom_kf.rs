//! Customer service of WeCom end to end: rung for, pulled once by one gateway, answered.

use std::{path::Path, process::Command, time::Duration};

use patchbay_testkit::fakes::wecom::{Enterprise, Fault, WeCom};
use serde_json::{Value, json};

use crate::harness::{
    agent::Agent,
    config::{Pair, System},
    eventually, http,
    process::Process,
};

const PATIENCE: Duration = Duration::from_secs(60);
const SYNC: &str = "/cgi-bin/kf/sync_msg";
const SEND: &str = "/cgi-bin/kf/send_msg";
const ACCOUNT: &str = "wkAJ2GCAAASSm4_FhToWMFea0xAFfd3Q";
const CUSTOMER: &str = "wmAJ2GCAAAme1XQRC-NI-q0_ZM9ukoAw";

struct House {
    wecom: WeCom,
    ada: Agent,
    /// Gateways first.
    processes: Vec<Process>,
    // Outlives the processes above.
    _system: System,
}

fn enterprise() -> Enterprise {
    Enterprise {
        corp_id: "ww0123456789abcdef".to_owned(),
        secret: "a secret of the tests' customer service".to_owned(),
        token: "AWordOfTheTests".to_owned(),
        encoding_aes_key: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned(),
        accounts: vec![ACCOUNT.to_owned()],
    }
}

impl House {
    async fn new(pair: Pair) -> Self {
        let roles: &[&'static str] = match pair {
            Pair::Embedded => &["up"],
            Pair::Servers { .. } => &["gateway", "gateway", "router", "sinks"],
        };
        let system = System::new(pair);
        let enterprise = enterprise();
        let wecom = WeCom::start(enterprise.clone()).await;
        for (name, secret) in [
            ("kf-secret", &enterprise.secret),
            ("kf-token", &enterprise.token),
            ("kf-aes-key", &enterprise.encoding_aes_key),
        ] {
            system.write(name, secret);
        }
        let (corp_id, url) = (&enterprise.corp_id, wecom.url());
        let file = format!(
            "kind = \"wecom-kf\"\nauth = \"signature\"\n[options]\ncorp_id = \"{corp_id}\"\n\
             secret = \"file:kf-secret\"\ntoken = \"file:kf-token\"\naes_key = \"file:kf-aes-key\"\n\
             accounts = [\"{ACCOUNT}\"]\napi_url = \"{url}\"\npoll = \"1h\"\n"
        );
        system.write("channels/kf.toml", &file);
        let mut processes: Vec<_> = (roles.iter())
            .map(|role| Process::new(&system, role))
            .collect();
        for process in &mut processes {
            process.spawn("");
        }
        for process in &mut processes {
            process.ready().await;
        }
        let operator = Agent::operator(&[processes[0].admin_url()]);
        let ada = operator
            .hire(&[processes[0].url()], "Ada", "agent", 50)
            .await;
        ada.presence("online").await;
        Self {
            wecom,
            ada,
            processes,
            _system: system,
        }
    }

    /// Rings at this process, again until it is heard, as WeCom does.
    async fn ring(&self, process: usize) {
        let bell = self.wecom.bell(ACCOUNT);
        let url = format!(
            "{}/channels/kf?{}",
            self.processes[process].url(),
            bell.query
        );
        eventually("the doorbell to be heard", PATIENCE, || async {
            let posted = http()
                .post(&url)
                .body(bell.body.clone())
                .send()
                .await
                .ok()?;
            (posted.status() == 200).then_some(())
        })
        .await;
    }

    async fn conversation(&self) -> String {
        let address = format!("{ACCOUNT}/{CUSTOMER}");
        let conversation = self.ada.conversation_of(&address).await;
        conversation["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until the agent reads exactly these, in this order.
    async fn read(&self, conversation: &str, expected: &[String]) {
        eventually("every message, once", PATIENCE, || async {
            let messages = self.ada.messages(conversation).await;
            (texts(&messages) == expected).then_some(())
        })
        .await;
    }
}

fn texts(messages: &[Value]) -> Vec<String> {
    let of = messages.iter().filter(|m| m["direction"] == "inbound");
    of.filter_map(|m| m["content"][0]["text"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_customer_and_an_agent_talk_on_the_embedded_pair() {
    talk(&House::new(Pair::Embedded).await).await;
}

#[tokio::test]
async fn a_customer_and_an_agent_talk_on_rabbitmq_and_postgresql() {
    talk(&House::new(Pair::servers()).await).await;
}

async fn talk(house: &House) {
    let mut said = Vec::new();
    for n in 0..120 {
        let text = format!("第{n}条");
        house.wecom.say(ACCOUNT, CUSTOMER, &text);
        said.push(text);
    }
    // The first page is refused for its token, and the second answer is lost.
    house.wecom.fault(SYNC, Fault::ExpireTokens);
    house.wecom.fault(SYNC, Fault::ResetLost);
    house.ring(0).await;
    let conversation = house.conversation().await;
    house.read(&conversation, &said).await;
    // Whichever gateway is rung, the same line goes on.
    let last = house.processes.len().min(2) - 1;
    house.wecom.say(ACCOUNT, CUSTOMER, "and this");
    house.ring(last).await;
    said.push("and this".to_owned());
    house.read(&conversation, &said).await;

    // WeCom has it, and its answer is lost: said again, it is known by its id.
    house.wecom.fault(SEND, Fault::ResetTaken);
    for (text, key) in [("您好 & \\u4f60", "one"), ("two", "two")] {
        house.ada.reply(&conversation, text, key).await;
    }
    eventually("both replies, once each", PATIENCE, || async {
        let shown = house.wecom.shown(ACCOUNT, CUSTOMER);
        (shown == ["您好 & \\u4f60", "two"]).then_some(())
    })
    .await;
    house.read(&conversation, &said).await;
}

#[tokio::test]
async fn a_puller_killed_before_its_cursor_is_saved_loses_and_doubles_nothing() {
    let mut house = House::new(Pair::Embedded).await;
    let mut said = Vec::new();
    for round in 0..3 {
        house.processes[0].kill();
        for n in 0..70 {
            let text = format!("round {round}, {n}");
            house.wecom.say(ACCOUNT, CUSTOMER, &text);
            said.push(text);
        }
        // It pulls when it starts, and dies once the bus has the first page.
        house.processes[0].spawn("gateway::pulled_page=1*return");
        eventually("the puller to die", PATIENCE, || {
            let runs = house.processes[0].runs();
            async move { (!runs).then_some(()) }
        })
        .await;
        house.processes[0].kill();
        house.processes[0].start().await;
    }
    house.ring(0).await;
    let conversation = house.conversation().await;
    house.read(&conversation, &said).await;
}

/// What wechatpy seals is taken and what it forges is not; and the fake is one to wechatpy too.
#[tokio::test]
async fn wechatpy_is_understood() {
    let house = House::new(Pair::Embedded).await;
    house.wecom.say(ACCOUNT, CUSTOMER, "你好");
    let bell = house.wecom.bell(ACCOUNT);
    let Enterprise {
        corp_id,
        secret,
        token,
        encoding_aes_key,
        ..
    } = enterprise();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let url = format!("{}/channels/kf", house.processes[0].url());
    let mut command = Command::new(here.join("../.ci/wechatpy"));
    command
        .arg(here.join("tests/e2e/wecom_kf/platform.py"))
        .args([url.as_str(), house.wecom.url(), &corp_id, &secret, &token])
        .args([&encoding_aes_key, ACCOUNT, &bell.query, &bell.body]);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("it ends").expect("python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = json!({
        "echo": "1616140317555161061", "rung": 200, "forged": 401, "pulled": ["你好"],
        "opened": ["kf_msg_or_event", ACCOUNT],
    });
    assert_eq!(said, expected);
    // What it rang for has come.
    let conversation = house.conversation().await;
    house.read(&conversation, &["你好".to_owned()]).await;
}
