//! What every backend measures, under the same names.

use std::{future::Future, time::Instant};

use crate::{CommitError, Committed, Facts, StoreError};

/// Times a commit and counts how it ended.
pub(crate) async fn commit(
    work: impl Future<Output = Result<Committed, CommitError>> + Send,
) -> Result<Committed, CommitError> {
    let begun = Instant::now();
    let result = work.await;
    metrics::histogram!("patchbay_store_commit_seconds").record(begun.elapsed().as_secs_f64());
    let outcome = match &result {
        Ok(_) => "ok",
        Err(CommitError::Fenced(_)) => "fenced",
        Err(CommitError::Conflict(_)) => "conflict",
        Err(CommitError::Refused(_)) => "refused",
        Err(CommitError::Store(_)) => "unavailable",
    };
    metrics::counter!("patchbay_store_commits_total", "outcome" => outcome).increment(1);
    result
}

/// Times the loading of facts.
pub(crate) async fn facts(
    work: impl Future<Output = Result<Facts, StoreError>> + Send,
) -> Result<Facts, StoreError> {
    let begun = Instant::now();
    let result = work.await;
    metrics::histogram!("patchbay_store_facts_seconds").record(begun.elapsed().as_secs_f64());
    result
}
