//! Messages sealed under an `EncodingAESKey`, as WeChat, WeCom and others that took it over send them:
//! AES-256-CBC over 16 random bytes, the length, the message and whom it is for.
//!
//! <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html>
//!
//! Sealing proves nothing (CBC has no MAC): verify the signature over the sealed text first.

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::NoPadding};
use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use zeroize::Zeroizing;

use crate::Secret;

/// Characters of an `EncodingAESKey`.
pub const KEY_CHARS: usize = 43;
/// Padding fills up to a multiple of this, although AES has blocks of 16 (PKCS#7 with block 32).
const PAD_BLOCK: usize = 32;
const AES_BLOCK: usize = 16;
const RANDOM_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;

/// 43 characters of base64 leave two bits over. The providers' own sample keys have them set, which
/// a strict decoder refuses.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that opens and seals.
pub struct SealKey(Zeroizing<[u8; 32]>);

/// It does not open: another key, another receiver, or not sealed at all. One error for all, so that
/// nobody learns which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not open")]
pub struct Unreadable;

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

impl SealKey {
    /// The key of an `EncodingAESKey`; none if it is not 43 characters of base64.
    #[must_use]
    pub fn parse(text: &Secret) -> Option<Self> {
        let text = text.expose();
        if text.len() != KEY_CHARS {
            return None;
        }
        let mut key = Zeroizing::new([0_u8; 32]);
        let n = LENIENT.decode_slice(text, key.as_mut_slice()).ok()?;
        (n == key.len()).then_some(Self(key))
    }

    /// Opens what was sealed for `receiver`.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn open(&self, sealed: &str, receiver: &str) -> Result<Vec<u8>, Unreadable> {
        let mut bytes = STANDARD.decode(sealed).map_err(|_| Unreadable)?;
        if bytes.is_empty() || bytes.len() % AES_BLOCK != 0 {
            return Err(Unreadable);
        }
        let cipher = cbc::Decryptor::<aes::Aes256>::new((&*self.0).into(), self.iv().into());
        cipher
            .decrypt_padded::<NoPadding>(&mut bytes)
            .map_err(|_| Unreadable)?;
        let message = message_in(&bytes, receiver).ok_or(Unreadable)?;
        bytes.truncate(message.end);
        bytes.drain(..message.start);
        Ok(bytes)
    }

    /// Seals a message for `receiver`.
    ///
    /// # Panics
    /// Past 4 GiB, which no transport carries.
    #[must_use]
    pub fn seal(&self, random: [u8; RANDOM_BYTES], message: &[u8], receiver: &str) -> String {
        let length = u32::try_from(message.len()).expect("no answer has 4 GiB");
        let plain = RANDOM_BYTES + LENGTH_BYTES + message.len() + receiver.len();
        let pad = PAD_BLOCK - plain % PAD_BLOCK;
        let mut bytes = Vec::with_capacity(plain + pad);
        bytes.extend_from_slice(&random);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(receiver.as_bytes());
        let fill = u8::try_from(pad).expect("a pad has 32 bytes at most");
        bytes.resize(plain + pad, fill);
        let n = bytes.len();
        cbc::Encryptor::<aes::Aes256>::new((&*self.0).into(), self.iv().into())
            .encrypt_padded::<NoPadding>(&mut bytes, n)
            .expect("whole blocks need no padding");
        STANDARD.encode(bytes)
    }

    fn iv(&self) -> &[u8; AES_BLOCK] {
        self.0.first_chunk().expect("a key has 32 bytes")
    }
}

/// Where the message stands in what was opened, if all of it is as it should be.
fn message_in(bytes: &[u8], receiver: &str) -> Option<std::ops::Range<usize>> {
    let pad = usize::from(*bytes.last()?);
    if !(1..=PAD_BLOCK).contains(&pad) {
        return None;
    }
    let (plain, padding) = bytes.split_at_checked(bytes.len().checked_sub(pad)?)?;
    if padding.iter().any(|byte| usize::from(*byte) != pad) {
        return None;
    }
    let (length, rest) = plain
        .get(RANDOM_BYTES..)?
        .split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (_, found) = rest.split_at_checked(length)?;
    let start = RANDOM_BYTES + LENGTH_BYTES;
    (found == receiver.as_bytes()).then_some(start..start + length)
}

#[cfg(test)]
mod tests;
