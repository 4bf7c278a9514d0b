//! The config folder as texts: what is read from disk, kept as a revision in the store, and loaded from either.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::mistake::{Mistake, Mistakes};

/// One file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Files in one folder.
const FILES_MAX: usize = 10_000;

/// Files by name relative to the config folder, with `/`: `patchbay.toml`, `routing.toml`, `channels/*.toml`,
/// `catalog/*.toml`. Everything else in the folder is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// Reads a config folder. One without files is fine: everything has a default.
    ///
    /// # Errors
    /// Files that cannot be read, are no UTF-8 or are too large (1 MiB), and folders with too many (10,000).
    pub fn read(folder: &Path) -> Result<Self, Mistakes> {
        let mut files = Self::default();
        let mut mistakes = Vec::new();
        if !folder.is_dir() {
            let help = "`--config` or PATCHBAY_CONFIG says where it is";
            let mistake = Mistake::in_file(
                folder.display().to_string(),
                "the config folder is not there",
            );
            return Err(Mistakes::from(vec![mistake.with_help(help)]));
        }
        let mut names = vec!["patchbay.toml".to_owned(), "routing.toml".to_owned()];
        for sub in ["channels", "catalog"] {
            match toml_files(&folder.join(sub)) {
                Ok(found) => names.extend(found.into_iter().map(|name| format!("{sub}/{name}"))),
                Err(error) => mistakes.push(Mistake::in_file(sub, error.to_string())),
            }
        }
        for name in names {
            match read(&folder.join(&name)) {
                Ok(text) => files.insert(name, text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => mistakes.push(Mistake::in_file(name, error.to_string())),
            }
        }
        if mistakes.is_empty() {
            Ok(files)
        } else {
            Err(Mistakes::from(mistakes))
        }
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.insert(name.into(), text.into());
    }

    /// A file's text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and texts, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The files of a folder, by stem: `("web", text)` for `channels/web.toml`.
    pub(crate) fn stems(&self, folder: &str) -> impl Iterator<Item = (&str, &str, &str)> {
        self.iter().filter_map(move |(name, text)| {
            let stem = name
                .strip_prefix(folder)?
                .strip_prefix('/')?
                .strip_suffix(".toml")?;
            Some((name, stem, text))
        })
    }
}

fn toml_files(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        // Editors leave `.web.toml.swp` and `.#web.toml` beside the file.
        if name.ends_with(".toml") && !name.starts_with('.') {
            names.push(name.to_owned());
        }
        if names.len() > FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} files")));
        }
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}
