//! What can be set for a WeChat account.

use patchbay_sdk::{
    Problem, Secret,
    options::{Duration, Problems, Secrets},
    sealed::SealKey,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{answer, api::Api, checks};

/// WeChat's own servers.
pub(super) const API_URL: &str = "https://api.weixin.qq.com";
/// The console takes tokens of 3 to 32 letters and digits.
const TOKEN_BYTES_MIN: usize = 3;
/// AppSecrets have 32 characters; half of that is surely a mistake.
const APP_SECRET_BYTES_MIN: usize = 16;
/// WeChat cuts the connection after 5 s; what is written later than this comes too late.
const WAIT_MAX: Duration = Duration::millis(4500);
/// Answers held back at once.
const HELD_MAX: u32 = 100_000;

/// `[options]` of a WeChat account.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// What the account is: an official account (subscription or service account) or a mini-program.
    #[serde(default)]
    pub account: Account,
    /// The account's AppID.
    pub app_id: String,
    /// The account's AppSecret, which fetches access tokens.
    pub app_secret: Secret,
    /// The token entered in WeChat's console; several while it is replaced, the newest first.
    pub token: Secrets,
    /// The `EncodingAESKey` of WeChat's console, 43 characters; several while it is replaced, the
    /// newest first. Not needed with `mode = "plain"`.
    #[serde(default)]
    pub aes_key: Secrets,
    /// Which pushes are taken. `safe`: sealed ones only. `compatible`: both. `plain`: open ones only,
    /// whose signature does not cover what is said. Choose the same in WeChat's console.
    #[serde(default)]
    pub mode: Mode,
    /// Whom sealed pushes are for, if that is not `app_id`: the AppID of a third-party platform.
    #[serde(default)]
    pub receiver_id: Option<String>,
    /// The account's original id, `gh_...`: pushes for another account are refused.
    #[serde(default)]
    pub original_id: Option<String>,
    /// How far a push's time may be from ours. A push that was caught on its way is worth nothing
    /// after that.
    #[serde(default = "freshness")]
    pub freshness: Duration,
    /// Where WeChat's API is; a proxy with a fixed address for WeChat's IP list, for example.
    #[serde(default = "api_url")]
    pub api_url: String,
    /// Answer on WeChat's own request, if an answer is there in time.
    #[serde(default)]
    pub passive_reply: Option<PassiveReply>,
    /// What an official account's templates are: template messages or subscription notices.
    /// Mini-programs have subscription notices only.
    #[serde(default)]
    pub templates: Templates,
}

/// What the account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
pub enum Account {
    /// A subscription or service account.
    #[default]
    #[serde(rename = "official")]
    Official,
    /// A mini-program's customer service.
    #[serde(rename = "mini-program")]
    MiniProgram,
}

/// Which pushes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Open ones only.
    Plain,
    /// Both.
    Compatible,
    /// Sealed ones only.
    #[default]
    Safe,
}

/// What an official account's templates are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Templates {
    /// Template messages.
    #[default]
    Template,
    /// Subscription notices.
    Subscribe,
}

/// Answering on WeChat's own request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassiveReply {
    /// How long WeChat's request waits for a reply; it cuts the connection after 5 s.
    #[serde(default = "wait")]
    pub wait: Duration,
    /// Requests that may wait at the same time in one gateway process; one more is told at once that
    /// its message arrived, and answered by the API.
    #[serde(default = "held_max")]
    #[schemars(range(min = 1, max = 100_000))]
    pub held_max: u32,
}

const fn freshness() -> Duration {
    Duration::secs(600)
}
fn api_url() -> String {
    API_URL.to_owned()
}
const fn wait() -> Duration {
    Duration::secs(4)
}
const fn held_max() -> u32 {
    500
}

impl Options {
    /// The keys that open sealed pushes, or every mistake.
    pub(super) fn keys(&self) -> Result<Vec<SealKey>, Vec<Problem>> {
        let mut problems = Problems::default();
        self.names(&mut problems);
        problems.secrets("token", &self.token, TOKEN_BYTES_MIN);
        let good = self.app_secret.expose().len() >= APP_SECRET_BYTES_MIN;
        let sentence = format!("a secret must have {APP_SECRET_BYTES_MIN} bytes at least");
        problems.require(good, "app_secret", &sentence);
        checks::freshness(self.freshness, &mut problems);
        if let Some(passive) = self.passive_reply {
            let min = Duration::millis(500);
            problems.between("passive_reply.wait", passive.wait, min, WAIT_MAX);
            problems.between("passive_reply.held_max", passive.held_max, 1, HELD_MAX);
        }
        let keys = checks::seal_keys(&self.aes_key, &mut problems);
        let is_needed = self.mode != Mode::Plain && self.aes_key.all().is_empty();
        let sentence =
            "is needed, unless `mode` is `plain`: sealed pushes cannot be opened without it";
        problems.require(!is_needed, "aes_key", sentence);
        match problems.found() {
            found if found.is_empty() => Ok(keys),
            found => Err(found),
        }
    }

    fn names(&self, problems: &mut Problems) {
        checks::id("app_id", &self.app_id, problems);
        if let Some(receiver) = &self.receiver_id {
            checks::id("receiver_id", receiver, problems);
        }
        if let Some(original) = &self.original_id {
            checks::id("original_id", original, problems);
        }
        let form = "must be like `https://api.weixin.qq.com`, without a slash at the end";
        problems.require(Api::is_address(&self.api_url), "api_url", form);
        let is_official =
            self.account == Account::Official || self.templates == Templates::Template;
        let sentence =
            "is for official accounts: a mini-program's templates are subscription notices anyway";
        problems.require(is_official, "templates", sentence);
    }

    pub(super) fn api(&self) -> Api<'_> {
        Api {
            url: &self.api_url,
            account: format!("wechat:{}", self.app_id),
            error: answer::error,
        }
    }

    /// Whom sealed pushes are for.
    pub(super) fn receiver(&self) -> &str {
        self.receiver_id.as_deref().unwrap_or(&self.app_id)
    }
}
