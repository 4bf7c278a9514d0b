//! Signatures and sealing as the platform does them: SHA-1 over sorted parts, AES-256-CBC with its own
//! padding. Written beside the gateway's, on purpose: two who agree by sharing code prove nothing.
//!
//! <https://developers.weixin.qq.com/doc/subscription/guide/dev/push/encryption.html>

use aes::Aes256;
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use cbc::cipher::{
    BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding,
};
use sha1::{Digest as _, Sha1};

/// The platform pads to whole blocks of 32 bytes, although AES has blocks of 16.
const PAD: usize = 32;
/// Random bytes in front of what is sealed.
const RANDOM: usize = 16;

/// Keys people type have any last character: its spare bits need not be zero.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an account and its callback share: signs and seals.
#[derive(Clone)]
pub struct Seal {
    token: String,
    key: [u8; 32],
    receiver: String,
}

impl Seal {
    /// With the callback's token, its `EncodingAESKey` and who receives (the app id; of WeCom the corp
    /// id).
    ///
    /// # Panics
    /// If the key is not the base64 of 32 bytes in 43 characters.
    #[must_use]
    pub fn new(token: &str, encoding_aes_key: &str, receiver: &str) -> Self {
        let key = LENIENT.decode(encoding_aes_key).ok();
        let key = key.and_then(|key| <[u8; 32]>::try_from(key).ok());
        Self {
            token: token.to_owned(),
            key: key.expect("an EncodingAESKey has 43 characters of base64"),
            receiver: receiver.to_owned(),
        }
    }

    /// The signature over the token and these parts, in hex.
    #[must_use]
    pub fn sign(&self, parts: &[&str]) -> String {
        let mut parts = [&[self.token.as_str()], parts].concat();
        parts.sort_unstable();
        hex::encode(Sha1::digest(parts.concat()))
    }

    /// Seals with random bytes.
    #[must_use]
    pub fn seal(&self, plain: &[u8]) -> String {
        self.seal_with(
            plain,
            std::array::from_fn(|_| fastrand::alphanumeric() as u8),
        )
    }

    /// Seals with these random bytes, for comparing with an example.
    ///
    /// # Panics
    /// If there is more than a message can have, 4 GiB.
    #[must_use]
    pub fn seal_with(&self, plain: &[u8], random: [u8; RANDOM]) -> String {
        let length = u32::try_from(plain.len()).expect("messages are small");
        let mut bytes = random.to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend(plain);
        bytes.extend(self.receiver.as_bytes());
        let pad = PAD - bytes.len() % PAD;
        bytes.extend(std::iter::repeat_n(
            u8::try_from(pad).expect("at most 32"),
            pad,
        ));
        let length = bytes.len();
        cbc::Encryptor::<Aes256>::new(&self.key.into(), &self.iv().into())
            .encrypt_padded::<NoPadding>(&mut bytes, length)
            .expect("padded already");
        STANDARD_TEXT.encode(bytes)
    }

    /// Opens what was sealed for the same receiver.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn open(&self, sealed: &str) -> Result<Vec<u8>, String> {
        let mut bytes = STANDARD_TEXT
            .decode(sealed)
            .map_err(|_| "not base64".to_owned())?;
        if bytes.is_empty() || bytes.len() % PAD != 0 {
            return Err("not whole blocks".to_owned());
        }
        cbc::Decryptor::<Aes256>::new(&self.key.into(), &self.iv().into())
            .decrypt_padded::<NoPadding>(&mut bytes)
            .map_err(|_| "not whole blocks".to_owned())?;
        let pad = usize::from(bytes[bytes.len() - 1]);
        if !(1..=PAD).contains(&pad)
            || bytes[bytes.len() - pad..]
                .iter()
                .any(|byte| usize::from(*byte) != pad)
        {
            return Err("bad padding".to_owned());
        }
        bytes.truncate(bytes.len() - pad);
        let (head, rest) = bytes.split_at_checked(RANDOM + 4).ok_or("too short")?;
        let length = <[u8; 4]>::try_from(&head[RANDOM..]).expect("four bytes");
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| "too long")?;
        let (plain, receiver) = rest.split_at_checked(length).ok_or("longer than it is")?;
        if receiver != self.receiver.as_bytes() {
            return Err("sealed for somebody else".to_owned());
        }
        Ok(plain.to_vec())
    }

    /// The vector CBC begins with: the first half of the key.
    fn iv(&self) -> [u8; 16] {
        std::array::from_fn(|n| self.key[n])
    }
}

const STANDARD_TEXT: GeneralPurpose = base64::engine::general_purpose::STANDARD;
