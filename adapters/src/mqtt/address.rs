//! A device's address and the names in it: `site/device` is made of a topic's levels, and read back
//! to make topics to the device.

use patchbay_sdk::{
    expr::{Expr, Joined, Scope, Source},
    mapping::Compiler,
    topic::is_level,
};

use super::options::{Options, Profile};

/// Who a device is in topics without anything else said.
const DEFAULT: &str = "=topic.device";
/// The same of the profile `alink`.
const ALINK: &str = "=topic.product + '/' + topic.device";

/// How an address is written: names with fixed text between them. Empty if it cannot be read back.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape(Vec<Joined>);

/// The expression of an address as the file has it, or the usual one.
pub(super) fn source(options: &Options) -> Source {
    options.address.clone().unwrap_or_else(|| {
        Source::text(match options.profile {
            Some(Profile::Alink) => ALINK,
            _ => DEFAULT,
        })
    })
}

impl Shape {
    pub(super) fn compile(options: &Options, compiler: &mut Compiler<'_>) -> Self {
        let source = source(options);
        let scope = Scope {
            variables: super::rule::ADDRESS_NAMES,
            fields: &[],
        };
        let expr = Expr::compile(&source, scope);
        let joined = match &expr {
            Ok(expr) => expr.joined("topic"),
            Err(sentence) => {
                compiler.problems.add("address", sentence);
                None
            }
        };
        let joined = joined.unwrap_or_default();
        // Between two names there is a `/`, which no level has: so it can be read in one way only.
        let is_clear = joined.windows(2).all(|pair| match pair {
            [Joined::Field(_), next] | [next, Joined::Field(_)] => {
                matches!(next, Joined::Text(text) if text.contains('/'))
            }
            _ => false,
        });
        if is_clear {
            Self(joined)
        } else {
            Self::default()
        }
    }

    /// The names an address has.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Joined::Field(name) => Some(name.as_str()),
            Joined::Text(_) => None,
        })
    }

    /// Names and values of this address; none if it is not written so.
    pub(super) fn read<'a>(&'a self, address: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let mut found = Vec::new();
        let mut rest = address;
        let mut pieces = self.0.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Joined::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Joined::Field(name) => {
                    let end = match pieces.peek() {
                        Some(Joined::Text(next)) => rest.find(next.as_str())?,
                        _ => rest.len(),
                    };
                    let (value, left) = rest.split_at(end);
                    if !is_level(value) {
                        return None;
                    }
                    found.push((name.as_str(), value));
                    rest = left;
                }
            }
        }
        rest.is_empty().then_some(found)
    }
}
