//! What is not as it should be, for `/readyz`.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The router's view of itself. Cheap to ask.
#[derive(Debug)]
pub struct Status {
    problems: Mutex<BTreeMap<String, String>>,
}

impl Default for Status {
    fn default() -> Self {
        let problems = [("leases".to_owned(), "not yet started".to_owned())];
        Self {
            problems: Mutex::new(problems.into()),
        }
    }
}

impl Status {
    /// What is wrong now: which part, and a sentence. Empty means ready.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let problems = self.problems.lock();
        problems
            .iter()
            .map(|(part, why)| (part.clone(), why.clone()))
            .collect()
    }

    /// All is well.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.problems.lock().is_empty()
    }

    pub(crate) fn bad(&self, part: &str, why: &impl ToString) {
        self.problems
            .lock()
            .insert(part.to_owned(), why.to_string());
    }

    pub(crate) fn good(&self, part: &str) {
        self.problems.lock().remove(part);
    }
}
