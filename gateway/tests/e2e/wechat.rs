//! A WeChat channel end to end: the real binary, a platform as strict as the real one, and a WeChat
//! library of other people.

mod passive;
mod refused;
mod sdk;
mod talk;

use patchbay_testkit::fakes::wechat::{Account, App, Callback, Format, Kind, Mode, WeChat};
use serde_json::Value;

use crate::harness::{
    agent::Agent,
    config::{Pair, System},
    process::Process,
};

const APPID: &str = "wx5823bf96d3bd56c7";
const ORIGINAL_ID: &str = "gh_97417a04a28d";
const TOKEN: &str = "AWordOfTheTests";
/// Its last character has spare bits that are not zero, as most have.
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const SECRET: &str = "an app secret of the tests, 32 ch";
const ALICE: &str = "oAlice-_0123456789abcdefghij";
const BOB: &str = "oBob-_0123456789abcdefghijkl";

/// A system with one account and one agent, running.
pub struct House {
    pub wechat: WeChat,
    pub app: App,
    pub ada: Agent,
    /// The gateway first.
    pub processes: Vec<Process>,
    // Outlives the processes above.
    _system: System,
}

impl House {
    /// In one process on the embedded pair, else every role in its own.
    pub async fn new(pair: Pair, mode: Mode) -> Self {
        let roles: &[&'static str] = match pair {
            Pair::Embedded => &["up"],
            Pair::Servers { .. } => &["gateway", "router", "sinks"],
        };
        Self::with(pair, mode, roles, "").await
    }

    /// With these processes, and more options of the channel.
    pub async fn with(pair: Pair, mode: Mode, roles: &[&'static str], more: &str) -> Self {
        let system = System::new(pair);
        let wechat = WeChat::start().await;
        channel(&system, &wechat, mode, more);
        let mut processes: Vec<_> = roles
            .iter()
            .map(|role| Process::new(&system, role))
            .collect();
        for process in &mut processes {
            process.spawn("");
        }
        for process in &mut processes {
            process.ready().await;
        }
        let gateways = processes.iter().zip(roles);
        let gateways = gateways.filter(|(_, role)| matches!(**role, "up" | "gateway"));
        let gateways: Vec<&Process> = gateways.map(|(process, _)| process).collect();
        let urls: Vec<String> = gateways.iter().map(|one| one.url()).collect();
        let admins: Vec<String> = gateways.iter().map(|one| one.admin_url()).collect();
        let operator = Agent::operator(&admins);
        let ada = operator.hire(&urls, "Ada", "agent", 50).await;
        ada.presence("online").await;
        let app = account(&wechat, mode, &processes[0].url());
        Self {
            wechat,
            app,
            ada,
            processes,
            _system: system,
        }
    }

    /// Where pushes go.
    pub fn address(&self) -> String {
        address(&self.processes[0].url())
    }

    /// The id of a user's conversation, once there is one.
    pub async fn conversation(&self, openid: &str) -> String {
        let conversation = self.ada.conversation_of(openid).await;
        conversation["id"].as_str().expect("an id").to_owned()
    }

    /// What the gateway counts under this name and these labels.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let url = format!("{}/metrics", self.processes[0].admin_url());
        let text = crate::harness::http()
            .get(url)
            .send()
            .await
            .expect("metrics");
        let text = text.text().await.expect("metrics");
        let lines = text
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

fn address(gateway: &str) -> String {
    format!("{gateway}/channels/service")
}

/// Writes the channel's file.
pub fn channel(system: &System, wechat: &WeChat, mode: Mode, more: &str) {
    for (name, secret) in [("app-secret", SECRET), ("token", TOKEN), ("aes-key", KEY)] {
        system.write(name, secret);
    }
    let mode = match mode {
        Mode::Plain => "plain",
        Mode::Compatible => "compatible",
        Mode::Safe => "safe",
    };
    let url = wechat.url();
    let text = format!(
        "kind = \"wechat\"\nauth = \"signature\"\n[options]\napp_id = \"{APPID}\"\n\
         app_secret = \"file:app-secret\"\ntoken = \"file:token\"\naes_key = \"file:aes-key\"\n\
         mode = \"{mode}\"\noriginal_id = \"{ORIGINAL_ID}\"\napi_url = \"{url}\"\n{more}\n"
    );
    system.write("channels/service.toml", &text);
}

/// Registers the account, as its owner does in the console.
pub fn account(wechat: &WeChat, mode: Mode, gateway: &str) -> App {
    wechat.open(Account {
        kind: Kind::Official,
        appid: APPID.to_owned(),
        secret: SECRET.to_owned(),
        original_id: ORIGINAL_ID.to_owned(),
        callback: Callback {
            url: address(gateway),
            token: TOKEN.to_owned(),
            encoding_aes_key: KEY.to_owned(),
            mode,
            format: Format::Xml,
        },
    })
}

/// Texts of one direction, as the agent reads them.
pub fn texts(messages: &[Value], direction: &str) -> Vec<String> {
    let of = messages
        .iter()
        .filter(|m| m["kind"] == "message" && m["direction"] == direction);
    of.filter_map(|m| m["content"][0]["text"].as_str().map(str::to_owned))
        .collect()
}
