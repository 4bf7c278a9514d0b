//! Who is let in: the check of our address, and pushes, open or sealed.
//!
//! <https://developers.weixin.qq.com/doc/offiaccount/Basic_Information/Access_Overview.html>

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use patchbay_message::Time;
use patchbay_sdk::{
    Cx, Decoded, HttpIn, Reject, Reply, Verified,
    options::Secrets,
    sealed::SealKey,
    tree::{self, Tree},
    verify,
};

use super::options::{Mode, Options};

/// Bytes of what WeChat wants back when it checks our address.
const ECHO_BYTES_MAX: usize = 512;
/// Digits of a time in seconds; it has ten until the year 2286.
const TIMESTAMP_DIGITS_MAX: usize = 12;

/// What a push is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Xml,
    Json,
}

/// What is signed beside the token.
pub(crate) struct Signed<'a> {
    timestamp: Cow<'a, str>,
    nonce: Cow<'a, str>,
}

/// A push that was let in, not yet read.
pub(super) struct Letter<'a> {
    pub(super) proof: Verified,
    pub(super) body: Cow<'a, [u8]>,
    pub(super) format: Format,
    pub(super) is_sealed: bool,
}

impl Letter<'_> {
    pub(super) fn read(&self) -> Result<Tree<'_>, Reject> {
        match self.format {
            Format::Xml => tree::parse_xml(&self.body),
            Format::Json => tree::parse_json(&self.body),
        }
    }
}

/// Answers the check of our address, once its signature is good.
pub(super) fn check_address(
    options: &Options,
    cx: &Cx<'_>,
    request: &HttpIn<'_>,
) -> Result<Decoded, Reject> {
    let signed = Signed::of(request)?;
    let proof = signed.check(&options.token, request)?;
    signed.fresh(options.freshness.get(), cx)?;
    let echo = request.query_value("echostr");
    let echo = echo.ok_or_else(|| Reject::Malformed("`echostr` is missing".to_owned()))?;
    if echo.len() > ECHO_BYTES_MAX {
        let sentence = format!("`echostr` of {ECHO_BYTES_MAX} bytes at most");
        return Err(Reject::TooLarge(sentence));
    }
    Ok(Decoded::answer(proof, plain(&echo)))
}

/// Lets a push in, and opens it if it is sealed.
pub(super) fn push<'a>(
    options: &Options,
    keys: &[SealKey],
    cx: &Cx<'_>,
    request: &HttpIn<'a>,
) -> Result<Letter<'a>, Reject> {
    if request.body.len() > tree::BYTES_MAX {
        let sentence = format!("a push of {} bytes at most", tree::BYTES_MAX);
        return Err(Reject::TooLarge(sentence));
    }
    let signed = Signed::of(request)?;
    let is_sealed = match request.query_value("encrypt_type").as_deref() {
        None | Some("" | "raw") => false,
        Some("aes") => true,
        Some(_) => return Err(Reject::Unauthorized),
    };
    let format = format_of(request.body);
    if !is_sealed {
        let proof = signed.check(&options.token, request)?;
        signed.fresh(options.freshness.get(), cx)?;
        if options.mode == Mode::Safe {
            let sentence =
                "an open push, and `mode` is `safe`: choose the same mode in WeChat's console";
            return Err(Reject::Forbidden(sentence.to_owned()));
        }
        let body = Cow::Borrowed(request.body);
        return Ok(Letter {
            proof,
            body,
            format,
            is_sealed,
        });
    }
    let envelope = Letter {
        proof: verify::none("not yet verified, and read for nothing but what is sealed"),
        body: Cow::Borrowed(request.body),
        format,
        is_sealed,
    };
    let envelope = envelope.read()?;
    let sealed = envelope.text_of("Encrypt").ok_or(Reject::Unauthorized)?;
    let proof = signed.check_sealed(&options.token, request, sealed)?;
    signed.fresh(options.freshness.get(), cx)?;
    if options.mode == Mode::Plain {
        let sentence =
            "a sealed push, and `mode` is `plain`: choose the same mode in WeChat's console";
        return Err(Reject::Forbidden(sentence.to_owned()));
    }
    let opened = keys
        .iter()
        .find_map(|key| key.open(sealed, options.receiver()).ok());
    // Signed by our token, and sealed for somebody else or under another key.
    let body = opened.ok_or(Reject::Unauthorized)?;
    Ok(Letter {
        proof,
        format: format_of(&body),
        body: Cow::Owned(body),
        is_sealed,
    })
}

impl<'a> Signed<'a> {
    pub(crate) fn of(request: &HttpIn<'a>) -> Result<Self, Reject> {
        let value = |name| request.query_value(name).ok_or(Reject::Unauthorized);
        Ok(Self {
            timestamp: value("timestamp")?,
            nonce: value("nonce")?,
        })
    }

    /// The signature of an address or an open push. It does not cover the body: TLS, `freshness` and
    /// the keys by which repeats are known have to do.
    fn check(&self, tokens: &Secrets, request: &HttpIn<'_>) -> Result<Verified, Reject> {
        let given = request
            .query_value("signature")
            .ok_or(Reject::Unauthorized)?;
        let parts = [self.timestamp.as_bytes(), self.nonce.as_bytes()];
        verify::check_sorted_sha1(tokens.all(), parts, &given)
    }

    /// `signature` must not be looked at when a push is sealed: it covers none of it.
    pub(crate) fn check_sealed(
        &self,
        tokens: &Secrets,
        request: &HttpIn<'_>,
        sealed: &str,
    ) -> Result<Verified, Reject> {
        let given = request
            .query_value("msg_signature")
            .ok_or(Reject::Unauthorized)?;
        let parts = [
            self.timestamp.as_bytes(),
            self.nonce.as_bytes(),
            sealed.as_bytes(),
        ];
        verify::check_sorted_sha1(tokens.all(), parts, &given)
    }

    pub(crate) fn fresh(&self, freshness: Duration, cx: &Cx<'_>) -> Result<(), Reject> {
        let is_number = !self.timestamp.is_empty()
            && self.timestamp.len() <= TIMESTAMP_DIGITS_MAX
            && self.timestamp.bytes().all(|b| b.is_ascii_digit());
        let seconds = is_number
            .then(|| self.timestamp.parse::<i64>().ok())
            .flatten();
        let at = Time::from_ms(seconds.ok_or(Reject::Unauthorized)?.saturating_mul(1000));
        let apart: Duration = if at > cx.now {
            at.since(cx.now)
        } else {
            cx.now.since(at)
        };
        if apart >= freshness {
            return Err(Reject::Stale);
        }
        Ok(())
    }
}

/// What WeChat reads, letter by letter.
pub(crate) fn plain(text: &str) -> Reply {
    let fixed = HeaderValue::from_static;
    Reply::Http {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([
            (header::CONTENT_TYPE, fixed("text/plain; charset=utf-8")),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        ]),
        body: text.as_bytes().to_vec(),
    }
}

fn format_of(body: &[u8]) -> Format {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => Format::Json,
        _ => Format::Xml,
    }
}
