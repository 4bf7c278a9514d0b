//! Seeing inside: logs, metrics and readiness of one process.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use patchbay_config::settings::{Log, LogFormat};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Buckets of every `_seconds` histogram: 0.5 ms to 30 s.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0,
];
/// Buckets of every `_size` histogram.
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
/// How often histograms are folded.
const UPKEEP: Duration = Duration::from_secs(5);

/// Begins to log to standard error.
///
/// # Errors
/// A level that cannot be understood.
pub(crate) fn log_to_stderr(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.level)
        .with_context(|| format!("log.level: `{}` is not understood", log.level))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .context("begin to log")
}

/// Begins to count.
///
/// # Errors
/// If something else counts in this process already.
pub(crate) fn count() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .context("begin to count")
}

/// Something that is asked whether it is ready: its name, and what is wrong.
pub(crate) type Check = (&'static str, Box<dyn Fn() -> Option<String> + Send + Sync>);

/// What operators reach.
pub(crate) struct Admin {
    /// The numbers.
    pub metrics: PrometheusHandle,
    /// What has to be well.
    pub checks: Vec<Check>,
    /// Names this process in answers.
    pub instance: String,
    /// The roles it plays.
    pub roles: Vec<&'static str>,
}

/// `/healthz`, `/readyz`, `/metrics`.
pub(crate) fn admin_routes(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .with_state(admin)
}

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    instance: &'a str,
    roles: &'a [&'static str],
    problems: Vec<Trouble>,
}

#[derive(Serialize)]
struct Trouble {
    what: &'static str,
    detail: String,
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let problems: Vec<Trouble> = admin
        .checks
        .iter()
        .filter_map(|(what, check)| check().map(|detail| Trouble { what, detail }))
        .collect();
    let ready = problems.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = Readiness {
        ready,
        instance: &admin.instance,
        roles: &admin.roles,
        problems,
    };
    (status, Json(body)).into_response()
}

async fn numbers(State(admin): State<Arc<Admin>>) -> Response {
    let text = (header::CONTENT_TYPE, "text/plain; version=0.0.4");
    ([text], admin.metrics.render()).into_response()
}

/// Keeps histograms small until `stop`.
pub(crate) async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}
