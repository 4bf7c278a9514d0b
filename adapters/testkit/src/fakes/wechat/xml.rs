//! The little XML the platform speaks: elements with text or with elements.

use quick_xml::{Reader, events::Event};
use serde_json::{Map, Value};

/// An element.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Text of a child, if there is one.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// As JSON: `item`s become a list, other elements keys, text text.
    pub(super) fn to_json(&self) -> Value {
        if self.children.is_empty() {
            return Value::String(self.text.clone());
        }
        if self.children.iter().all(|child| child.name == "item") {
            return self.children.iter().map(Self::to_json).collect();
        }
        let fields = self
            .children
            .iter()
            .map(|child| (child.name.clone(), child.to_json()));
        Value::Object(fields.collect::<Map<_, _>>())
    }
}

/// Reads a document with one root.
pub(super) fn read(text: &str) -> Result<Node, String> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Node> = vec![Node::default()];
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let top = open.last_mut().ok_or("an end too many")?;
        match event {
            Event::Start(start) => open.push(named(start.name().as_ref())),
            Event::Empty(start) => top.children.push(named(start.name().as_ref())),
            Event::End(_) => {
                let node = open.pop().ok_or("an end too many")?;
                open.last_mut()
                    .ok_or("an end too many")?
                    .children
                    .push(node);
            }
            Event::Text(text) => top.text += &text.decode().map_err(|error| error.to_string())?,
            Event::CData(text) => top.text += &text.decode().map_err(|error| error.to_string())?,
            Event::GeneralRef(name) => {
                let name = name.decode().map_err(|error| error.to_string())?;
                top.text
                    .push(character(&name).ok_or_else(|| format!("entity {name}"))?);
            }
            Event::DocType(_) => return Err("a document type".to_owned()),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    let mut roots = open
        .pop()
        .filter(|_| open.is_empty())
        .ok_or("not closed")?
        .children;
    match roots.len() {
        1 => Ok(roots.remove(0)),
        n => Err(format!("{n} roots")),
    }
}

fn named(name: &[u8]) -> Node {
    Node {
        name: String::from_utf8_lossy(name).into_owned(),
        ..Node::default()
    }
}

fn character(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let code = name.strip_prefix('#')?;
            let code = match code.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Text between tags, as the platform writes it.
pub(super) fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}
