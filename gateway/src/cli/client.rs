//! What every client command needs: where the running system is, one call, and its refusal as a
//! sentence.

use std::{net::IpAddr, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use patchbay_config::{Config, Files, Loader};
use reqwest::{Client as Http, Method, Response, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::open;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Rows of a list asked for at once: as many as the API gives.
const PAGE: usize = 200;
/// The token comes by the environment: a command line is seen by everyone on the machine.
const TOKEN: &str = "PATCHBAY_TOKEN";

/// Which system, and how its answers are printed.
#[derive(Debug, Clone, Args)]
pub(super) struct Remote {
    /// Address of the running system: its admin listener, or with PATCHBAY_TOKEN set a public one.
    /// By default what the configuration says.
    #[arg(long, env = "PATCHBAY_URL", global = true)]
    url: Option<Url>,
    /// Prints JSON instead of text for people.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// A running system.
pub(super) struct Client {
    http: Http,
    base: Url,
    token: Option<String>,
    /// Where agents sign in, as far as that is known.
    pub(super) console: Option<String>,
    /// See [`Remote::json`].
    pub(super) json: bool,
}

/// A refusal, as far as it is a problem document.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    title: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
}

/// The API said no.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(super) struct Refused {
    /// HTTP status.
    pub(super) status: u16,
    /// For people.
    sentence: String,
}

impl Client {
    /// Where the flags, the environment or the configuration in `folder` say.
    pub(super) fn new(remote: &Remote, folder: &Path) -> anyhow::Result<Self> {
        let token = std::env::var(TOKEN)
            .ok()
            .filter(|token| !token.trim().is_empty());
        let config = config(folder);
        let base = match (&remote.url, &config) {
            (Some(url), _) => url.clone(),
            (None, Some(config)) => address(config, token.is_some())?,
            (None, None) => bail!(
                "there is no configuration to read in {}: name it with --config, or the running \
                 system with --url",
                folder.display()
            ),
        };
        let mut http = Http::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if is_here(&base) {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build().context("make an HTTP client")?,
            base,
            token,
            console: config.map(|config| format!("{}/console/", open::public_url(&config))),
            json: remote.json,
        })
    }

    /// Address of a call.
    pub(super) fn url(&self, path: &str) -> String {
        let base = self.base.as_str().trim_end_matches('/');
        format!("{base}/api/v1{path}")
    }

    /// One call; `null` for an answer without a body.
    ///
    /// # Errors
    /// Nobody answers; or [`Refused`].
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut request = self
            .http
            .request(method, self.url(path))
            .timeout(CALL_TIMEOUT);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| self.silent(&error))?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await.into());
        }
        let text = answer
            .text()
            .await
            .map_err(|error| error.without_url())
            .context("read the answer")?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| {
            format!(
                "what answers at {} does not speak Patchbay's API",
                self.base
            )
        })
    }

    /// GET.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// POST.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Every row of a list, or the first `max` of them.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &[(&str, Option<&str>)],
        max: usize,
    ) -> anyhow::Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut text = form_urlencoded::Serializer::new(String::new());
            text.append_pair("limit", &PAGE.min(max - rows.len()).to_string());
            for (name, value) in query {
                if let Some(value) = value {
                    text.append_pair(name, value);
                }
            }
            if let Some(cursor) = &cursor {
                text.append_pair("cursor", cursor);
            }
            let page = self.get(&format!("{path}?{}", text.finish())).await?;
            let before = rows.len();
            rows.extend(page["items"].as_array().into_iter().flatten().cloned());
            cursor = page["next"].as_str().map(str::to_owned);
            let more = rows.len() > before && rows.len() < max;
            if cursor.is_none() || !more {
                return Ok(rows);
            }
        }
    }

    fn silent(&self, error: &reqwest::Error) -> anyhow::Error {
        let why = if error.is_timeout() {
            "does not answer in time"
        } else {
            "cannot be reached"
        };
        anyhow::anyhow!(
            "{} {why}: is Patchbay running? `patchbay up` starts it; --url or PATCHBAY_URL names \
             another address",
            self.base
        )
    }

    async fn refusal(&self, answer: Response) -> Refused {
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        let refusal: Refusal = serde_json::from_str(&text).unwrap_or_default();
        let said = [refusal.detail, refusal.title, status.to_string()];
        let said = said.into_iter().find(|text| !text.is_empty());
        let said = said.unwrap_or_default();
        let sentence = match (status.as_u16(), &self.token) {
            (401, Some(_)) => format!("the token in {TOKEN} is not valid at {}", self.base),
            (401, None) => format!(
                "{} asks for a token: set {TOKEN}, or name the admin listener",
                self.base
            ),
            (404, _) if refusal.code.is_empty() => {
                format!("what answers at {} has no API of Patchbay", self.base)
            }
            _ => said,
        };
        Refused {
            status: status.as_u16(),
            sentence,
        }
    }

    /// Address of a WebSocket.
    pub(super) fn socket_url(&self, path: &str) -> String {
        // http -> ws, https -> wss
        self.url(path).replacen("http", "ws", 1)
    }
}

/// What can be read of the configuration; absent secrets and broken channels do not matter here.
fn config(folder: &Path) -> Option<Config> {
    let files = Files::read(folder).ok()?;
    let loader = Loader::from_process(folder).offline();
    Some(loader.load_all(&files).0.config)
}

fn address(config: &Config, public: bool) -> anyhow::Result<Url> {
    let (scheme, mut listen) = match (public, &config.public.tls) {
        (true, Some(_)) => return Ok(open::public_url(config).parse()?),
        (true, None) => ("http", config.public.listen),
        (false, _) => ("http", config.admin.listen),
    };
    if listen.ip().is_unspecified() {
        // Listens everywhere, so also here.
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        });
    }
    Ok(format!("{scheme}://{listen}").parse()?)
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
