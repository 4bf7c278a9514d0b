//! Kills processes and servers, and starts them again.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::harness::{
    config::{Pair, System},
    process::Process,
    services::Service,
};

/// How far the killing is, for whoever paces by it.
#[derive(Default)]
pub struct Mark {
    /// Thousandths of the kills that are done.
    pub permille: AtomicU64,
    /// When servers died.
    pub deaths_of_servers: Mutex<Vec<Instant>>,
}

/// A process that is to die again and again.
pub struct Victim {
    pub process: Process,
    points: &'static [&'static str],
}

impl Victim {
    pub fn new(process: Process, points: &'static [&'static str]) -> Self {
        Self { process, points }
    }
}

pub struct Killer<'a> {
    rng: Rng,
    kills: u32,
    system: &'a System,
    /// Servers of the channel that die with the others.
    besides: Vec<(&'static str, &'a Service)>,
    victims: Vec<Victim>,
    mark: Arc<Mark>,
    deaths: BTreeMap<String, u32>,
    by_role: BTreeMap<&'static str, u32>,
}

/// How long a process may live before it is killed from outside.
const LIFE: std::ops::Range<u64> = 150..1200;

impl<'a> Killer<'a> {
    pub fn new(
        seed: u64,
        kills: u32,
        system: &'a System,
        victims: Vec<Victim>,
        mark: Arc<Mark>,
    ) -> Self {
        let rng = Rng::with_seed(seed);
        Self {
            rng,
            kills,
            system,
            besides: Vec::new(),
            victims,
            mark,
            deaths: BTreeMap::new(),
            by_role: BTreeMap::new(),
        }
    }

    /// The same, and this server is restarted and killed besides.
    pub fn besides(mut self, name: &'static str, service: &'a Service) -> Self {
        self.besides.push((name, service));
        self
    }

    /// Kills until every role has died often enough, servers restarted and a router stopped past
    /// its lease on the way; then leaves everything running.
    pub async fn run(&mut self) {
        let roles: Vec<&'static str> = {
            let mut roles: Vec<_> = self
                .victims
                .iter()
                .map(|victim| victim.process.role)
                .collect();
            roles.dedup();
            roles
        };
        for round in 0..self.kills {
            self.kill_one_of_each(&roles, round).await;
            let done = (round + 1) * 1000 / self.kills;
            self.mark.permille.store(u64::from(done), Ordering::Relaxed);
            if round == self.kills / 4 {
                self.servers("SIGTERM", false).await;
            }
            if round == self.kills / 2 {
                self.servers("kill -9", true).await;
            }
            if round == self.kills * 3 / 4 {
                self.stall_a_router().await;
            }
        }
        self.mark.permille.store(1000, Ordering::Relaxed);
        for victim in &mut self.victims {
            if !victim.process.runs() {
                victim.process.spawn("");
            }
            victim.process.ready().await;
        }
    }

    /// One process of every role dies: by itself at a named point, or by kill -9 at some moment.
    async fn kill_one_of_each(&mut self, roles: &[&'static str], round: u32) {
        let mut plans: Vec<Option<Plan>> = self.victims.iter().map(|_| None).collect();
        for role in roles {
            let of_role: Vec<usize> = (0..self.victims.len())
                .filter(|index| self.victims[*index].process.role == *role)
                .collect();
            let index = of_role[usize::try_from(round).expect("few rounds") % of_role.len()];
            plans[index] = Some(Plan::draw(&mut self.rng, self.victims[index].points));
        }
        let dying = self.victims.iter_mut().zip(plans);
        let dying = dying.filter_map(|(victim, plan)| Some(plan?.carry_out(&mut victim.process)));
        for (role, cause) in join_all(dying).await {
            *self.deaths.entry(format!("{role} by {cause}")).or_default() += 1;
            *self.by_role.entry(role).or_default() += 1;
        }
    }

    async fn servers(&mut self, how: &str, hard: bool) {
        let mut servers = self.besides.clone();
        if let Pair::Servers { rabbitmq, postgres } = &self.system.pair {
            servers.extend([("RabbitMQ", rabbitmq), ("PostgreSQL", postgres)]);
        }
        if servers.is_empty() {
            return;
        }
        for (name, service) in servers {
            tokio::task::block_in_place(|| {
                if hard {
                    service.kill()
                } else {
                    service.stop()
                }
                // Between death and birth: whoever finds a connection before this had it with the dead.
                let mut deaths = self.mark.deaths_of_servers.lock().expect("not poisoned");
                deaths.push(Instant::now());
                drop(deaths);
                service.start();
            });
            *self.deaths.entry(format!("{name} by {how}")).or_default() += 1;
        }
        sleep(Duration::from_secs(1)).await;
    }

    /// A router stands still until others have taken its leases, then wakes and wants to go on.
    async fn stall_a_router(&mut self) {
        let Some(victim) = self
            .victims
            .iter_mut()
            .find(|victim| victim.process.role == "router")
        else {
            return;
        };
        if !victim.process.runs() {
            victim.process.spawn("");
        }
        victim.process.ready().await;
        victim.process.signal(Signal::SIGSTOP);
        // Leases live for 2 s in this system.
        sleep(Duration::from_secs(5)).await;
        victim.process.signal(Signal::SIGCONT);
        *self
            .deaths
            .entry("router stopped past failover and continued".to_owned())
            .or_default() += 1;
        sleep(Duration::from_secs(1)).await;
    }

    /// What died, and of what, as rows of a table.
    pub fn report(&self) -> String {
        let mut text = String::from("| what | times |\n|---|---|\n");
        for (role, times) in &self.by_role {
            let _ = writeln!(text, "| deaths of {role} | {times} |");
        }
        for (what, times) in &self.deaths {
            let _ = writeln!(text, "| {what} | {times} |");
        }
        text
    }

    /// Ends everything gracefully.
    pub async fn stop(&mut self) {
        for victim in &mut self.victims {
            assert_eq!(
                victim.process.stop().await,
                Some(0),
                "{} ends gracefully",
                victim.process.role
            );
        }
    }
}

/// How a process is to die.
struct Plan {
    /// By itself, when it passes this point for the nth time.
    point: Option<(&'static str, u8)>,
    /// Else by kill -9 after this long.
    life: Duration,
}

impl Plan {
    fn draw(rng: &mut Rng, points: &[&'static str]) -> Self {
        let inside = rng.u8(0..3) > 0;
        let point = rng
            .choice(points)
            .filter(|_| inside)
            .map(|point| (*point, rng.u8(0..6)));
        Self {
            point,
            life: Duration::from_millis(rng.u64(LIFE)),
        }
    }

    /// The process dies and is started again; answers its role and what it died of.
    async fn carry_out(self, process: &mut Process) -> (&'static str, &'static str) {
        process.kill();
        let failpoints = self
            .point
            .map(|(point, passes)| format!("{point}={passes}*off->return"));
        process.spawn(&failpoints.unwrap_or_default());
        process.ready_or_dead().await;
        // A point may not be passed often enough; then it dies from outside after all.
        let patience = if self.point.is_some() {
            Duration::from_secs(3)
        } else {
            Duration::ZERO
        };
        let deadline = Instant::now() + self.life + patience;
        while Instant::now() < deadline && process.runs() {
            sleep(Duration::from_millis(10)).await;
        }
        let cause = match self.point {
            Some((point, _)) if !process.runs() => point,
            _ => "kill -9",
        };
        process.kill();
        process.spawn("");
        (process.role, cause)
    }
}
