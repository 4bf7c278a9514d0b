//! MACs of which a channel's file says the algorithm, the key's form and how many may be given.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit, Mac};
use patchbay_message::Authenticity;
use schemars::JsonSchema;
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::Verified;
use crate::{Reject, Secret};

/// Signatures of one request that are looked at: a sender that rotates its keys gives two.
pub const SIGNATURES_MAX: usize = 8;

/// Providers print keys of base64 with and without padding, and with bits left over.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// How a MAC is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum MacAlgorithm {
    /// HMAC over SHA-1, which some providers still sign with.
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    /// HMAC over SHA-256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC over SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

/// How the bytes of a key or signature are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As the text's own bytes.
    #[default]
    Utf8,
    /// In hex, small or capital letters.
    Hex,
    /// In base64, of either alphabet, with or without padding.
    Base64,
}

impl Encoding {
    /// The bytes; none if the text is not written so.
    #[must_use]
    pub fn read(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Utf8 => Some(text.as_bytes().to_vec()),
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => {
                let alphabet = if text.contains(['-', '_']) {
                    &URL_SAFE
                } else {
                    &STANDARD
                };
                GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
            }
        }
    }
}

/// A key, ready for use; Debug does not show it.
pub struct MacKey {
    algorithm: MacAlgorithm,
    bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MacKey").field(&self.algorithm).finish()
    }
}

impl MacKey {
    /// The key of a secret that is written so; none if it is not, or says nothing.
    #[must_use]
    pub fn parse(algorithm: MacAlgorithm, secret: &Secret, encoding: Encoding) -> Option<Self> {
        let bytes = Zeroizing::new(encoding.read(secret.expose())?);
        (!bytes.is_empty()).then_some(Self { algorithm, bytes })
    }

    /// The MAC of the parts, as if they were one text.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        match self.algorithm {
            MacAlgorithm::HmacSha1 => of::<Hmac<Sha1>>(&self.bytes, parts),
            MacAlgorithm::HmacSha256 => of::<Hmac<Sha256>>(&self.bytes, parts),
            MacAlgorithm::HmacSha512 => of::<Hmac<Sha512>>(&self.bytes, parts),
        }
    }
}

/// Checks the MACs that were given against every key (several = rotation), in constant time: one
/// that fits is enough. Of more than [`SIGNATURES_MAX`] the first ones are looked at.
///
/// # Errors
/// [`Reject::Unauthorized`] if none fits.
pub fn check_mac(keys: &[MacKey], parts: &[&[u8]], given: &[Vec<u8>]) -> Result<Verified, Reject> {
    let mut fits = Choice::from(0);
    // All are compared, so that time does not tell which one fits.
    for key in keys {
        let mac = key.mac(parts);
        for given in given.iter().take(SIGNATURES_MAX) {
            fits |= mac.as_slice().ct_eq(given);
        }
    }
    if fits.into() {
        Ok(Verified(Authenticity::Signature))
    } else {
        Err(Reject::Unauthorized)
    }
}

fn of<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac =
        <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104)");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}
