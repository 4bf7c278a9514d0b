//! A kind's id is the name of its file, of its fixtures and of its page.

use std::{collections::BTreeSet, fs, path::Path};

use patchbay_message::Part;
use patchbay_sdk::Kind;

use crate::Report;

pub(crate) fn check(kinds: &[Kind], fixtures: &Path, sources: Option<&Path>, report: &mut Report) {
    let ids: BTreeSet<&str> = kinds.iter().map(|kind| kind.manifest.id).collect();
    report.check(ids.len() == kinds.len(), "kinds", || {
        "two kinds have the same id".to_owned()
    });
    for kind in kinds {
        of_kind(kind, sources, report);
    }
    for folder in names(fixtures, "") {
        let good = ids.contains(folder.as_str());
        report.check(good, "fixtures", || {
            format!("`{folder}` is the folder of no kind")
        });
    }
    for file in sources
        .map(|folder| names(folder, ".rs"))
        .unwrap_or_default()
    {
        let good = file == "lib" || ids.contains(file.as_str());
        report.check(good, "sources", || {
            format!("`{file}.rs` is not in the list of adapters")
        });
    }
}

fn of_kind(kind: &Kind, sources: Option<&Path>, report: &mut Report) {
    let id = kind.manifest.id;
    let is_word = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    report.check(is_word, id, || {
        "an id has small letters, digits and `-`".to_owned()
    });
    for part in kind.manifest.content_out {
        let good = Part::TYPES.contains(part);
        report.check(good, id, || {
            format!("`content_out` has `{part}`, which is no kind of part")
        });
    }
    if let Some(folder) = sources {
        let file = folder.join(format!("{}.rs", id.replace('-', "_")));
        report.check(file.is_file(), id, || {
            format!("{} is not there", file.display())
        });
    }
}

/// Names in a folder that end so, without the ending; folders for an empty ending.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir() == ending.is_empty())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(ending).map(|name| name.replace('_', "-"))
        })
        .collect()
}
