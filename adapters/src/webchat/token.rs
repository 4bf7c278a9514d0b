//! A visitor's token: `v1.<payload>.<HMAC-SHA256>`, both base64url.
//!
//! The MAC covers a label, the channel's id and the text in front of it, so that neither another
//! channel's token nor another thing signed under the same secret fits.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use patchbay_message::{Party, Time};
use patchbay_sdk::{Cx, Reject, Secret, Verified, options::Secrets, parse_object, verify};
use serde::{Deserialize, Serialize};

/// Bytes of a whole token; the longest we make has far fewer.
const TOKEN_BYTES_MAX: usize = 2048;
/// What is signed is a visitor's token and nothing else.
const LABEL: &[u8] = b"patchbay-visitor\n";

/// Whoever a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visitor {
    pub(super) address: String,
    pub(super) verified: bool,
    pub(super) name: Option<String>,
    pub(super) locale: Option<String>,
    pub(super) expires_at: Time,
}

/// `{"a":"anon:5f..","e":1700000000,"v":false,"n":"Alice","l":"en"}`; `e` in Unix seconds.
#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(rename = "a")]
    address: String,
    #[serde(rename = "e")]
    expires_at_s: i64,
    #[serde(rename = "v")]
    verified: bool,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
}

impl Visitor {
    pub(super) fn sign(&self, secret: &Secret, cx: &Cx<'_>) -> String {
        let payload = serde_json::to_vec(&Payload {
            address: self.address.clone(),
            expires_at_s: self.expires_at.as_ms() / 1000,
            verified: self.verified,
            name: self.name.clone(),
            locale: self.locale.clone(),
        })
        .expect("texts and numbers are JSON");
        let signed = format!("v1.{}", URL_SAFE_NO_PAD.encode(payload));
        let mac = verify::hmac_sha256(secret, &signed_parts(cx.channel, &signed));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// Verifies the bytes first, then reads them.
    pub(super) fn read(
        secrets: &Secrets,
        cx: &Cx<'_>,
        token: &str,
    ) -> Result<(Self, Verified), Reject> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Reject::Unauthorized);
        }
        let (signed, mac) = token.rsplit_once('.').ok_or(Reject::Unauthorized)?;
        let mac = URL_SAFE_NO_PAD
            .decode(mac)
            .map_err(|_| Reject::Unauthorized)?;
        let proof =
            verify::check_own_token(secrets.all(), &signed_parts(cx.channel, signed), &mac)?;
        let payload = signed.strip_prefix("v1.").ok_or(Reject::Unauthorized)?;
        let payload = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| Reject::Unauthorized)?;
        let payload: Payload = parse_object(&payload).map_err(|_| Reject::Unauthorized)?;
        let visitor = Self {
            address: payload.address,
            verified: payload.verified,
            name: payload.name,
            locale: payload.locale,
            expires_at: Time::from_ms(payload.expires_at_s.saturating_mul(1000)),
        };
        if visitor.expires_at <= cx.now {
            return Err(Reject::Stale);
        }
        Ok((visitor, proof))
    }

    pub(super) fn party(&self) -> Party {
        Party {
            address: self.address.clone(),
            name: self.name.clone(),
            locale: self.locale.clone(),
            verified: self.verified,
            ..Party::default()
        }
    }
}

fn signed_parts<'a>(channel: &'a str, signed: &'a str) -> [&'a [u8]; 4] {
    [LABEL, channel.as_bytes(), b"\n", signed.as_bytes()]
}
