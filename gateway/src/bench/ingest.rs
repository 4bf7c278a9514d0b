//! Webhook-style ingest: one POST, one confirmed message.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{Load, Target, meter::Meter, visitor};

/// Before the figures count.
const WARM_UP: Duration = Duration::from_secs(2);

/// Every connection posts again as soon as it has its answer.
pub(super) async fn run(target: &Target, load: Load) -> anyhow::Result<()> {
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(load.connections)
        .build()?;
    let url = format!("{}/channels/{}/messages", target.url, target.channel);
    let mut posts = FuturesUnordered::new();
    for _ in 0..load.connections {
        let visitor = visitor::Visitor::new(&http, target).await?;
        posts.push(post(&http, &url, visitor.token, 0));
    }
    let begun = Instant::now();
    let end = begun + WARM_UP + Duration::from_secs(load.seconds);
    let mut meter = Meter::begin(&target.pids)?;
    let mut warm = false;
    let mut failed = 0_u64;
    while let Some((token, n, outcome)) = posts.next().await {
        let now = Instant::now();
        if !warm && now > begun + WARM_UP {
            meter = Meter::begin(&target.pids)?;
            warm = true;
        }
        match outcome {
            Ok(took) => meter.record(took),
            Err(error) => {
                failed += 1;
                anyhow::ensure!(failed < 1000, "too many failures, the last: {error:#}");
                sleep_until(now + Duration::from_millis(10)).await;
            }
        }
        if now >= end {
            break;
        }
        posts.push(post(&http, &url, token, n + 1));
    }
    meter.report(&format!("ingest, {} connections", load.connections));
    if failed > 0 {
        println!("  {failed} failed");
    }
    Ok(())
}

async fn post(
    http: &reqwest::Client,
    url: &str,
    token: String,
    n: u64,
) -> (String, u64, anyhow::Result<Duration>) {
    let begun = Instant::now();
    let body = visitor::message(
        &format!("b{n}"),
        "a message of the usual length, so to speak",
    );
    let send = async {
        let answer = http.post(url).bearer_auth(&token).body(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{status}: {text}");
        Ok(begun.elapsed())
    };
    let outcome = send.await.context("post a message");
    (token, n, outcome)
}
