//! Everything that failed, so that one run shows it all.

/// What failed.
#[derive(Debug, Default)]
pub struct Report {
    failures: Vec<String>,
    /// How much was looked at: nothing found in nothing looked at is no success.
    checks: usize,
}

impl Report {
    /// The failures, each with where and what.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// How many things were checked.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// Fails the test if anything failed.
    ///
    /// # Panics
    /// With every failure, or if there was nothing to check.
    pub fn assert(&self) {
        assert!(
            self.failures.is_empty(),
            "{} failures\n\n{}",
            self.failures.len(),
            self.failures.join("\n\n")
        );
        assert!(
            self.checks > 0,
            "nothing was checked: are there adapters and fixtures?"
        );
    }

    pub(crate) fn fail(&mut self, place: &str, sentence: impl AsRef<str>) {
        self.checks += 1;
        self.failures
            .push(format!("{place}: {}", sentence.as_ref()));
    }

    pub(crate) fn check(&mut self, good: bool, place: &str, sentence: impl Fn() -> String) {
        self.checks += 1;
        if !good {
            self.failures.push(format!("{place}: {}", sentence()));
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.failures.extend(other.failures);
        self.checks += other.checks;
    }
}
