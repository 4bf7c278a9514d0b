//! Comparing with what was found before, and writing what is found now.

use std::{env, fs, path::Path};

use serde_json::Value;

use crate::Report;

/// Lines shown around a difference.
const CONTEXT: usize = 3;

pub(crate) fn is_updating() -> bool {
    env::var_os("UPDATE_EXPECT").is_some()
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a value is JSON") + "\n"
}

/// Where the two part, line by line.
pub(crate) fn difference(expected: &str, found: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let same = old
        .iter()
        .zip(&new)
        .take_while(|(old, new)| old == new)
        .count();
    let tail = old[same..]
        .iter()
        .rev()
        .zip(new[same..].iter().rev())
        .take_while(|(old, new)| old == new)
        .count();
    let show = |sign: char, lines: &[&str]| -> String {
        lines
            .iter()
            .map(|line| format!("{sign} {line}\n"))
            .collect()
    };
    let before = &old[same.saturating_sub(CONTEXT)..same];
    let after = &old[old.len() - tail..old.len().min(old.len() - tail + CONTEXT)];
    [
        show(' ', before),
        show('-', &old[same..old.len() - tail]),
        show('+', &new[same..new.len() - tail]),
        show(' ', after),
    ]
    .concat()
}

/// A whole file that is made by us.
pub(crate) fn compare_file(path: &Path, fresh: &str, place: &str, report: &mut Report) {
    let stored = fs::read_to_string(path).unwrap_or_default();
    if stored != fresh && is_updating() {
        write(path, fresh, place, report);
        return;
    }
    report.check(stored == fresh, place, || {
        format!(
            "differs; UPDATE_EXPECT=1 writes it anew\n{}",
            difference(&stored, fresh)
        )
    });
}

pub(crate) fn write(path: &Path, text: &str, place: &str, report: &mut Report) {
    // Another test may read it at the same moment: it is there as a whole or as it was.
    let draft = path.with_extension("draft");
    match fs::write(&draft, text).and_then(|()| fs::rename(&draft, path)) {
        Ok(()) => report.check(true, place, String::new),
        Err(error) => report.fail(place, error.to_string()),
    }
}
