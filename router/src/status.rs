//! What is not as it should be, for `/readyz`.

use std::{collections::BTreeMap, sync::Arc};

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

/// Takes a part off the status when its task ends, also when it is aborted: who does no duty has no
/// problem with it.
pub(crate) struct Cleared {
    status: Arc<Status>,
    part: String,
}

impl Cleared {
    pub(crate) fn at_the_end(status: &Arc<Status>, part: &str) -> Self {
        Self {
            status: status.clone(),
            part: part.to_owned(),
        }
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        self.status.good(&self.part);
    }
}
