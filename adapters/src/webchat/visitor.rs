//! `POST /visitor`: who comes gets a token.

use http::StatusCode;
use patchbay_message::Time;
use patchbay_sdk::{Cx, Decoded, Reject, Reply, Verified, parse_object, verify};
use serde::{Deserialize, Serialize};

use super::{Options, token::Visitor};

/// Bytes of a user id of yours: it becomes a visitor's address.
const USER_ID_BYTES_MAX: usize = 128;
/// Characters of a name somebody gives themselves.
const NAME_CHARS_MAX: usize = 80;
/// RFC 5646, section 4.4.1.
const LOCALE_BYTES_MAX: usize = 35;

/// `{"token":"v1...","identity":{...},"locale":"en","name":"Alice"}`, all optional.
#[derive(Default, Deserialize)]
struct Ask {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    identity: Option<Identity>,
    #[serde(default)]
    locale: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// `{"user_id":"4711","expires_at":1700000000,"mac":"5f..","name":"Alice"}`, from the page's server.
#[derive(Deserialize)]
struct Identity {
    user_id: String,
    expires_at: UnixSeconds,
    mac: String,
    #[serde(default)]
    name: Option<String>,
}

/// As a number or as text: what was signed is the text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected Unix seconds, a whole number")]
enum UnixSeconds {
    Number(u64),
    Text(String),
}

/// `{"token":..,"visitor":..,"verified":..,"expires_at":..,"greeting"?,"name"?,"uploads":{..}}`
#[derive(Serialize)]
struct Admitted<'a> {
    token: String,
    visitor: &'a str,
    verified: bool,
    expires_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    greeting: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    uploads: UploadsOut<'a>,
}

#[derive(Serialize)]
struct UploadsOut<'a> {
    bytes_max: u64,
    types: &'a [String],
}

pub(super) fn decode(options: &Options, cx: &Cx<'_>, body: &[u8]) -> Result<Decoded, Reject> {
    let ask: Ask = if body.is_empty() {
        Ask::default()
    } else {
        parse_object(body)?
    };
    check_words(&ask)?;
    let (mut visitor, proof) = admit(options, cx, &ask)?;
    visitor.name = ask
        .name
        .or(ask.identity.and_then(|identity| identity.name))
        .or(visitor.name);
    visitor.locale = ask.locale.or(visitor.locale);
    let secret = options.token_secrets.newest().ok_or(Reject::Unauthorized)?;
    let admitted = Admitted {
        token: visitor.sign(secret, cx),
        visitor: &visitor.address,
        verified: visitor.verified,
        expires_at: visitor.expires_at,
        greeting: options.greeting.as_deref(),
        name: options.name.as_deref(),
        uploads: UploadsOut {
            bytes_max: options.uploads.bytes_max.get(),
            types: &options.uploads.types,
        },
    };
    let body = serde_json::to_value(admitted).expect("texts and numbers are JSON");
    Ok(Decoded::answer(proof, Reply::json(StatusCode::OK, &body)))
}

fn admit(options: &Options, cx: &Cx<'_>, ask: &Ask) -> Result<(Visitor, Verified), Reject> {
    // Whole seconds, as in the token.
    let expires_at = cx.now.plus(options.token_ttl.get()).as_ms() / 1000 * 1000;
    let new = |address: String, verified: bool| Visitor {
        address,
        verified,
        name: None,
        locale: None,
        expires_at: Time::from_ms(expires_at),
    };
    if let Some(identity) = &ask.identity {
        let proof = prove(options, cx, identity)?;
        return Ok((new(format!("user:{}", identity.user_id), true), proof));
    }
    if let Some(token) = &ask.token {
        let (visitor, proof) = Visitor::read(&options.token_secrets, cx, token)?;
        // Who was proven by the page's server has to be proven by it again in the end.
        let expires_at = if visitor.verified {
            visitor.expires_at
        } else {
            Time::from_ms(expires_at)
        };
        return Ok((
            Visitor {
                expires_at,
                ..visitor
            },
            proof,
        ));
    }
    let mut random = [0_u8; 16];
    cx.random.fill(&mut random);
    let proof = verify::none("asks for an anonymous identity and carries no message");
    Ok((new(format!("anon:{}", hex::encode(random)), false), proof))
}

/// The MAC covers `user_id`, a newline and `expires_at` as written.
fn prove(options: &Options, cx: &Cx<'_>, identity: &Identity) -> Result<Verified, Reject> {
    if options.identity_secrets.all().is_empty() {
        let sentence = "`identity`: this channel has no `identity_secrets`";
        return Err(Reject::Malformed(sentence.to_owned()));
    }
    let expires_at = match &identity.expires_at {
        UnixSeconds::Number(number) => number.to_string(),
        UnixSeconds::Text(text) => text.clone(),
    };
    let mac = hex::decode(&identity.mac).map_err(|_| Reject::Unauthorized)?;
    let parts = [identity.user_id.as_bytes(), b"\n", expires_at.as_bytes()];
    let proof = verify::check_hmac_sha256(options.identity_secrets.all(), &parts, &mac)?;
    let seconds: i64 = expires_at.parse().map_err(|_| Reject::Unauthorized)?;
    if Time::from_ms(seconds.saturating_mul(1000)) <= cx.now {
        return Err(Reject::Stale);
    }
    let id = &identity.user_id;
    if id.is_empty() || id.len() > USER_ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Reject::Malformed(format!(
            "`identity.user_id` must have 1 to {USER_ID_BYTES_MAX} bytes and no control characters"
        )));
    }
    Ok(proof)
}

fn check_words(ask: &Ask) -> Result<(), Reject> {
    let identity_name = ask
        .identity
        .as_ref()
        .and_then(|identity| identity.name.as_ref());
    for (field, name) in [
        ("name", ask.name.as_ref()),
        ("identity.name", identity_name),
    ] {
        if name.is_some_and(|name| name.chars().count() > NAME_CHARS_MAX) {
            let sentence = format!("`{field}` must have {NAME_CHARS_MAX} characters at most");
            return Err(Reject::Malformed(sentence));
        }
    }
    if ask
        .locale
        .as_ref()
        .is_some_and(|locale| locale.len() > LOCALE_BYTES_MAX)
    {
        let sentence = format!("`locale` must have {LOCALE_BYTES_MAX} bytes at most");
        return Err(Reject::Malformed(sentence));
    }
    Ok(())
}
