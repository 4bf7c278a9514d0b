//! Authenticity: the only place where a [`Verified`] can be made. Constant time, on raw bytes.

use hmac::{Hmac, KeyInit, Mac};
use patchbay_message::Authenticity;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{Reject, Secret};

/// Proof that what came in was verified, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified(Authenticity);

impl Verified {
    /// How it was verified.
    #[must_use]
    pub fn authenticity(&self) -> &Authenticity {
        &self.0
    }
}

/// HMAC-SHA256 of the parts, as if they were one text.
#[must_use]
pub fn hmac_sha256(key: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    mac(key, parts).finalize().into_bytes().into()
}

/// Checks an HMAC-SHA256 against every key (several = rotation), in constant time.
///
/// # Errors
/// [`Reject::Unauthorized`] if no key fits.
pub fn check_hmac_sha256(
    keys: &[Secret],
    parts: &[&[u8]],
    given: &[u8],
) -> Result<Verified, Reject> {
    // Every key is tried, so that time does not tell which one fits.
    let fits = keys.iter().fold(subtle::Choice::from(0), |fits, key| {
        fits | hmac_sha256(key, parts).as_slice().ct_eq(given)
    });
    if fits.into() {
        Ok(Verified(Authenticity::Signature))
    } else {
        Err(Reject::Unauthorized)
    }
}

/// Checks a token we issued under our own HMAC; see [`check_hmac_sha256`].
///
/// # Errors
/// [`Reject::Unauthorized`] if no key fits.
pub fn check_own_token(keys: &[Secret], parts: &[&[u8]], given: &[u8]) -> Result<Verified, Reject> {
    check_hmac_sha256(keys, parts, given).map(|_| Verified(Authenticity::Token))
}

/// The connection was verified when it opened; its frames need no proof of their own.
#[must_use]
pub fn by_connection(session: &crate::Session) -> Option<Verified> {
    session
        .party
        .is_some()
        .then_some(Verified(Authenticity::Token))
}

/// What came in over a link to a broker is as good as the link: TLS or our login there.
///
/// # Errors
/// [`Reject::Unauthorized`] for a link that proves nothing.
pub fn by_link(proof: crate::MqttProof) -> Result<Verified, Reject> {
    match proof {
        crate::MqttProof::Tls => Ok(Verified(Authenticity::Tls)),
        crate::MqttProof::Login => Ok(Verified(Authenticity::Token)),
        crate::MqttProof::Session | crate::MqttProof::None => Err(Reject::Unauthorized),
    }
}

/// Not verified, for the reason given in the channel's file or because the request only asks for
/// an anonymous identity and carries no message.
#[must_use]
pub fn none(_reason: &str) -> Verified {
    Verified(Authenticity::None)
}

fn mac(key: &Secret, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .expect("HMAC takes keys of any length (RFC 2104)");
    for part in parts {
        mac.update(part);
    }
    mac
}
