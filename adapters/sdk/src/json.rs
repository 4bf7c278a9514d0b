//! Reading JSON so that the sender learns which field is wrong.

use serde::Deserialize;

use crate::Reject;

/// Reads JSON into a type.
///
/// # Errors
/// [`Reject::Malformed`] with the path of the field. The sentence never repeats what was sent: it
/// may be logged, and bodies are not.
pub fn parse_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Reject> {
    serde_json::from_slice(bytes).map_err(|_| blame::<T>(bytes))
}

/// Reads again, slowly, to learn which field is to blame.
fn blame<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Reject {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(error) => {
            let sentence = without_values(&error.inner().to_string());
            Reject::Malformed(format!("`{}`: {sentence}", error.path()))
        }
        Ok(_) => Reject::Malformed("`.`: more follows after the JSON".to_owned()),
    }
}

/// serde says "invalid type: string "what was sent", expected u64": only the end is kept.
fn without_values(sentence: &str) -> String {
    match sentence.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => sentence.to_owned(),
    }
}
