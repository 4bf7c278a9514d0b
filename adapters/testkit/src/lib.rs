//! Tests an adapter by its fixtures, and by the rules every adapter obeys. Its author writes no Rust
//! test; a crate of adapters of its own needs one line:
//!
//! ```no_run
//! # const ALL: &[patchbay_sdk::Kind] = &[];
//! patchbay_testkit::run_all(ALL, "fixtures");
//! ```
//!
//! `UPDATE_EXPECT=1` writes what was found into the fixtures: read the difference before you commit.

mod act;
mod docs;
#[cfg(feature = "fakes")]
pub mod fakes;
mod fixture;
mod fuzz;
mod given;
mod golden;
mod live;
mod mqtt;
mod pinned;
mod play;
mod report;
mod rules;
mod show;
mod sign;

use std::path::{Path, PathBuf};

use patchbay_sdk::Kind;

pub use report::Report;

use fixture::Fixtures;

/// Runs the fixtures below `fixtures/<kind>/` and every rule that needs nothing else.
///
/// # Panics
/// With every failure found.
pub fn run_all(kinds: &'static [Kind], fixtures: impl AsRef<Path>) {
    Suite::new(kinds, fixtures).run().assert();
}

/// What is to be tested, and where its files are.
#[derive(Debug, Clone)]
pub struct Suite {
    kinds: &'static [Kind],
    fixtures: PathBuf,
    docs: Option<PathBuf>,
    sources: Option<PathBuf>,
}

impl Suite {
    /// The fixtures of these kinds.
    pub fn new(kinds: &'static [Kind], fixtures: impl AsRef<Path>) -> Self {
        Self {
            kinds,
            fixtures: fixtures.as_ref().to_owned(),
            docs: None,
            sources: None,
        }
    }

    /// Also `<kind>.md` below this folder: it must be there and list every option.
    #[must_use]
    pub fn docs(mut self, folder: impl AsRef<Path>) -> Self {
        self.docs = Some(folder.as_ref().to_owned());
        self
    }

    /// Also `<kind>.rs` below this folder.
    #[must_use]
    pub fn sources(mut self, folder: impl AsRef<Path>) -> Self {
        self.sources = Some(folder.as_ref().to_owned());
        self
    }

    /// Plays every fixture and compares.
    #[must_use]
    pub fn run_fixtures(&self) -> Report {
        self.each(|kind, fixtures, report| {
            play::compare(kind, fixtures, report);
            live::compare(kind, fixtures, report);
        })
    }

    /// Checks the rules.
    #[must_use]
    pub fn run_rules(&self) -> Report {
        let mut report = self.each(|kind, fixtures, report| {
            rules::check(kind, fixtures, report);
            if let Some(folder) = &self.docs {
                docs::compare(kind, folder, report);
            }
        });
        rules::naming::check(
            self.kinds,
            &self.fixtures,
            self.sources.as_deref(),
            &mut report,
        );
        report
    }

    /// Feeds every adapter with bytes that nobody promised.
    #[must_use]
    pub fn run_fuzz(&self) -> Report {
        self.each(fuzz::run)
    }

    /// Everything.
    #[must_use]
    pub fn run(&self) -> Report {
        let mut report = self.run_fixtures();
        report.append(self.run_rules());
        report.append(self.run_fuzz());
        report
    }

    fn each(&self, check: impl Fn(&Kind, &Fixtures, &mut Report)) -> Report {
        let mut report = Report::default();
        for kind in self.kinds {
            let folder = self.fixtures.join(kind.manifest.id);
            match Fixtures::read(kind, &folder) {
                Ok(fixtures) => check(kind, &fixtures, &mut report),
                Err(sentence) => report.fail(kind.manifest.id, sentence),
            }
        }
        report
    }
}
