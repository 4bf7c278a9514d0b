//! What is wrong with the files, and how a person gets to see it: file, line, caret, and what was probably meant.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// A file's name and text, as mistakes show it.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the config folder.
    pub(crate) name: String,
    /// Literal secrets are blanked out, byte for byte.
    pub(crate) text: String,
}

/// Where a mistake is.
#[derive(Debug, Clone)]
pub(crate) enum At {
    /// In a file, at these bytes.
    Span(Arc<Source>, Range<usize>),
    /// In a file as a whole, or the file itself.
    File(String),
    /// In an environment variable; its value is never shown.
    Env(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Mistake {
    pub(crate) title: String,
    pub(crate) help: Option<String>,
    pub(crate) at: At,
}

impl Mistake {
    /// A mistake that concerns a file as a whole.
    pub fn in_file(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            help: None,
            at: At::File(name.into()),
        }
    }

    /// Adds a hint on what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The sentence that says what is wrong, without the place.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The file, or the environment variable, it is in.
    #[must_use]
    pub fn place(&self) -> &str {
        match &self.at {
            At::Span(source, _) => &source.name,
            At::File(name) | At::Env(name) => name,
        }
    }

    /// Files in order of their names, each from top to bottom; the environment last.
    fn order(&self) -> (bool, &str, usize) {
        let start = match &self.at {
            At::Span(_, span) => span.start,
            At::File(_) | At::Env(_) => 0,
        };
        (matches!(self.at, At::Env(_)), self.place(), start)
    }

    fn render(&self, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(self.title.as_str());
        let mut group = match &self.at {
            At::Span(source, span) => title.element(
                Snippet::source(source.text.as_str())
                    .path(source.name.as_str())
                    .annotation(AnnotationKind::Primary.span(on_one_line(&source.text, span))),
            ),
            At::File(name) => title.element(Origin::path(name.as_str())),
            At::Env(name) => Group::with_title(title)
                .element(Level::NOTE.message(format!("set by the environment variable `{name}`"))),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// A caret under one line says enough; also keeps the span inside the text, whatever it was made from.
fn on_one_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
    let line = text[start..end].lines().next().unwrap_or_default();
    start..start + line.len()
}

/// Everything that is wrong with the files, in the order a reader meets it. Never empty when returned as an error.
#[derive(Debug, Clone, Default)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Adds more, and keeps the order.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Mistake>) {
        self.0.extend(more);
        self.0.sort_by(|a, b| a.order().cmp(&b.order()));
    }

    /// True if nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }

    /// The whole report for a terminal, with colours.
    #[must_use]
    pub fn styled(&self) -> String {
        self.report(&Renderer::styled())
    }

    fn report(&self, renderer: &Renderer) -> String {
        let reports: Vec<_> = self
            .0
            .iter()
            .map(|mistake| mistake.render(renderer))
            .collect();
        reports.join("\n\n")
    }
}

impl IntoIterator for Mistakes {
    type Item = Mistake;
    type IntoIter = std::vec::IntoIter<Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Vec<Mistake>> for Mistakes {
    fn from(mistakes: Vec<Mistake>) -> Self {
        let mut all = Self::default();
        all.extend(mistakes);
        all
    }
}

/// The whole report without colours.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report(&Renderer::plain()))
    }
}

impl std::error::Error for Mistakes {}
