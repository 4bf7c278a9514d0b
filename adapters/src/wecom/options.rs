//! What can be set for an application of WeCom.

use patchbay_sdk::{
    Problem, Secret,
    options::{Duration, Problems, Secrets},
    sealed::SealKey,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{answer, push::Gate};
use crate::wechat::{api::Api, checks};

/// WeCom's own servers.
pub(crate) const API_URL: &str = "https://qyapi.weixin.qq.com";
/// The console takes tokens of up to 32 letters and digits.
pub(crate) const TOKEN_BYTES_MIN: usize = 3;
/// An application's secret has 43 characters; a third of that is surely a mistake.
pub(crate) const SECRET_BYTES_MIN: usize = 16;
/// <https://developer.work.weixin.qq.com/document/path/90236>
const DUPLICATE_CHECK_MAX: Duration = Duration::secs(4 * 3600);

/// `[options]` of an application of WeCom.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The enterprise's CorpID.
    pub corp_id: String,
    /// The application's AgentId.
    #[schemars(range(min = 0, max = 4_294_967_295_u64))]
    pub agent_id: u32,
    /// The application's secret, which fetches access tokens.
    pub secret: Secret,
    /// The token entered where the application receives messages; several while it is replaced, the
    /// newest first.
    pub token: Secrets,
    /// The `EncodingAESKey` beside it, 43 characters; several while it is replaced, the newest first.
    pub aes_key: Secrets,
    /// How far a push's time may be from ours. A push that was caught on its way is worth nothing
    /// after that.
    #[serde(default = "freshness")]
    pub freshness: Duration,
    /// Where WeCom's API is; a proxy with a fixed address for the application's trusted addresses,
    /// for example.
    #[serde(default = "api_url")]
    pub api_url: String,
    /// WeCom drops what says the same to the same member within this time, so that nothing is sent
    /// twice after a crash, and an agent who says the same twice is heard once. Without it, both
    /// are sent.
    #[serde(default)]
    pub duplicate_check: Option<Duration>,
}

const fn freshness() -> Duration {
    Duration::secs(600)
}
fn api_url() -> String {
    API_URL.to_owned()
}

impl Options {
    /// The keys that open pushes, or every mistake.
    pub(super) fn keys(&self) -> Result<Vec<SealKey>, Vec<Problem>> {
        let mut problems = Problems::default();
        checks::id("corp_id", &self.corp_id, &mut problems);
        problems.secrets("token", &self.token, TOKEN_BYTES_MIN);
        let sentence = format!("a secret must have {SECRET_BYTES_MIN} bytes at least");
        let good = self.secret.expose().len() >= SECRET_BYTES_MIN;
        problems.require(good, "secret", &sentence);
        let keys = checks::seal_keys(&self.aes_key, &mut problems);
        checks::freshness(self.freshness, &mut problems);
        if let Some(within) = self.duplicate_check {
            problems.between(
                "duplicate_check",
                within,
                Duration::secs(1),
                DUPLICATE_CHECK_MAX,
            );
        }
        let form = "must be like `https://qyapi.weixin.qq.com`, without a slash at the end";
        problems.require(Api::is_address(&self.api_url), "api_url", form);
        match problems.found() {
            found if found.is_empty() => Ok(keys),
            found => Err(found),
        }
    }

    /// What lets a push in.
    pub(super) fn gate<'a>(&'a self, keys: &'a [SealKey]) -> Gate<'a> {
        Gate {
            token: &self.token,
            keys,
            receiver: &self.corp_id,
            freshness: self.freshness.get(),
        }
    }

    pub(super) fn api(&self) -> Api<'_> {
        Api {
            url: &self.api_url,
            account: format!("wecom:{}:{}", self.corp_id, self.agent_id),
            error: answer::error,
        }
    }
}
