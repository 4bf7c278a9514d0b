//! The crash test: whatever dies, every accepted message is there exactly once, in order, on both
//! sides. The ledgers are the clients' own.
//!
//! `PATCHBAY_CRASH_SEED` repeats a run's choices; `PATCHBAY_CRASH_MESSAGES` (per conversation and
//! side) and `PATCHBAY_CRASH_KILLS` (per role) change its size.

mod devices;
mod killer;
mod ledger;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use killer::{Killer, Mark, Victim};
use ledger::Talk;

use crate::harness::{
    agent::Agent,
    config::{Pair, System},
    process::Process,
};

/// Conversations in flight.
const CONVERSATIONS: usize = 50;
/// Messages of each visitor, and replies to each.
const MESSAGES: usize = 100;
/// Deaths of each role.
const KILLS: u32 = 25;

/// Where a process kills itself: `confirm|answer`, `commit|publish`, `publish|ack`,
/// `sent|recorded`.
const GATEWAY: &[&str] = &["gateway::confirm_answer"];
const ROUTER: &[&str] = &[
    "router::before_commit",
    "router::commit_publish",
    "router::publish_ack",
];
const SINKS: &[&str] = &["sinks::sent_recorded", "sinks::recorded_ack"];
const UP: &[&str] = &[
    "gateway::confirm_answer",
    "router::before_commit",
    "router::commit_publish",
    "router::publish_ack",
    "sinks::sent_recorded",
    "sinks::recorded_ack",
];

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_the_embedded_pair() {
    let system = System::new(Pair::Embedded);
    let up = Process::new(&system, "up");
    let (gateways, admins) = (vec![up.url()], vec![up.admin_url()]);
    let victims = vec![Victim::new(up, UP)];
    crash(&system, victims, &gateways, &admins).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_on_rabbitmq_and_postgresql() {
    let system = System::new(Pair::servers());
    let role = |role, points| Victim::new(Process::new(&system, role), points);
    let victims = vec![
        role("gateway", GATEWAY),
        role("gateway", GATEWAY),
        role("router", ROUTER),
        role("router", ROUTER),
        role("sinks", SINKS),
        role("sinks", SINKS),
    ];
    let gateways: Vec<_> = victims[..2]
        .iter()
        .map(|victim| victim.process.url())
        .collect();
    let admins: Vec<_> = victims[..2]
        .iter()
        .map(|victim| victim.process.admin_url())
        .collect();
    crash(&system, victims, &gateways, &admins).await;
}

async fn crash(system: &System, mut victims: Vec<Victim>, gateways: &[String], admins: &[String]) {
    let seed = number("PATCHBAY_CRASH_SEED", fastrand::u64(..));
    let messages = usize::try_from(number("PATCHBAY_CRASH_MESSAGES", MESSAGES as u64))
        .expect("a number of messages");
    let kills =
        u32::try_from(number("PATCHBAY_CRASH_KILLS", u64::from(KILLS))).expect("a number of kills");
    println!(
        "crash test: seed {seed}, {CONVERSATIONS} conversations, {messages} + {messages} messages in each"
    );
    for victim in &mut victims {
        victim.process.spawn("");
    }
    for victim in &mut victims {
        victim.process.ready().await;
    }
    let operator = Agent::operator(admins);
    let capacity = u32::try_from(CONVERSATIONS).expect("few conversations");
    let agent = operator.hire(gateways, "Ada", "agent", capacity).await;
    agent.presence("online").await;

    let mark = Arc::new(Mark::default());
    let talks = (0..CONVERSATIONS)
        .map(|number| tokio::spawn(Talk::new(number, gateways, &agent, messages, &mark).run()));
    let talks: Vec<_> = talks.collect();
    let mut killer = Killer::new(seed, kills, system, victims, Arc::clone(&mark));
    killer.run().await;
    // Nobody dies any more: what was in flight has to settle.
    let settled = tokio::time::timeout(Duration::from_secs(240), join_all(talks)).await;
    let talks = settled.expect("the talks to settle after the last kill");
    let mut totals = ledger::Totals::default();
    for talk in talks {
        let talk = talk.expect("a talk to end well");
        talk.judge(&agent, &mut totals).await;
    }
    println!("{}{}", killer.report(), totals.report());
    killer.stop().await;
}
