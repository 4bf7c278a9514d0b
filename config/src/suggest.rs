//! Turns serde's sentences into ours, with "did you mean".

/// What serde complains about.
pub(crate) enum Complaint {
    /// A key, or an enum's word, that does not exist.
    Unknown { name: String, known: Vec<String> },
    /// A key that must be there.
    Missing { name: String },
    /// A value of the wrong kind or out of range.
    Other,
}

/// Names longer lists would bury what the reader looks for.
const KNOWN_SHOWN_MAX: usize = 12;

/// Reads a message of serde's derived code.
pub(crate) fn classify(message: &str) -> Complaint {
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let name = names.next().unwrap_or_default();
        return Complaint::Unknown {
            name,
            known: names.collect(),
        };
    }
    if message.starts_with("missing field") {
        return Complaint::Missing {
            name: names.next().unwrap_or_default(),
        };
    }
    Complaint::Other
}

/// serde's and the standard library's sentences about a value, for people who do not write Rust. What was found is
/// left out if it comes from the environment, where it may be a secret at the wrong name.
pub(crate) fn plain(sentence: &str, is_from_env: bool) -> String {
    match sentence {
        "invalid socket address syntax" => {
            return "an address with a port is needed, like \"127.0.0.1:8080\"".to_owned();
        }
        "invalid IP address syntax" => return "an IP address is needed".to_owned(),
        _ => {}
    }
    let invalid = sentence
        .strip_prefix("invalid type: ")
        .or_else(|| sentence.strip_prefix("invalid value: "));
    let Some((found, expected)) = invalid.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return sentence.to_owned();
    };
    let expected = match expected {
        "u8" => "a whole number up to 255",
        "u16" => "a whole number up to 65535",
        "u32" | "u64" | "usize" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    if is_from_env {
        return format!("expected {expected}");
    }
    let found = found
        .replacen("sequence", "a list", 1)
        .replacen("map", "a table", 1);
    format!("expected {expected}, found {found}")
}

/// The known name that was probably meant.
pub(crate) fn closest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|known| {
            (
                strsim::normalized_damerau_levenshtein(&name.to_lowercase(), known),
                known,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// The hint under an unknown name: "did you mean", or what there is.
#[must_use]
pub fn hint<'k>(name: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    if let Some(meant) = closest(name, known.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let known: Vec<_> = known
        .into_iter()
        .map(|known| format!("`{known}`"))
        .collect();
    match known.len() {
        0 => "nothing is known here".to_owned(),
        n if n > KNOWN_SHOWN_MAX => {
            format!(
                "known are {} and {} more",
                known[..KNOWN_SHOWN_MAX].join(", "),
                n - KNOWN_SHOWN_MAX
            )
        }
        _ => format!("known are {}", known.join(", ")),
    }
}
