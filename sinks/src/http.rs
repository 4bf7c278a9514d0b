//! HTTP requests: performs what an adapter asks for and says what became of it.
//!
//! No redirects (they would move secrets elsewhere), no retries of its own, a bound on every wait
//! and on the answer's size.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use patchbay_sdk::{Answer, Exchange, HttpOut};

/// Bounds of the HTTP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// The longest wait for an answer, whatever the adapter asks for.
    pub answer_timeout_max: Duration,
    /// Bytes of an answer's body that are read; the rest is cut off.
    pub answer_bytes_max: usize,
    /// Idle connections kept per host.
    pub idle_per_host_max: usize,
    /// How long an idle connection is kept; shorter than what servers do, so that a request seldom
    /// meets a connection that is being closed.
    pub idle_timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            answer_timeout_max: Duration::from_secs(60),
            answer_bytes_max: 256 * 1024,
            idle_per_host_max: 64,
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// The HTTP client could not be set up: no TLS roots, for one.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client")]
pub struct HttpSetupError(#[source] reqwest::Error);

/// The transport.
#[derive(Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    options: HttpOptions,
}

impl Http {
    pub(crate) fn new(options: HttpOptions) -> Result<Self, HttpSetupError> {
        // The first one to install a provider wins; every part of the house installs this one.
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        drop(Arc::unwrap_or_clone(ring).install_default());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .pool_max_idle_per_host(options.idle_per_host_max)
            .pool_idle_timeout(options.idle_timeout)
            .tcp_nodelay(true)
            .user_agent(concat!("patchbay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(HttpSetupError)?;
        Ok(Self { client, options })
    }

    /// Performs the request.
    pub(crate) async fn perform(&self, out: HttpOut) -> Exchange {
        // Connecting has a bound of its own: the adapter's timeout is for the answer alone, so that
        // a slow connection is never mistaken for a lost answer.
        let wait = out.timeout.min(self.options.answer_timeout_max) + self.options.connect_timeout;
        let asked = self
            .client
            .request(out.method, out.url)
            .headers(out.headers)
            .body(out.body)
            .timeout(wait)
            .send()
            .await;
        let response = match asked {
            Ok(response) => response,
            Err(error) => return classify(&error),
        };
        let status = response.status();
        let headers = response.headers().clone();
        match self.body(response).await {
            Ok(body) => Exchange::Answered(Answer::Http {
                status,
                headers,
                body,
            }),
            Err(error) => Exchange::Unknown(format!("the answer broke off: {}", kind(&error))),
        }
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<Bytes, reqwest::Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            let room = self.options.answer_bytes_max - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                break;
            }
        }
        Ok(body.freeze())
    }
}

/// Before the connection stood no byte of the request left us; after that nobody knows.
fn classify(error: &reqwest::Error) -> Exchange {
    let why = kind(error).to_owned();
    if error.is_connect() || error.is_builder() {
        Exchange::NotSent(why)
    } else {
        Exchange::Unknown(why)
    }
}

/// A phrase without the URL, which may hold secrets.
fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_connect() && error.is_timeout() {
        "no connection in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_builder() {
        "not a valid request"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection broke"
    }
}

#[cfg(test)]
mod tests;
