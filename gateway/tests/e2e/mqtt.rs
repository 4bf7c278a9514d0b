//! From a device's fault to a ticket, back to the device, and to its answer: the real binary, a real
//! broker, and clients that are not ours.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    agent::Agent,
    config::{Pair, System, free_port},
    eventually,
    process::Process,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a channel says of its devices, wherever they connect.
const RULES: &str = r#"
[[options.up]]
topic = "{prefix}/{device}/fault"
fault = { code = "=body.code", state = "=body.state", severity = "major" }
[[options.up]]
topic = "{prefix}/{device}/answer"
receipt = { external_id = "=body.id", state = "=body.ok ? 'delivered' : 'failed'" }
[options.down.command]
topic = "{prefix}/{device}/cmd"
json = { id = "=id", cmd = "=command.name" }
answer = { within = "60s", or_else = "unknown" }
"#;

/// A device that speaks by Mosquitto's clients.
struct Device {
    port: String,
    prefix: String,
    login: Vec<String>,
    version: &'static str,
}

impl Device {
    fn command(&self, program: &str, topic: &str) -> Command {
        let mut command = Command::new(program);
        let topic = format!("{}/press-7/{topic}", self.prefix);
        command
            .args(["-h", "127.0.0.1", "-p", &self.port, "-V", self.version])
            .args(["-q", "1", "-t", &topic])
            .args(&self.login);
        command
    }

    /// Publishes, and wants it acknowledged.
    fn say(&self, topic: &str, body: &Value) {
        let mut command = self.command("mosquitto_pub", topic);
        let output = command.args(["-m", &body.to_string()]).output();
        let output = output.expect("mosquitto_pub runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        assert_eq!(error, "", "acknowledged without a word");
    }

    /// Waits for one message.
    fn hear(&self, topic: &str) -> Child {
        let mut command = self.command("mosquitto_sub", topic);
        let child = command
            .args(["-C", "1", "-W", "60"])
            .stdout(Stdio::piped())
            .spawn();
        child.expect("mosquitto_sub runs")
    }
}

#[tokio::test]
async fn a_fault_of_a_device_that_is_connected_to_us_becomes_a_ticket() {
    let system = System::new(Pair::Embedded);
    let port = free_port();
    let channel = format!(
        "kind = \"mqtt\"\nauth = \"token\"\n[options]\nlisten = \"127.0.0.1:{port}\"\n\
         [[options.devices]]\nusername = \"press-7\"\npassword = \"env:WEB_TOKEN_SECRET\"\n{}",
        RULES.replace("{prefix}", "own")
    );
    system.write("channels/presses.toml", &channel);
    let login = ["-u", "press-7", "-P", crate::harness::config::SECRETS[0].1];
    for (n, version) in ["mqttv311", "mqttv5"].into_iter().enumerate() {
        let device = Device {
            port: port.to_string(),
            prefix: "own".to_owned(),
            login: login.map(str::to_owned).into(),
            version,
        };
        if n == 0 {
            let mut up = Process::new(&system, "up");
            up.start().await;
            fault_to_answer(&up, &device, "E1").await;
            assert_eq!(up.stop().await, Some(0), "a graceful end");
        } else {
            let mut up = Process::new(&system, "up");
            up.start().await;
            fault_to_answer(&up, &device, "E2").await;
        }
    }
}

#[tokio::test]
async fn a_fault_of_a_device_at_a_broker_becomes_a_ticket() {
    let url = std::env::var("PATCHBAY_TEST_MQTT")
        .expect("PATCHBAY_TEST_MQTT names a broker; run the tests by .ci/with-services");
    let system = System::new(Pair::Embedded);
    let prefix = format!("e2e-{}", std::process::id());
    let channel = format!(
        "kind = \"mqtt\"\nauth = {{ none = \"a broker of the tests\" }}\n[options]\n\
         url = \"{url}\"\nclient_id = \"{prefix}\"\naddress = \"=topic.device\"\n{}",
        RULES.replace("{prefix}", &prefix)
    );
    system.write("channels/presses.toml", &channel);
    let mut up = Process::new(&system, "up");
    up.start().await;
    let device = Device {
        port: url.rsplit(':').next().expect("a port").to_owned(),
        prefix,
        login: Vec::new(),
        version: "mqttv5",
    };
    fault_to_answer(&up, &device, "E3").await;
}

/// A fault is raised, its ticket assigned, a command sent, the answer received, the fault cleared, the
/// ticket confirmed.
async fn fault_to_answer(up: &Process, device: &Device, code: &str) {
    let operator = Agent::operator(&[up.admin_url()]);
    let name = format!("Ada {code}");
    let ada = operator.hire(&[up.url()], &name, "agent", 5).await;
    ada.presence("online").await;
    device.say("fault", &json!({ "code": code, "state": "raised" }));
    let ticket = ticket_in(&ada, code, "processing").await;
    assert_eq!(ticket["device"], "press-7");
    assert_eq!(ticket["code"], code);
    let id = ticket["id"].as_str().expect("an id");

    let hearing = device.hear("cmd");
    let command = json!({ "content": [{ "type": "command", "name": "reset" }] });
    let reply = format!("/tickets/{id}/reply");
    ada.must(Method::POST, &reply, command).await;
    let heard = tokio::task::spawn_blocking(|| hearing.wait_with_output());
    let heard = heard.await.expect("it waits").expect("it was heard");
    let order: Value = serde_json::from_slice(&heard.stdout).expect("JSON");
    assert_eq!(order["cmd"], "reset");
    device.say("answer", &json!({ "id": order["id"], "ok": true }));
    let delivered = eventually("the answer as receipt", PATIENCE, || async {
        let history = ada.get(&format!("/tickets/{id}/history")).await;
        let items = history["items"].as_array()?.clone();
        let sent = items.into_iter().find(|line| line["kind"] == "sent")?;
        (sent["message"]["delivery"]["state"] == "delivered").then_some(sent)
    });
    delivered.await;

    device.say("fault", &json!({ "code": code, "state": "cleared" }));
    ticket_in(&ada, code, "pending_confirmation").await;
    ada.must(Method::POST, &format!("/tickets/{id}/confirm"), json!({}))
        .await;
    ticket_in(&ada, code, "done").await;
}

/// The ticket of a code, once it is in this state.
async fn ticket_in(agent: &Agent, code: &str, state: &str) -> Value {
    let what = format!("a ticket of {code} in {state}");
    eventually(&what, PATIENCE, || async {
        let page = agent.get(&format!("/tickets?view=all&q={code}")).await;
        let items = page["items"].as_array()?;
        items
            .iter()
            .find(|ticket| ticket["code"] == code && ticket["state"] == state)
            .cloned()
    })
    .await
}
