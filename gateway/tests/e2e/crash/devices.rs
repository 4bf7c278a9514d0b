//! The same crash on devices: faults through a real broker and through our own listener. Whatever
//! dies, every fault a device was told is taken stands exactly once in exactly one ticket, and what
//! each device said stands in its order.
//!
//! A broker that is killed may itself forget what it has acknowledged a moment ago: after each of its
//! deaths a device says again what it said in the last moments before, as a careful one would.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    GATEWAY, KILLS, ROUTER, SINKS, UP,
    killer::{Killer, Mark, Victim},
    number,
};
use crate::harness::{
    agent::Agent,
    config::{Pair, System, free_port},
    device::Device,
    eventually,
    process::Process,
    services::Service,
};

/// Devices; half of them flap.
const DEVICES: usize = 100;
/// Faults each device raises.
const FAULTS: usize = 20;
/// Codes a steady device has.
const CODES: usize = 4;
/// How long one message may take to be acknowledged: longer than any outage of the test.
const PATIENCE: Duration = Duration::from_secs(240);
/// Devices that are told something, and how often.
const TOLD: usize = 20;
const COMMANDS: usize = 5;
/// What a broker may forget when it is killed: it writes its store every second or two, and looks at
/// its clock seldom under load.
const FORGETS: Duration = Duration::from_secs(10);
/// 2026-01-01T00:00:00Z: the devices' clocks begin here.
const CLOCK: i64 = 1_767_225_600_000;

/// The rules of both channels.
const RULES: &str = r#"
retained = "state"
[[options.up]]
topic = "plant/{device}/fault"
sent_at = { value = "=body.ts", unit = "ms" }
dedupe = "=string(body.seq)"
fault = { code = "=string(body.code)", state = "=body.on ? 'raised' : 'cleared'", severity = "major", sequence = "=body.seq" }
[options.down.command]
topic = "plant/{device}/cmd"
json = { id = "=id", n = "=command.arguments.n" }
"#;

/// One report of a device.
#[derive(Clone)]
struct Report {
    seq: usize,
    code: String,
    on: bool,
}

impl Report {
    fn at(&self) -> i64 {
        CLOCK + i64::try_from(self.seq).expect("few") * 1000
    }

    fn payload(&self) -> String {
        json!({ "seq": self.seq, "code": self.code, "on": self.on, "ts": self.at() }).to_string()
    }
}

/// What a device says: a steady one raises several faults again and again, one that flaps raises and
/// clears the same.
fn story(flaps: bool) -> Vec<Report> {
    let report = |seq, code: String, on| Report { seq, code, on };
    if flaps {
        let turns = (0..2 * FAULTS).map(|n| report(n + 1, "E1".to_owned(), n % 2 == 0));
        turns.collect()
    } else {
        let raises = (0..FAULTS).map(|n| report(n + 1, format!("E{}", n % CODES + 1), true));
        raises.collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_stands_once_in_one_ticket_on_the_embedded_pair() {
    let mosquitto = Service::mosquitto();
    let plant = Plant::new(Pair::Embedded, &mosquitto);
    let up = Process::new(&plant.system, "up");
    let admins = vec![up.admin_url()];
    let gateways = vec![up.url()];
    plant
        .crash(vec![Victim::new(up, UP)], &gateways, &admins)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_stands_once_in_one_ticket_on_rabbitmq_and_postgresql() {
    let mosquitto = Service::mosquitto();
    let plant = Plant::new(Pair::servers(), &mosquitto);
    let role = |role, points| Victim::new(Process::new(&plant.system, role), points);
    let mut second = role("gateway", GATEWAY);
    second.process = second.process.with_config(plant.second.clone());
    let victims = vec![
        role("gateway", GATEWAY),
        second,
        role("router", ROUTER),
        role("router", ROUTER),
        role("sinks", SINKS),
        role("sinks", SINKS),
    ];
    let of = |url: fn(&Process) -> String| victims[..2].iter().map(|v| url(&v.process)).collect();
    let (gateways, admins): (Vec<_>, Vec<_>) = (of(Process::url), of(Process::admin_url));
    plant.crash(victims, &gateways, &admins).await;
}

/// A system with two channels of devices.
struct Plant<'a> {
    system: System,
    mosquitto: &'a Service,
    /// The second gateway's config folder: its listener has another port.
    second: std::path::PathBuf,
    /// Where devices reach us without a broker.
    listeners: Vec<String>,
}

impl<'a> Plant<'a> {
    fn new(pair: Pair, mosquitto: &'a Service) -> Self {
        let system = System::with(pair, "edge.connections_per_address_max = 500\n");
        let broker = format!(
            "kind = \"mqtt\"\nauth = {{ none = \"a broker of the tests\" }}\n[options]\nurl = {:?}\nclient_id = \"crash\"\naddress = \"=topic.device\"\n{RULES}",
            mosquitto.url
        );
        system.write("channels/broker.toml", &broker);
        let ports = [free_port(), free_port()];
        let direct = |port: u16| {
            format!(
                "kind = \"mqtt\"\nauth = \"token\"\n[options]\nlisten = \"127.0.0.1:{port}\"\naddress = \"=topic.device\"\n\
                 derived = {{ secret = \"env:WEB_TOKEN_SECRET\", publish = [\"plant/{{username}}/#\"], subscribe = [\"plant/{{username}}/#\"] }}\n{RULES}"
            )
        };
        system.write("channels/direct.toml", &direct(ports[0]));
        let second = system.copy("second");
        std::fs::write(second.join("channels/direct.toml"), direct(ports[1]))
            .expect("write a channel");
        let n_gateways = if matches!(system.pair, Pair::Embedded) {
            1
        } else {
            2
        };
        let listeners = ports[..n_gateways]
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        Self {
            system,
            mosquitto,
            second,
            listeners,
        }
    }

    async fn crash(&self, mut victims: Vec<Victim>, gateways: &[String], admins: &[String]) {
        let seed = number("PATCHBAY_CRASH_SEED", fastrand::u64(..));
        let kills = u32::try_from(number("PATCHBAY_CRASH_KILLS", u64::from(KILLS)))
            .expect("a number of kills");
        println!(
            "crash test of devices: seed {seed}, {DEVICES} devices, {FAULTS} faults of each, half of them flap"
        );
        for victim in &mut victims {
            victim.process.spawn("");
        }
        for victim in &mut victims {
            victim.process.ready().await;
        }
        let operator = Agent::operator(admins);
        let agent = operator.hire(gateways, "Ada", "supervisor", 1000).await;
        agent.presence("online").await;
        self.subscribed(admins).await;
        let mark = Arc::new(Mark::default());
        let devices: Vec<_> = (0..DEVICES)
            .map(|n| tokio::spawn(self.device(n).work(Arc::clone(&mark))))
            .collect();
        let commanded: Vec<_> = (0..DEVICES)
            .filter(|n| is_told(*n))
            .map(|n| tokio::spawn(command(agent.clone(), name(n), Arc::clone(&mark))))
            .collect();
        let mut killer = Killer::new(seed, kills, &self.system, victims, mark)
            .besides("Mosquitto", self.mosquitto);
        killer.run().await;
        let told = tokio::time::timeout(PATIENCE, join_all(devices))
            .await
            .expect("the devices to be done");
        for commanded in commanded {
            commanded.await.expect("an agent to end well");
        }
        let told: Vec<Told> = told
            .into_iter()
            .map(|told| told.expect("a device to end well"))
            .collect();
        let ledger = Ledger::read(&agent, &told).await;
        ledger.judge(&told);
        println!("{}{}", killer.report(), ledger.report(&told));
        killer.stop().await;
    }

    /// Waits until the broker keeps what it is sent for us: what came before the very first
    /// subscription it has for nobody. A clear of what was never raised opens no ticket.
    async fn subscribed(&self, admins: &[String]) {
        let address = vec![self.broker_address()];
        let mut scout = Device::new(&address, "scout", "scout", "scout");
        let clear = json!({ "seq": 1, "code": "E0", "on": false, "ts": CLOCK }).to_string();
        let http = crate::harness::http();
        let deadline = Instant::now() + PATIENCE;
        loop {
            scout.publish("plant/scout/fault", &clear, PATIENCE).await;
            for admin in admins {
                let answer = http.get(format!("{admin}/metrics")).send().await;
                let text = answer.expect("an answer").text().await.expect("a text");
                let came = |line: &str| {
                    line.starts_with("patchbay_mqtt_received_total") && line.contains("\"broker\"")
                };
                if text.lines().any(came) {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "the broker is not subscribed to");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// `host:port` of the broker.
    fn broker_address(&self) -> String {
        let url = self.mosquitto.url.trim_start_matches("mqtt://");
        url.trim_end_matches('/').to_owned()
    }

    fn device(&self, n: usize) -> Worker {
        let name = name(n);
        // Every second one goes through the broker; of both kinds half flap.
        let direct = n.is_multiple_of(2);
        let addresses = if direct {
            self.listeners.clone()
        } else {
            vec![self.broker_address()]
        };
        let password = password(&name);
        let mut device = Device::new(&addresses, &name, &name, &password);
        if is_told(n) {
            device = device.listening(&format!("plant/{name}/cmd"));
        }
        let flaps = n % 4 < 2;
        Worker {
            name,
            device,
            flaps,
            direct,
            is_told: is_told(n),
        }
    }
}

/// What a derived credential is: HMAC-SHA256 of the name, in lower-case hex.
fn password(name: &str) -> String {
    let secret = patchbay_sdk::Secret::new(crate::harness::config::SECRETS[0].1);
    hex::encode(patchbay_sdk::verify::hmac_sha256(
        &secret,
        &[name.as_bytes()],
    ))
}

/// Devices that are told something: of those that are connected to us.
fn is_told(n: usize) -> bool {
    n.is_multiple_of(2) && n / 2 < TOLD
}

fn name(n: usize) -> String {
    format!("device-{n:03}")
}

/// An agent tells a device something through its ticket, at the pace of the killing.
async fn command(agent: Agent, device: String, mark: Arc<Mark>) {
    let path = format!("/tickets?channel=direct&device={device}");
    let ticket = eventually("the device's ticket", PATIENCE, || async {
        let (_, page) = agent.ask(Method::GET, &path, &Value::Null, None).await?;
        page["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    for n in 0..COMMANDS {
        pace(&mark, n, COMMANDS).await;
        let order = json!({ "type": "command", "name": "set", "arguments": { "n": n } });
        let body = json!({ "content": [order] });
        let key = format!("{device}-{n}");
        agent
            .act(&format!("/tickets/{ticket}/reply"), &body, &key)
            .await;
    }
}

/// What a device was told to do, by the ids of the orders, each where it came first.
fn orders(device: &Device) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    let mut orders = Vec::new();
    for (_, payload) in &device.received {
        let order: Value = serde_json::from_slice(payload).expect("an order is JSON");
        if seen.insert(order["id"].as_str().expect("an id").to_owned()) {
            orders.push(order["n"].as_u64().expect("a number"));
        }
    }
    orders
}

struct Worker {
    name: String,
    device: Device,
    flaps: bool,
    direct: bool,
    is_told: bool,
}

/// What a device was told is taken.
struct Told {
    name: String,
    channel: &'static str,
    story: Vec<Report>,
    flaps: bool,
    sent_again: usize,
    orders: usize,
    orders_again: usize,
}

impl Worker {
    async fn work(mut self, mark: Arc<Mark>) -> Told {
        let story = story(self.flaps);
        let topic = format!("plant/{}/fault", self.name);
        let mut acknowledged: Vec<Instant> = Vec::new();
        let mut deaths = 0;
        loop {
            let died = mark.deaths_of_servers.lock().expect("not poisoned").clone();
            if !self.direct && died.len() > deaths {
                let since = died[deaths] - FORGETS;
                deaths += 1;
                acknowledged.retain(|at| *at < since);
            }
            // What a new broker is to hear again comes before anything later.
            let heard = || {
                let died = mark.deaths_of_servers.lock().expect("not poisoned");
                self.direct || died.len() == deaths
            };
            let Some(report) = story.get(acknowledged.len()) else {
                if mark.permille.load(Ordering::Relaxed) == 1000
                    && (self.direct || deaths == died.len())
                {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            pace(&mark, acknowledged.len(), story.len()).await;
            let payload = report.payload();
            let taken = self.device.publish_while(&topic, &payload, PATIENCE, heard);
            if taken.await {
                acknowledged.push(Instant::now());
            }
        }
        if self.is_told {
            let all = |device: &Device| orders(device).len() >= COMMANDS;
            self.device.until("every order", PATIENCE, all).await;
            let wanted: Vec<u64> = (0..COMMANDS as u64).collect();
            assert_eq!(
                orders(&self.device),
                wanted,
                "{}: orders, in order",
                self.name
            );
        }
        let n_orders = orders(&self.device).len();
        Told {
            orders: n_orders,
            orders_again: self.device.received.len() - n_orders,
            name: self.name,
            channel: if self.direct { "direct" } else { "broker" },
            story,
            flaps: self.flaps,
            sent_again: self.device.sent_again,
        }
    }
}

/// Spreads the reports over the time of the killing.
async fn pace(mark: &Mark, n: usize, of: usize) {
    loop {
        let permille = mark.permille.load(Ordering::Relaxed);
        if n < 1 + of * usize::try_from(permille).unwrap_or(1000) / 1000 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// What the API shows: by device and code the times of raises in each ticket, and by device what its
/// conversation has.
struct Ledger {
    /// (channel, device, code) -> one list of raises per ticket.
    tickets: BTreeMap<(String, String, String), Vec<Vec<String>>>,
    flapping: usize,
    /// (channel, device) -> numbers of reports in order.
    said: BTreeMap<(String, String), Vec<u64>>,
}

impl Ledger {
    async fn read(agent: &Agent, told: &[Told]) -> Self {
        let raised: usize = told
            .iter()
            .map(|told| told.story.iter().filter(|r| r.on).count())
            .sum();
        let deadline = Duration::from_secs(120);
        let mut ledger = eventually("every fault in a ticket", deadline, || async {
            let ledger = Self::tickets(agent).await;
            (ledger.n_raised() >= raised).then_some(ledger)
        })
        .await;
        for told in told {
            let conversation = agent.conversation_of(&told.name).await;
            let id = conversation["id"].as_str().expect("an id");
            let numbers = agent
                .messages(id)
                .await
                .iter()
                .filter_map(sequence)
                .collect();
            ledger
                .said
                .insert((told.channel.to_owned(), told.name.clone()), numbers);
        }
        ledger
    }

    async fn tickets(agent: &Agent) -> Self {
        let mut ledger = Self {
            tickets: BTreeMap::new(),
            flapping: 0,
            said: BTreeMap::new(),
        };
        let mut cursor = String::new();
        loop {
            let page = agent
                .must(
                    Method::GET,
                    &format!("/tickets?limit=100{cursor}"),
                    Value::Null,
                )
                .await;
            for ticket in page["items"].as_array().expect("items") {
                ledger.add(agent, ticket).await;
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ledger,
            }
        }
    }

    async fn add(&mut self, agent: &Agent, ticket: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = text(&ticket["id"]);
        let mut raises = Vec::new();
        let mut after = 0;
        loop {
            let page = agent
                .get(&format!("/tickets/{id}/history?after={after}&limit=200"))
                .await;
            let items = page["items"].as_array().expect("items");
            let Some(last) = items.last() else { break };
            after = last["pos"].as_u64().expect("a pos");
            let says = |entry: &&Value| matches!(entry["kind"].as_str(), Some("opened" | "raised"));
            raises.extend(
                items
                    .iter()
                    .filter(says)
                    .map(|entry| text(&entry["occurred_at"])),
            );
        }
        self.flapping += usize::from(ticket["n_flaps"].as_u64().is_some_and(|n| n >= 3));
        let key = (
            text(&ticket["channel"]["id"]),
            text(&ticket["device"]),
            text(&ticket["code"]),
        );
        self.tickets.entry(key).or_default().push(raises);
    }

    fn n_raised(&self) -> usize {
        self.tickets.values().flatten().map(Vec::len).sum()
    }

    fn judge(&self, told: &[Told]) {
        let mut expected = BTreeSet::new();
        for told in told {
            let mut raises: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for report in told.story.iter().filter(|report| report.on) {
                let at = jiff::Timestamp::from_millisecond(report.at()).expect("a time");
                raises
                    .entry(&report.code)
                    .or_default()
                    .push(format!("{at:.3}"));
            }
            for (code, raises) in raises {
                let key = (told.channel.to_owned(), told.name.clone(), code.to_owned());
                assert_eq!(
                    self.tickets.get(&key),
                    Some(&vec![raises]),
                    "{key:?}: one ticket, every fault once, in order"
                );
                expected.insert(key);
            }
            let numbers: Vec<u64> = told.story.iter().map(|report| report.seq as u64).collect();
            let said = &self.said[&(told.channel.to_owned(), told.name.clone())];
            assert_eq!(
                said, &numbers,
                "{}: its reports in its own order, each once",
                told.name
            );
        }
        let found: BTreeSet<_> = self.tickets.keys().cloned().collect();
        assert_eq!(found, expected, "no ticket of anything else");
        let flap = told.iter().filter(|told| told.flaps).count();
        assert_eq!(self.flapping, flap, "who flaps is marked");
    }

    fn report(&self, told: &[Told]) -> String {
        let mut text = String::new();
        let again: usize = told.iter().map(|told| told.sent_again).sum();
        let reports: usize = told.iter().map(|told| told.story.len()).sum();
        let orders: usize = told.iter().map(|told| told.orders).sum();
        let orders_again: usize = told.iter().map(|told| told.orders_again).sum();
        for (what, n) in [
            ("reports acknowledged, stored once, in order", reports),
            ("faults raised, each in one ticket once", self.n_raised()),
            ("tickets, one for each device and code", self.tickets.len()),
            ("tickets marked as flapping", self.flapping),
            ("orders told to devices, in order", orders),
            ("orders a device was told again (DUP)", orders_again),
            ("reports sent again for want of an answer", again),
        ] {
            let _ = writeln!(text, "| {what} | {n} |");
        }
        text
    }
}

/// The number of the report a message carries.
fn sequence(message: &Value) -> Option<u64> {
    let part = &message["content"][0];
    (part["type"] == "fault")
        .then(|| part["sequence"].as_u64())
        .flatten()
}
