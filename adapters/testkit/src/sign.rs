//! Signs changed requests anew, so that they get past the signature and reach the parser.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue};
use patchbay_sdk::{Secret, verify};
use serde::Deserialize;

use crate::given::Request;

/// How a kind's requests are signed: `sign` of `channel.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// The algorithm.
    alg: Algorithm,
    /// The secret itself.
    key: String,
    /// What is signed, in order: `body`, `header:name`, `text:..`.
    parts: Vec<String>,
    /// The header that carries the signature.
    header: String,
    /// In front of the signature.
    #[serde(default)]
    prefix: String,
    /// How its bytes are written.
    encoding: Encoding,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Algorithm {
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Hex,
    Base64,
}

impl Recipe {
    /// The request as whoever has the key would send it.
    pub(crate) fn sign(&self, mut request: Request) -> Request {
        let parts = self.parts.iter().map(|part| match part.split_once(':') {
            Some(("text", text)) => text.as_bytes(),
            Some(("header", name)) => request
                .headers
                .get(name)
                .map_or(&b""[..], HeaderValue::as_bytes),
            _ => &request.body,
        });
        let parts: Vec<&[u8]> = parts.collect();
        let Algorithm::HmacSha256 = self.alg;
        let mac = verify::hmac_sha256(&Secret::new(self.key.clone()), &parts);
        let mac = match self.encoding {
            Encoding::Hex => hex::encode(mac),
            Encoding::Base64 => STANDARD.encode(mac),
        };
        let name = self.header.parse::<HeaderName>().ok();
        let value = HeaderValue::from_str(&format!("{}{mac}", self.prefix)).ok();
        if let (Some(name), Some(value)) = (name, value) {
            request.headers.insert(name, value);
        }
        request
    }
}
