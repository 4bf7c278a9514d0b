//! How the links of this gateway are, for `/readyz`.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// What is wrong with which link; nothing while all is well. A link that another gateway holds does
/// not stand here.
#[derive(Debug, Default)]
pub struct Links(Mutex<BTreeMap<String, String>>);

impl Links {
    /// What is wrong, a sentence; none if nothing is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let bad = self.0.lock();
        let parts: Vec<String> = bad
            .iter()
            .map(|(link, why)| format!("{link}: {why}"))
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    pub(in crate::ingress) fn good(&self, link: &str) {
        self.0.lock().remove(link);
    }

    pub(in crate::ingress) fn bad(&self, link: &str, why: &dyn std::fmt::Display) {
        self.0.lock().insert(link.to_owned(), why.to_string());
    }
}

/// Takes a link off the list when whoever holds it is gone, however it went.
pub(in crate::ingress) struct Shown<'a> {
    pub(in crate::ingress) links: &'a Links,
    pub(in crate::ingress) link: &'a str,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.links.good(self.link);
    }
}
