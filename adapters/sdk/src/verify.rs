//! Authenticity: the only place where a [`Verified`] can be made. Constant time, on raw bytes.

mod mac;
mod public;

use hmac::{Hmac, KeyInit, Mac};
use patchbay_message::Authenticity;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Reject, Secret};

pub use mac::{Encoding, MacAlgorithm, MacKey, SIGNATURES_MAX, check_mac};
pub use public::{PublicAlgorithm, PublicKey, check_public};

/// Texts under one signature of [`check_sorted_sha1`], its token counted.
const SIGNED_MAX: usize = 4;

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

/// Checks an HMAC-SHA1, which some providers still sign with; see [`check_hmac_sha256`].
///
/// # Errors
/// [`Reject::Unauthorized`] if no key fits.
pub fn check_hmac_sha1(keys: &[Secret], parts: &[&[u8]], given: &[u8]) -> Result<Verified, Reject> {
    let fits = keys.iter().fold(subtle::Choice::from(0), |fits, key| {
        fits | hmac_sha1(key, parts).as_slice().ct_eq(given)
    });
    if fits.into() {
        Ok(Verified(Authenticity::Signature))
    } else {
        Err(Reject::Unauthorized)
    }
}

/// HMAC-SHA1 of the parts, as if they were one text.
#[must_use]
pub fn hmac_sha1(key: &Secret, parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.expose().as_bytes())
        .expect("HMAC takes keys of any length (RFC 2104)");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// SHA-1 over the texts in byte order, joined without anything between them: the signature of WeChat
/// and of those who took it over.
#[must_use]
pub fn sorted_sha1<const N: usize>(mut parts: [&[u8]; N]) -> [u8; 20] {
    parts.sort_unstable();
    let mut sha = Sha1::new();
    for part in parts {
        sha.update(part);
    }
    sha.finalize().into()
}

/// Checks a signature in hex by [`sorted_sha1`] over a token and the parts, against every token
/// (several = rotation), in constant time.
///
/// # Errors
/// [`Reject::Unauthorized`] if no token fits.
pub fn check_sorted_sha1<const N: usize>(
    tokens: &[Secret],
    parts: [&[u8]; N],
    given: &str,
) -> Result<Verified, Reject> {
    let mut digest = [0_u8; 20];
    hex::decode_to_slice(given, &mut digest).map_err(|_| Reject::Unauthorized)?;
    // Three parts at most are signed beside the token.
    let mut all: [&[u8]; SIGNED_MAX] = [&[]; SIGNED_MAX];
    let Some(rest) = all.get_mut(1..=N) else {
        return Err(Reject::Unauthorized);
    };
    rest.copy_from_slice(&parts);
    let fits = tokens.iter().fold(subtle::Choice::from(0), |fits, token| {
        // The empty ones that are left over sort to the front and add nothing.
        all[0] = token.expose().as_bytes();
        fits | sorted_sha1(all).as_slice().ct_eq(digest.as_slice())
    });
    if fits.into() {
        Ok(Verified(Authenticity::Signature))
    } else {
        Err(Reject::Unauthorized)
    }
}

/// Checks a password or a bearer token against every one that is accepted (several = rotation).
/// Digests are compared, so that time tells nothing, not even a length.
///
/// # Errors
/// [`Reject::Unauthorized`] if none fits.
pub fn by_password(accepted: &[Secret], given: &[u8]) -> Result<Verified, Reject> {
    let given = digest(given);
    let fits = accepted
        .iter()
        .fold(subtle::Choice::from(0), |fits, secret| {
            fits | digest(secret.expose().as_bytes())
                .as_slice()
                .ct_eq(given.as_slice())
        });
    if fits.into() {
        Ok(Verified(Authenticity::Token))
    } else {
        Err(Reject::Unauthorized)
    }
}

/// SHA-256, under which a secret can be looked up without comparing the secret itself.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The transport has checked the certificate; it must be the one that is expected.
///
/// # Errors
/// [`Reject::Unauthorized`] for another name, or for no certificate.
pub fn by_certificate(expected: &str, common_name: Option<&str>) -> Result<Verified, Reject> {
    if common_name == Some(expected) {
        Ok(Verified(Authenticity::Tls))
    } else {
        Err(Reject::Unauthorized)
    }
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

/// What a provider answers to our own request is as good as the address that was asked.
#[must_use]
pub fn by_answer(url: &str) -> Verified {
    Verified(match url.starts_with("https://") {
        true => Authenticity::Tls,
        false => Authenticity::None,
    })
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
