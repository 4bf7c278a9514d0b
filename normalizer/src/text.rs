//! Text for people: NFC, newlines as `\n`, no control characters, cut at a bound.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Cleans text of several lines. Says whether it had to be cut to `bytes_max`.
pub(crate) fn clean(text: String, bytes_max: usize) -> (String, bool) {
    let mut text = if is_clean(&text) {
        text
    } else {
        rewrite(&text)
    };
    let cut = text.len() > bytes_max;
    if cut {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    (text, cut)
}

/// Cleans a text of one line: a name, a label.
pub(crate) fn line(text: String, bytes_max: usize) -> String {
    let one_line = if text.contains(['\n', '\r', '\t']) {
        text.replace(['\n', '\r', '\t'], " ")
    } else {
        text
    };
    let (clean, _) = clean(one_line, bytes_max);
    match clean.trim() {
        trimmed if trimmed.len() == clean.len() => clean,
        trimmed => trimmed.to_owned(),
    }
}

fn is_clean(text: &str) -> bool {
    if text.is_ascii() {
        return !text
            .bytes()
            .any(|b| b == 0x7f || (b < 0x20 && b != b'\n' && b != b'\t'));
    }
    is_nfc_quick(text.chars()) == IsNormalized::Yes && !text.chars().any(is_unwanted)
}

/// Control characters other than newline and tab: U+0000 cannot be stored, the others can garble
/// a log or a terminal.
fn is_unwanted(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

fn rewrite(text: &str) -> String {
    let newlines = text.replace("\r\n", "\n").replace('\r', "\n");
    newlines
        .chars()
        .filter(|c| !is_unwanted(*c))
        .nfc()
        .collect()
}
