//! What the options of `wechat` and `wecom` have in common, and when it is right.

use patchbay_sdk::{
    options::{Duration, Problems, Secrets},
    sealed::{KEY_CHARS, SealKey},
};

/// An id is an AppID, an account's original id, a CorpID.
pub(crate) fn id(path: &str, id: &str, problems: &mut Problems) {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    let good = (1..=64).contains(&id.len()) && id.bytes().all(is_plain);
    let form = "must have 1 to 64 letters, digits, `_` or `-`";
    problems.require(good, path, form);
}

/// The keys that open sealed pushes.
pub(crate) fn seal_keys(aes_key: &Secrets, problems: &mut Problems) -> Vec<SealKey> {
    problems.secrets("aes_key", aes_key, KEY_CHARS);
    let keys: Vec<SealKey> = aes_key.all().iter().filter_map(SealKey::parse).collect();
    let all_good = keys.len() == aes_key.all().len();
    problems.require(all_good, "aes_key", "must be 43 characters of base64");
    keys
}

pub(crate) fn freshness(freshness: Duration, problems: &mut Problems) {
    let (min, max) = (Duration::secs(30), Duration::days(1));
    problems.between("freshness", freshness, min, max);
}
