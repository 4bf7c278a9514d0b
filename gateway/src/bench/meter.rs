//! Reading clocks: latency histograms, and CPU time and memory of processes from `/proc`.

use std::{io::Write as _, path::PathBuf, str::FromStr, time::Duration};

use anyhow::Context as _;
use clap::Args;
use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use tokio::time::Instant;

/// Clock ticks a second in `/proc/<pid>/stat`: fixed at 100 for user space on Linux (proc(5)).
const TICKS: f64 = 100.0;
/// The longest latency that is told apart from longer ones, microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// A process to be watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    name: String,
    pid: u32,
}

impl FromStr for Watched {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, pid) = text.split_once(':').context("write name:pid")?;
        Ok(Self {
            name: name.to_owned(),
            pid: pid.parse().context("the pid is no number")?,
        })
    }
}

impl Watched {
    /// Seconds of CPU so far, children included: a database has a process for every connection.
    fn cpu(&self) -> f64 {
        let children = format!("/proc/{0}/task/{0}/children", self.pid);
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        std::iter::once(self.pid).chain(children).map(cpu_of).sum()
    }

    /// Resident memory, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn cpu_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / TICKS
}

/// Seconds of CPU of this process, or of the calling thread only.
pub(super) fn own_cpu(who: UsageWho) -> f64 {
    let Ok(usage) = getrusage(who) else {
        return 0.0;
    };
    let seconds = |time: nix::sys::time::TimeVal| {
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let micros = (time.tv_sec() * 1_000_000 + time.tv_usec()) as f64;
        micros / 1e6
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Seconds that all cores together were busy, whoever kept them so.
fn machine_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<f64> = line
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal (proc(5)).
    let busy = |n: usize| fields.get(n).copied().unwrap_or(0.0);
    [0, 1, 2, 5, 6, 7].into_iter().map(busy).sum::<f64>() / TICKS
}

/// What is read beside the clock, and where figures go.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Watch {
    /// Processes whose CPU time and memory are read, children included: `name:pid`, separated by
    /// commas.
    #[arg(long, value_delimiter = ',')]
    pub(super) pids: Vec<Watched>,
    /// Appends every figure to this file as a line: label, name, number, with tabs between.
    #[arg(long)]
    figures: Option<PathBuf>,
    /// The label of these figures.
    #[arg(long, default_value = "")]
    label: String,
}

impl Watch {
    /// Keeps a figure for whoever makes a table of them.
    pub(super) fn figure(&self, name: &str, value: f64) -> anyhow::Result<()> {
        let Some(path) = &self.figures else {
            return Ok(());
        };
        let mut open = std::fs::OpenOptions::new();
        let file = open.create(true).append(true).open(path);
        let mut file = file.context("open the file of figures")?;
        writeln!(file, "{}\t{name}\t{value:.3}", self.label)?;
        Ok(())
    }
}

/// One measured stretch of time.
pub(super) struct Meter<'a> {
    watch: &'a Watch,
    begun: Instant,
    cpu: Vec<f64>,
    own: f64,
    machine: f64,
    latency: Histogram<u64>,
    halves: Histogram<u64>,
    others: Vec<(String, f64)>,
}

impl<'a> Meter<'a> {
    pub(super) fn begin(watch: &'a Watch) -> anyhow::Result<Self> {
        Ok(Self {
            watch,
            begun: Instant::now(),
            cpu: watch.pids.iter().map(Watched::cpu).collect(),
            own: own_cpu(UsageWho::RUSAGE_SELF),
            machine: machine_cpu(),
            latency: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
            halves: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
            others: Vec::new(),
        })
    }

    pub(super) fn record(&mut self, took: Duration) {
        self.latency.saturating_record(micros(took));
    }

    /// The way there, of a way there and back.
    pub(super) fn record_half(&mut self, took: Duration) {
        self.halves.saturating_record(micros(took));
    }

    /// CPU that was measured elsewhere, to be told with the rest.
    pub(super) fn add_cpu(&mut self, name: &str, seconds: f64) {
        self.others.push((name.to_owned(), seconds));
    }

    /// Rate, latency, CPU per message of every watched process, and what else the machine did.
    pub(super) fn report(&self, what: &str) -> anyhow::Result<()> {
        let seconds = self.begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let n = self.latency.len() as f64;
        println!("{what}: {n} in {seconds:.1} s = {:.0}/s", n / seconds);
        self.watch.figure("rate", n / seconds)?;
        self.tell_times("latency", "", &self.latency)?;
        if !self.halves.is_empty() {
            self.tell_times("to the agent", "half.", &self.halves)?;
        }
        let own = own_cpu(UsageWho::RUSAGE_SELF) - self.own;
        let mut known = own;
        let watched = self.watch.pids.iter().zip(&self.cpu);
        let watched =
            watched.map(|(watched, before)| (watched.name.clone(), watched.cpu() - before));
        for (name, cpu) in watched {
            known += cpu;
            self.tell_cpu(&name, cpu, n, seconds)?;
        }
        self.tell_cpu("load", own, n, seconds)?;
        for (name, cpu) in &self.others {
            self.tell_cpu(name, *cpu, n, seconds)?;
        }
        let rest = (machine_cpu() - self.machine - known) / seconds;
        println!(
            "  everything else on the machine: {:.0} % of a core",
            rest * 100.0
        );
        self.watch.figure("else", rest)
    }

    fn tell_times(&self, what: &str, prefix: &str, times: &Histogram<u64>) -> anyhow::Result<()> {
        print!("  {what}");
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let value = Duration::from_micros(times.value_at_quantile(quantile));
            print!("  {name} {value:?}");
            let name = format!("{prefix}{name}");
            self.watch.figure(&name, value.as_secs_f64() * 1e6)?;
        }
        println!();
        Ok(())
    }

    fn tell_cpu(&self, name: &str, cpu: f64, n: f64, seconds: f64) -> anyhow::Result<()> {
        let each = cpu * 1e6 / n.max(1.0);
        let share = cpu * 100.0 / seconds;
        println!("  {name}: {each:.1} us CPU each, {share:.0} % of a core");
        self.watch.figure(&format!("cpu.{name}"), each)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(LATENCY_US_MAX)
}
