//! Signatures that are checked by a public key: nothing here is secret.

use patchbay_message::Authenticity;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{SIGNATURES_MAX, Verified};
use crate::Reject;

/// Bytes of an Ed25519 key (RFC 8032, section 5.1.5).
const ED25519_BYTES: usize = 32;
/// Bytes of an uncompressed point of P-256, which begins with a 4 (SEC 1, section 2.3.3).
const P256_BYTES: usize = 65;
/// What stands in front of that point in a `SubjectPublicKeyInfo` (RFC 5480, section 2).
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// How a signature by a private key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PublicAlgorithm {
    /// Ed25519 (RFC 8032).
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-256 over SHA-256, the signature in DER.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// RSA, PKCS#1 v1.5 over SHA-256, keys of 2048 bits and more.
    #[serde(rename = "rsa-sha256")]
    RsaSha256,
}

/// A public key, ready for use.
#[derive(Debug, Clone)]
pub struct PublicKey {
    algorithm: PublicAlgorithm,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// The key of these bytes: for Ed25519 the key itself, for P-256 the point or its
    /// `SubjectPublicKeyInfo`, for RSA a PKCS#1 `RSAPublicKey`. None if they are too short or too
    /// long for one; whether an RSA key is one shows when it is used.
    #[must_use]
    pub fn parse(algorithm: PublicAlgorithm, bytes: &[u8]) -> Option<Self> {
        let bytes = match algorithm {
            PublicAlgorithm::EcdsaP256 => bytes.strip_prefix(P256_SPKI).unwrap_or(bytes),
            PublicAlgorithm::Ed25519 | PublicAlgorithm::RsaSha256 => bytes,
        };
        let is_good = match algorithm {
            PublicAlgorithm::Ed25519 => bytes.len() == ED25519_BYTES,
            PublicAlgorithm::EcdsaP256 => bytes.len() == P256_BYTES && bytes.starts_with(&[4]),
            PublicAlgorithm::RsaSha256 => !bytes.is_empty(),
        };
        is_good.then(|| Self {
            algorithm,
            bytes: bytes.to_vec(),
        })
    }

    fn fits(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.algorithm {
            PublicAlgorithm::Ed25519 => &ED25519,
            PublicAlgorithm::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            PublicAlgorithm::RsaSha256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        let key = UnparsedPublicKey::new(algorithm, &self.bytes);
        key.verify(message, signature).is_ok()
    }
}

/// Checks the signatures that were given over the parts against every key (several = rotation): one
/// that fits is enough. Of more than [`SIGNATURES_MAX`] the first ones are looked at.
///
/// # Errors
/// [`Reject::Unauthorized`] if none fits.
pub fn check_public(
    keys: &[PublicKey],
    parts: &[&[u8]],
    given: &[Vec<u8>],
) -> Result<Verified, Reject> {
    let message = parts.concat();
    let mut given = given.iter().take(SIGNATURES_MAX);
    if given.any(|given| keys.iter().any(|key| key.fits(&message, given))) {
        Ok(Verified(Authenticity::Signature))
    } else {
        Err(Reject::Unauthorized)
    }
}
