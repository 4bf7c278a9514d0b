//! Deserializes a value and finds all its mistakes in one pass.
//!
//! serde stops at the first mistake. So each one found is reported and its key taken out of a copy, until nothing
//! more comes; serde's path leads back to the bytes in the file.

use serde_json::Value;

use crate::document::Document;
use crate::mistake::Mistake;
use crate::path::Path;
use crate::schema::{Findings, Walk};
use crate::secret::Secrets;
use crate::suggest::{Complaint, classify, hint, plain};

/// Mistakes shown per table of options or file; whoever made so many does not need the next.
const MISTAKES_MAX: usize = 100;

/// Why a value was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It does not have the shape: serde's sentence, and the path to where it stopped (`a.b.0`).
    Shape {
        /// Keys and indexes, joined by dots; empty for the whole value.
        path: String,
        /// serde's own message.
        sentence: String,
    },
    /// It has the shape, and these are wrong: paths and sentences.
    Problems(Vec<(String, String)>),
}

/// Deserializes with the path serde stopped at.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Trouble> {
    serde_path_to_error::deserialize(value).map_err(|error| Trouble::Shape {
        path: Path::from(error.path()).to_string(),
        sentence: error.inner().to_string(),
    })
}

/// What is asked of the value at `prefix` in `document`.
pub(crate) struct Shape<'a> {
    pub(crate) document: &'a mut Document,
    pub(crate) prefix: Path,
    pub(crate) schema: &'a Value,
    pub(crate) secrets: &'a Secrets,
}

impl Shape<'_> {
    /// `take` gets the value with its secrets fetched, and again with every mistake it names taken out.
    pub(crate) fn take<T>(
        self,
        take: impl FnMut(Value) -> Result<T, Trouble>,
    ) -> Result<T, Vec<Mistake>> {
        let empty = || Value::Object(serde_json::Map::new());
        let mut value = self
            .prefix
            .get(&self.document.value)
            .cloned()
            .unwrap_or_else(empty);
        let findings = Walk {
            schema: self.schema,
            document: self.document,
            prefix: &self.prefix,
            secrets: self.secrets,
            findings: Findings::default(),
        }
        .run(&mut value);
        for path in &findings.literals {
            self.document.blank(&self.prefix.join(path));
        }
        let mut peel = Peel {
            document: self.document,
            prefix: self.prefix,
            original: value.clone(),
            findings,
            removed: Vec::new(),
            mistakes: Vec::new(),
        };
        peel.report_findings();
        peel.run(value, take)
    }
}

struct Peel<'a> {
    document: &'a Document,
    prefix: Path,
    original: Value,
    findings: Findings,
    /// Taken out so far, by their paths in the file.
    removed: Vec<Path>,
    mistakes: Vec<Mistake>,
}

impl Peel<'_> {
    fn report_findings(&mut self) {
        for (path, sentence) in &self.findings.wrong {
            let mistake = self.document.at_value(&self.prefix.join(path), sentence);
            let is_literal = self.findings.literals.contains(path);
            self.mistakes.push(if is_literal {
                mistake.with_help("write \"env:NAME\", \"file:path\" or \"cred:name\"")
            } else {
                mistake
            });
        }
        for path in &self.findings.missing {
            self.mistakes
                .push(missing(self.document, &self.prefix, path));
        }
    }

    fn run<T>(
        mut self,
        mut value: Value,
        mut take: impl FnMut(Value) -> Result<T, Trouble>,
    ) -> Result<T, Vec<Mistake>> {
        while self.mistakes.len() < MISTAKES_MAX {
            match take(value.clone()) {
                Ok(taken) if self.mistakes.is_empty() => return Ok(taken),
                Ok(_) => break,
                Err(Trouble::Problems(problems)) => {
                    self.report_problems(problems);
                    break;
                }
                Err(Trouble::Shape { path, sentence }) => {
                    let here = Path::find(&value, &path);
                    let path = self.in_file(&here);
                    self.report_shape(&path, &sentence);
                    if !here.remove(&mut value) {
                        break;
                    }
                    self.removed.push(path);
                }
            }
        }
        if self.mistakes.is_empty() {
            // Only placeholders were complained about: whoever asked for them gets no value and no mistake.
            return Err(Vec::new());
        }
        Err(self.mistakes)
    }

    fn report_shape(&mut self, path: &Path, sentence: &str) {
        let place = self.prefix.join(path);
        let mistake = match classify(sentence) {
            Complaint::Missing { name } => {
                let key = path.child(name);
                if self.findings.missing.contains(&key) || self.removed.contains(&key) {
                    return;
                }
                missing(self.document, &self.prefix, &key)
            }
            Complaint::Unknown { name, known } => {
                let known = known.iter().map(String::as_str);
                if path.0.last() == Some(&name) {
                    let title = format!("unknown key `{name}`");
                    self.document
                        .at_key(&place, title)
                        .with_help(hint(&name, known))
                } else {
                    let title = format!("`{place}` cannot be `{name}`");
                    self.document
                        .at_value(&place, title)
                        .with_help(hint(&name, known))
                }
            }
            Complaint::Other if self.findings.placeholders.contains(path) => return,
            Complaint::Other => {
                let sentence = plain(sentence, self.document.is_from_env(&place));
                self.document
                    .at_value(&place, format!("`{place}`: {sentence}"))
            }
        };
        self.mistakes.push(mistake);
    }

    /// What is said about a key that was taken out, or about a stand-in for a secret, means nothing.
    fn report_problems(&mut self, problems: Vec<(String, String)>) {
        for (path, sentence) in problems {
            let path = Path::find(&self.original, &path);
            let is_echo = self.removed.iter().chain(&self.findings.placeholders);
            if is_echo.clone().any(|gone| path.starts_with(gone)) {
                continue;
            }
            let place = self.prefix.join(&path);
            self.mistakes.push(self.document.at_value(&place, sentence));
        }
    }

    /// Where something stood before earlier items of its array were taken out.
    fn in_file(&self, path: &Path) -> Path {
        let mut found = Path::default();
        for segment in &path.0 {
            let Some((Value::Array(_), index)) =
                found.get(&self.original).zip(segment.parse::<usize>().ok())
            else {
                found = found.child(segment);
                continue;
            };
            let mut gone: Vec<usize> = self
                .removed
                .iter()
                .filter(|removed| removed.parent().as_ref() == Some(&found))
                .filter_map(|removed| removed.0.last()?.parse().ok())
                .collect();
            gone.sort_unstable();
            let index = gone
                .iter()
                .fold(index, |index, gone| index + usize::from(*gone <= index));
            found = found.child(index.to_string());
        }
        found
    }
}

fn missing(document: &Document, prefix: &Path, path: &Path) -> Mistake {
    let place = prefix.join(path);
    let parent = place.parent().unwrap_or_default();
    let name = place.0.last().map_or("", String::as_str);
    document.at_key(&parent, format!("`{name}` is missing"))
}
