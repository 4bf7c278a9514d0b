//! XML as a tree, read by quick-xml.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

use super::{BYTES_MAX, DEPTH_MAX, TREES_MAX, Tree};
use crate::Reject;

/// Elements of a usual push: room for them at once.
const INNER_USUAL: usize = 8;

/// Reads XML. Attributes and comments mean nothing here.
///
/// # Errors
/// [`Reject::Malformed`] with the place, never with what stands there; [`Reject::TooLarge`].
pub fn parse(bytes: &[u8]) -> Result<Tree<'_>, Reject> {
    if bytes.len() > BYTES_MAX {
        return Err(Reject::TooLarge(format!(
            "XML of {BYTES_MAX} bytes at most"
        )));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| malformed("not UTF-8", error.valid_up_to()))?;
    let mut reader = Reader::from_str(text);
    let mut found = Found {
        source: text,
        ..Found::default()
    };
    loop {
        let at = place(reader.buffer_position());
        let event = reader.read_event().map_err(|_| malformed("not XML", at))?;
        if matches!(event, Event::Eof) {
            return found
                .finish()
                .ok_or_else(|| malformed("the XML ends too soon", at));
        }
        found.take(event, at).map_err(|what| malformed(what, at))?;
    }
}

fn place(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn malformed(what: &str, at: usize) -> Reject {
    Reject::Malformed(format!("{what}, near byte {at}"))
}

/// What was read so far.
#[derive(Default)]
struct Found<'a> {
    source: &'a str,
    /// Begun and not ended, the outermost first.
    open: Vec<Tree<'a>>,
    root: Option<Tree<'a>>,
    n_trees: usize,
}

impl<'a> Found<'a> {
    fn take(&mut self, event: Event<'a>, at: usize) -> Result<(), &'static str> {
        match event {
            Event::Start(start) => self.begin(&start, at),
            Event::Empty(start) => {
                self.begin(&start, at)?;
                self.end();
                Ok(())
            }
            // The reader has compared the names.
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(text) => self.text(text.decode().map_err(|_| "not UTF-8")?),
            Event::CData(text) => self.text(text.decode().map_err(|_| "not UTF-8")?),
            Event::GeneralRef(entity) => {
                let character = character(&entity).ok_or("an unknown entity")?;
                let open = self.open.last_mut().ok_or("text outside of elements")?;
                open.text.to_mut().push(character);
                Ok(())
            }
            Event::Decl(_) if at == 0 => Ok(()),
            Event::Comment(_) | Event::Eof => Ok(()),
            Event::DocType(_) => Err("document types are not read"),
            Event::PI(_) | Event::Decl(_) => Err("processing instructions are not read"),
        }
    }

    fn begin(&mut self, start: &BytesStart<'_>, at: usize) -> Result<(), &'static str> {
        if self.root.is_some() {
            return Err("a second document");
        }
        if self.open.len() == DEPTH_MAX {
            return Err("too deep");
        }
        self.n_trees += 1;
        if self.n_trees > TREES_MAX {
            return Err("too many elements");
        }
        let is_root = self.open.is_empty();
        self.open.push(Tree {
            name: self.name(start.name().as_ref(), at),
            text: Cow::Borrowed(""),
            inner: Vec::with_capacity(if is_root { INNER_USUAL } else { 0 }),
        });
        Ok(())
    }

    fn end(&mut self) {
        let Some(mut tree) = self.open.pop() else {
            return;
        };
        if !tree.inner.is_empty() {
            // Blanks between elements.
            tree.text = Cow::Borrowed("");
        }
        match self.open.last_mut() {
            Some(outer) => outer.inner.push(tree),
            None => self.root = Some(tree),
        }
    }

    /// As it stands in the source, which outlives the event, right behind its bracket.
    fn name(&self, name: &[u8], at: usize) -> Cow<'a, str> {
        let source = at.checked_add(1).and_then(|at| {
            let end = at.checked_add(name.len())?;
            self.source.get(at..end)
        });
        match source {
            Some(source) if source.as_bytes() == name => Cow::Borrowed(source),
            _ => Cow::Owned(String::from_utf8_lossy(name).into_owned()),
        }
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<(), &'static str> {
        match self.open.last_mut() {
            Some(open) if open.text.is_empty() => open.text = text,
            Some(open) => open.text.to_mut().push_str(&text),
            None if text.trim().is_empty() => {}
            None => return Err("text outside of elements"),
        }
        Ok(())
    }

    fn finish(self) -> Option<Tree<'a>> {
        self.root.filter(|_| self.open.is_empty())
    }
}

/// One of the five, or a character by its number.
fn character(entity: &BytesRef<'_>) -> Option<char> {
    if let Some(character) = entity.resolve_char_ref().ok()? {
        return Some(character);
    }
    match entity.decode().ok()?.as_ref() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
