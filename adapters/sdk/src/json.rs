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

/// Reads a JSON object into a type. serde itself would take a list of the fields' values too.
///
/// # Errors
/// As [`parse_json`].
pub fn parse_object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Reject> {
    match bytes.trim_ascii_start().first() {
        Some(b'[') => Err(Reject::Malformed("expected an object".to_owned())),
        _ => parse_json(bytes),
    }
}

/// Reads again, slowly, to learn which field is to blame.
fn blame<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Reject {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Reject::Malformed(match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Ok(_) => "more follows after the JSON".to_owned(),
        Err(error) if !error.inner().is_data() => {
            let (line, column) = (error.inner().line(), error.inner().column());
            format!("not JSON at line {line}, column {column}")
        }
        Err(error) => match (
            error.path().to_string().as_str(),
            without_values(error.inner()),
        ) {
            (".", sentence) => sentence,
            (field, sentence) => format!("`{field}`: {sentence}"),
        },
    })
}

/// serde says "invalid type: string "what was sent", expected u64 at line 1 column 9": only what
/// was expected is kept, in words.
fn without_values(error: &serde_json::Error) -> String {
    let sentence = error.to_string();
    let sentence = sentence
        .rsplit_once(" at line ")
        .map_or(sentence.as_str(), |(start, _)| start);
    let Some((_, expected)) = sentence.rsplit_once("expected ") else {
        return sentence.to_owned();
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("expected {expected}")
}
