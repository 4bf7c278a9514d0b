//! What can be set for customer service accounts of WeCom.

use std::collections::BTreeSet;

use patchbay_sdk::{
    Problem, Secret,
    options::{Duration, Problems, Secrets},
    sealed::SealKey,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer;
use crate::{
    wechat::{api::Api, checks},
    wecom::{API_URL, SECRET_BYTES_MIN, TOKEN_BYTES_MIN},
};

/// Accounts of one channel.
const ACCOUNTS_MAX: usize = 100;

/// `[options]` of customer service accounts of WeCom.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The enterprise's CorpID.
    pub corp_id: String,
    /// The secret of WeChat customer service (or of the application that its accounts were given to),
    /// which fetches access tokens.
    pub secret: Secret,
    /// The accounts, by `open_kfid`. An enterprise has one address for all of them: what rings for
    /// others is left alone.
    pub accounts: Vec<String>,
    /// The token entered beside the address; several while it is replaced, the newest first.
    pub token: Secrets,
    /// The `EncodingAESKey` beside it, 43 characters; several while it is replaced, the newest first.
    pub aes_key: Secrets,
    /// How far a doorbell's time may be from ours. One that was caught on its way is worth nothing
    /// after that.
    #[serde(default = "freshness")]
    pub freshness: Duration,
    /// How often accounts are looked at even if nobody rings. WeCom strictly limits that.
    #[serde(default = "poll")]
    pub poll: Duration,
    /// Where WeCom's API is; a proxy with a fixed address for the trusted addresses, for example.
    #[serde(default = "api_url")]
    pub api_url: String,
}

const fn freshness() -> Duration {
    Duration::secs(600)
}
const fn poll() -> Duration {
    Duration::secs(300)
}
fn api_url() -> String {
    API_URL.to_owned()
}

impl Options {
    /// The keys that open doorbells, or every mistake.
    pub(super) fn keys(&self) -> Result<Vec<SealKey>, Vec<Problem>> {
        let mut problems = Problems::default();
        checks::id("corp_id", &self.corp_id, &mut problems);
        problems.secrets("token", &self.token, TOKEN_BYTES_MIN);
        let sentence = format!("a secret must have {SECRET_BYTES_MIN} bytes at least");
        let good = self.secret.expose().len() >= SECRET_BYTES_MIN;
        problems.require(good, "secret", &sentence);
        let sentence = format!("must name 1 to {ACCOUNTS_MAX} accounts, each once");
        let once: BTreeSet<&String> = self.accounts.iter().collect();
        let good =
            (1..=ACCOUNTS_MAX).contains(&self.accounts.len()) && once.len() == self.accounts.len();
        problems.require(good, "accounts", &sentence);
        for (i, account) in self.accounts.iter().enumerate() {
            checks::id(&format!("accounts.{i}"), account, &mut problems);
        }
        let keys = checks::seal_keys(&self.aes_key, &mut problems);
        checks::freshness(self.freshness, &mut problems);
        problems.between("poll", self.poll, Duration::secs(10), Duration::days(1));
        let form = "must be like `https://qyapi.weixin.qq.com`, without a slash at the end";
        problems.require(Api::is_address(&self.api_url), "api_url", form);
        match problems.found() {
            found if found.is_empty() => Ok(keys),
            found => Err(found),
        }
    }

    /// Whose tokens and files: customer service has its own secret.
    pub(super) fn account(&self) -> String {
        format!("wecom:{}:kf", self.corp_id)
    }

    pub(super) fn api(&self) -> Api<'_> {
        Api {
            url: &self.api_url,
            account: self.account(),
            error: answer::error,
        }
    }
}
