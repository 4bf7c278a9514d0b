//! `patchbay check`: every mistake of every file, offline.

use std::{path::Path, process::ExitCode};

use patchbay_config::{Files, Loader};
use patchbay_sdk::Kind;

use super::{CONFIG, report};
use crate::open;

pub(super) fn check(folder: &Path, kinds: &[Kind], offline: bool) -> ExitCode {
    let files = match Files::read(folder) {
        Ok(files) => files,
        Err(mistakes) => return report(&mistakes),
    };
    let loader = Loader::from_process(folder);
    let loader = if offline { loader.offline() } else { loader };
    let (loaded, mut mistakes) = loader.load_all(&files);
    if let Err(found) = open::channels(&loaded.channels, kinds, &loaded.config.sinks) {
        mistakes.extend(found.iter().cloned());
    }
    if !mistakes.is_empty() {
        eprintln!("{}", mistakes.styled());
        eprintln!("{} mistakes", mistakes.len());
        return ExitCode::from(CONFIG);
    }
    println!(
        "{} files, {} channels, no mistakes",
        files.iter().count(),
        loaded.channels.len()
    );
    ExitCode::SUCCESS
}
