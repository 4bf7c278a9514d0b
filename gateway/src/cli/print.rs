//! What client commands print: tables for people, JSON for programs.

use std::io::{self, Write};

use serde_json::Value;

/// Prints a line. A reader that has gone away is no mistake: there is nobody to tell.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => Ok(done?),
    }
}

/// Prints a value as JSON.
pub(super) fn json(value: &Value) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Prints rows under their headings, each column as wide as its widest text.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    let width = |n: usize| {
        let texts = rows.iter().filter_map(|row| row.get(n));
        let widest = texts.map(|text| text.chars().count()).max();
        widest.unwrap_or(0).max(heads[n].len())
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let print = |row: &[String]| {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(cell);
            let gap = width.saturating_sub(cell.chars().count()) + 2;
            text.extend(std::iter::repeat_n(' ', gap));
        }
        line(text.trim_end())
    };
    let heads: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
    print(&heads)?;
    rows.iter().try_for_each(|row| print(row))
}

/// A field as text: empty for what is not there. What came from outside cannot move the cursor or
/// change colours.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    let text = match value.pointer(pointer) {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    plain(&text)
}

/// The same for any text.
pub(super) fn plain(text: &str) -> String {
    let show = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(show).collect()
}

/// `1 letter`, `2 letters`.
pub(super) fn count(n: usize, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {what}{s}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_plain_text_whatever_it_holds() {
        let value = json!({ "a": { "b": "x\u{1b}[31m\n" }, "n": 3, "none": null });
        assert_eq!(text(&value, "/a/b"), "x [31m ");
        assert_eq!(text(&value, "/n"), "3");
        assert_eq!(text(&value, "/none"), "");
        assert_eq!(text(&value, "/nowhere"), "");
        assert_eq!(
            (count(1, "row"), count(0, "row")),
            ("1 row".into(), "0 rows".into())
        );
    }
}
