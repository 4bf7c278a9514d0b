//! MQTT topics: filters that name their levels, and topics built from names.
//!
//! `factory/{site}/{device}/fault` matches what `factory/+/+/fault` matches and says which site and
//! device it was; a trailing `#` takes the rest. Topics are compared level by level, byte by byte:
//! nothing is decoded, and dots, blanks and percent signs mean nothing (MQTT 5.0, section 4.7).

/// Levels of one topic.
pub const LEVELS_MAX: usize = 64;
/// Bytes of one topic (MQTT 5.0, section 1.5.4, has room for 65,535).
pub const BYTES_MAX: usize = 1024;
/// The name under which the levels below a trailing `#` are kept.
pub const REST: &str = "rest";

/// A topic filter whose levels have names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    levels: Vec<Level>,
    /// It ends in `#`.
    is_open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Literal(String),
    Name(String),
    Any,
}

impl Template {
    /// Reads `a/{name}/+/#`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_size(text)?;
        if text.starts_with("$share/") {
            return Err(
                "must be without `$share/`: `ordering = \"none\"` shares a subscription".to_owned(),
            );
        }
        let (body, is_open) = match text {
            "#" => ("", true),
            _ => match text.strip_suffix("/#") {
                Some(body) => (body, true),
                None => (text, false),
            },
        };
        let mut levels = Vec::new();
        for level in body.split('/') {
            let level = Level::parse(level)?;
            if let Level::Name(name) = &level {
                let is_double = levels.contains(&level) || (is_open && name == REST);
                if is_double {
                    return Err(format!("names two levels `{name}`"));
                }
            }
            levels.push(level);
        }
        if text == "#" {
            levels.clear();
        }
        Ok(Self { levels, is_open })
    }

    /// The filter to subscribe to.
    #[must_use]
    pub fn filter(&self) -> String {
        self.filter_with(&|_| None)
    }

    /// The filter, with the names that are known put in. A value that is no single level stays `+`.
    #[must_use]
    pub fn filter_with(&self, value: &dyn Fn(&str) -> Option<String>) -> String {
        let of = |level: &Level| match level {
            Level::Literal(text) => text.clone(),
            Level::Any => "+".to_owned(),
            Level::Name(name) => value(name)
                .filter(|value| is_level(value))
                .unwrap_or_else(|| "+".to_owned()),
        };
        let mut levels: Vec<String> = self.levels.iter().map(of).collect();
        if self.is_open {
            levels.push("#".to_owned());
        }
        levels.join("/")
    }

    /// The names of its levels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let named = self.levels.iter().filter_map(|level| match level {
            Level::Name(name) => Some(name.as_str()),
            _ => None,
        });
        named.chain(self.is_open.then_some(REST))
    }

    /// Names and values, if the topic is one of these.
    #[must_use]
    pub fn captures<'t>(&'t self, topic: &'t str) -> Option<Vec<(&'t str, &'t str)>> {
        // A wildcard never stands for a topic that begins with `$` [MQTT-4.7.2-1].
        let starts_wild = !matches!(self.levels.first(), Some(Level::Literal(_)));
        if starts_wild && topic.starts_with('$') {
            return None;
        }
        let mut found = Vec::new();
        // What is left, none after the last level.
        let mut rest = Some(topic);
        for level in &self.levels {
            let (text, left) = match rest?.split_once('/') {
                Some((text, left)) => (text, Some(left)),
                None => (rest?, None),
            };
            match level {
                Level::Literal(literal) if literal == text => {}
                Level::Literal(_) => return None,
                Level::Name(name) => found.push((name.as_str(), text)),
                Level::Any => {}
            }
            rest = left;
        }
        match (self.is_open, rest) {
            // `a/#` is for `a` too (section 4.7.1.2).
            (true, rest) => found.push((REST, rest.unwrap_or_default())),
            (false, None) => {}
            (false, Some(_)) => return None,
        }
        Some(found)
    }
}

impl Level {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "+" {
            return Ok(Self::Any);
        }
        if let Some(name) = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        {
            return is_name(name)
                .then(|| Self::Name(name.to_owned()))
                .ok_or_else(|| NAME.to_owned());
        }
        if text.contains(['+', '#', '{', '}']) {
            return Err(
                "`+` and `{name}` stand for a whole level, `#` for all levels at the end"
                    .to_owned(),
            );
        }
        check_level(text)?;
        Ok(Self::Literal(text.to_owned()))
    }
}

const NAME: &str = "a level's name has letters, digits and `_`, and no digit in front";

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check_size(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > BYTES_MAX {
        return Err(format!("must have 1 to {BYTES_MAX} bytes"));
    }
    if text.split('/').count() > LEVELS_MAX {
        return Err(format!("must have {LEVELS_MAX} levels at most"));
    }
    Ok(())
}

fn check_level(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("must have no control characters".to_owned());
    }
    Ok(())
}

/// Whether a text can be one level of a topic: not empty, no `/`, no wildcard (MQTT 5.0, section
/// 4.7.1), no control character (section 1.5.4).
#[must_use]
pub fn is_level(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '+', '#']) && !text.chars().any(char::is_control)
}

/// Whether a text can be published to.
#[must_use]
pub fn is_topic(text: &str) -> bool {
    check_size(text).is_ok() && !text.contains(['+', '#']) && !text.chars().any(char::is_control)
}

/// Checks a filter without names: `+` is a whole level, `#` the last.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_filter(text: &str) -> Result<(), String> {
    Template::parse(text).and_then(
        |template| match template.names().find(|name| *name != REST) {
            Some(name) => Err(format!("`{{{name}}}` means nothing here")),
            None => Ok(()),
        },
    )
}

/// Whether a filter takes a topic.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    Template::parse(filter).is_ok_and(|template| template.captures(topic).is_some())
}

/// Whether every topic that `inner` takes is taken by `outer`.
#[must_use]
pub fn covers(outer: &str, inner: &str) -> bool {
    let starts_wild = outer.starts_with(['+', '#']);
    if starts_wild && inner.starts_with('$') {
        return false;
    }
    let (mut outer, mut inner) = (outer.split('/'), inner.split('/'));
    loop {
        match (outer.next(), inner.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(outer), Some(inner)) if outer == inner => {}
            _ => return false,
        }
    }
}

/// The filters none of which is covered by another, in their order: a broker would send what two of
/// them take twice.
#[must_use]
pub fn without_covered(filters: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for (i, filter) in filters.iter().enumerate() {
        let is_covered = filters.iter().enumerate().any(|(j, other)| {
            // Of two that cover each other the first is kept.
            i != j && covers(other, filter) && (!covers(filter, other) || j < i)
        });
        if !is_covered {
            kept.push(filter.clone());
        }
    }
    kept
}

/// A topic with names in it: `factory/{site}/cmd-{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Vec<Vec<Piece>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

impl Target {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_size(text)?;
        check_level(text)?;
        if text.contains(['+', '#']) {
            return Err("must have no wildcard: one publishes to one topic".to_owned());
        }
        text.split('/')
            .map(pieces)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Its names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The topic with the names' values. A value stays within its level, whatever it is; one that
    /// cannot (section 4.7.1) makes no topic.
    ///
    /// # Errors
    /// The name whose value is missing or cannot stand in a level.
    pub fn build(&self, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        let mut levels = Vec::with_capacity(self.0.len());
        for level in &self.0 {
            let mut text = String::new();
            for piece in level {
                match piece {
                    Piece::Text(literal) => text.push_str(literal),
                    Piece::Name(name) => {
                        let value = value(name).filter(|value| is_level(value));
                        text.push_str(&value.ok_or_else(|| name.clone())?);
                    }
                }
            }
            levels.push(text);
        }
        Ok(levels.join("/"))
    }

    /// A filter that takes every topic with these values; names without one may be anything.
    #[must_use]
    pub fn filter_with(&self, value: &dyn Fn(&str) -> Option<String>) -> String {
        let of = |level: &Vec<Piece>| {
            let text = Self(vec![level.clone()]).build(value);
            text.unwrap_or_else(|_| "+".to_owned())
        };
        self.0.iter().map(of).collect::<Vec<_>>().join("/")
    }
}

fn pieces(level: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = level;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, left) = after.split_once('}').ok_or("a `{` has no `}`")?;
        if !is_name(name) {
            return Err(NAME.to_owned());
        }
        if text.contains('}') {
            return Err("a `}` has no `{`".to_owned());
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        pieces.push(Piece::Name(name.to_owned()));
        rest = left;
    }
    if rest.contains('}') {
        return Err("a `}` has no `{`".to_owned());
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}
