//! Reading clocks: latency histograms, and CPU time and memory of processes from `/proc`.

use std::{str::FromStr, time::Duration};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::time::Instant;

/// Clock ticks a second in `/proc/<pid>/stat`: fixed at 100 for user space on Linux (proc(5)).
const TICKS: f64 = 100.0;

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
    /// Seconds of CPU so far.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |n: usize| {
            fields
                .get(n)
                .and_then(|t| t.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        (ticks(11) + ticks(12)) / TICKS
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

/// One measured stretch of time.
pub(crate) struct Meter<'a> {
    begun: Instant,
    watched: Vec<(&'a Watched, f64)>,
    latency: Histogram<u64>,
}

impl<'a> Meter<'a> {
    pub(crate) fn begin(watched: &'a [Watched]) -> anyhow::Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            watched: watched
                .iter()
                .map(|watched| (watched, watched.cpu()))
                .collect(),
            latency: Histogram::new(3)?,
        })
    }

    pub(crate) fn record(&mut self, took: Duration) {
        self.latency
            .saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Rate, latency, and CPU per message of every watched process.
    pub(crate) fn report(&self, what: &str) {
        let count = self.latency.len();
        let seconds = self.begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let n = count as f64;
        println!("{what}: {count} in {seconds:.1} s = {:.0}/s", n / seconds);
        let at = |quantile| Duration::from_micros(self.latency.value_at_quantile(quantile));
        println!(
            "  latency p50 {:?}  p99 {:?}  p99.9 {:?}",
            at(0.5),
            at(0.99),
            at(0.999)
        );
        for (watched, before) in &self.watched {
            let cpu = watched.cpu() - before;
            println!(
                "  {}: {:.1} us CPU each, {:.0} % of a core",
                watched.name,
                cpu * 1e6 / n,
                cpu * 100.0 / seconds
            );
        }
    }
}
