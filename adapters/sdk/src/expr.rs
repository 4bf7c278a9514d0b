//! Expressions in channel files: `"=..."` is CEL, anything else stands for itself.
//!
//! What runs here comes from an operator's file and meets values from outside, so both are bounded:
//! the length of a source, the nesting of its loops, and the size of every value it is given. An
//! error is a sentence about the expression and never repeats a value: values may be secret.

mod check;
mod functions;
mod value;
mod variables;

use std::{borrow::Cow, sync::Arc, sync::LazyLock};

use cel::{Env, Program};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use functions::Table;
pub use value::{lossless_json, text_of};
pub use variables::Variables;

/// Bytes of an expression's source.
pub const SOURCE_BYTES_MAX: usize = 4 * 1024;
/// Entries of any one list or map that an expression may see: what a loop can cost is this to the
/// power of its nesting.
pub const ENTRIES_MAX: usize = 1024;
/// Loops inside loops.
pub const NESTING_MAX: usize = 1;
/// Bytes of any one text that an expression may see.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(functions::env()));

/// A value as it stands in a channel's file, not yet compiled.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Source(pub Value);

impl Source {
    /// An expression or a literal text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(Value::String(text.to_owned()))
    }
}

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-expression": true })
    }
}

/// What an expression may name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Variables.
    pub variables: &'a [&'a str],
    /// Variables whose fields are known too.
    pub fields: &'a [(&'a str, &'a [&'a str])],
}

/// Why an expression has no value: a fixed sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(pub &'static str);

/// A compiled value of a channel's file.
#[derive(Debug)]
pub struct Expr(Kind);

#[derive(Debug)]
enum Kind {
    Literal(Value),
    /// A name alone: what it stands for need not pass through CEL.
    Name(String),
    Program(Box<Compiled>),
    /// A list or table with expressions in it.
    List(Vec<Expr>),
    Map(Vec<(String, Expr)>),
}

#[derive(Debug)]
struct Compiled {
    program: Program,
    /// What it names: nothing else is made ready for it.
    names: Vec<String>,
}

impl Expr {
    /// Compiles an expression, or keeps a literal. Only what is in scope may be named.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, and where.
    pub fn compile(source: &Source, scope: Scope<'_>) -> Result<Self, String> {
        match &source.0 {
            Value::String(text) => match text.strip_prefix('=') {
                Some(text) => Self::program(text, scope),
                None => Ok(Self(Kind::Literal(source.0.clone()))),
            },
            literal => Ok(Self(Kind::Literal(literal.clone()))),
        }
    }

    /// The same for a tree: every text in it may be an expression. What comes out is JSON whatever
    /// the values are.
    ///
    /// # Errors
    /// As [`Expr::compile`], with the path inside the tree in front.
    pub fn compile_tree(source: &Source, scope: Scope<'_>) -> Result<Self, String> {
        let inner = |path: &str, value: &Value| {
            Self::compile_tree(&Source(value.clone()), scope)
                .map_err(|sentence| format!("`{path}`: {sentence}"))
        };
        Ok(Self(match &source.0 {
            Value::Array(items) => Kind::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| inner(&i.to_string(), item))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(map) => Kind::Map(
                map.iter()
                    .map(|(key, value)| Ok((key.clone(), inner(key, value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            _ => return Self::compile(source, scope),
        }))
    }

    fn program(text: &str, scope: Scope<'_>) -> Result<Self, String> {
        if text.len() > SOURCE_BYTES_MAX {
            return Err(format!(
                "an expression must have {SOURCE_BYTES_MAX} bytes at most"
            ));
        }
        let program = ENV.compile(text).map_err(|errors| {
            let first = errors.errors.first();
            first.map_or_else(
                || "is no expression".to_owned(),
                |error| {
                    let (line, column) = error.pos;
                    format!("line {line}, column {column}: {}", error.msg)
                },
            )
        })?;
        check::check(program.expression(), scope)?;
        if let Some(name) = check::name(program.expression()) {
            return Ok(Self(Kind::Name(name.to_owned())));
        }
        let references = program.references();
        let names = references.variables().into_iter().map(str::to_owned);
        let names = names.collect();
        Ok(Self(Kind::Program(Box::new(Compiled { program, names }))))
    }

    /// The value, as JSON: whole numbers beyond 2^53 as text, so that no reader rounds an id.
    ///
    /// # Errors
    /// [`EvalError`]: a fixed sentence.
    pub fn eval(&self, variables: &Variables<'_>) -> Result<Value, EvalError> {
        match &self.0 {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Name(name) => variables.value(name),
            Kind::Program(compiled) => variables.execute(&compiled.program, &compiled.names),
            Kind::List(items) => items.iter().map(|item| item.eval(variables)).collect(),
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, entry)| Ok((key.clone(), entry.eval(variables)?)))
                .collect(),
        }
    }

    /// Whether it holds. Without a value it does not.
    #[must_use]
    pub fn holds(&self, variables: &Variables<'_>) -> bool {
        self.eval(variables) == Ok(Value::Bool(true))
    }

    /// The value as text, numbers and truth values written out; none for null.
    ///
    /// # Errors
    /// [`EvalError`]: also for lists and maps.
    pub fn text(&self, variables: &Variables<'_>) -> Result<Option<String>, EvalError> {
        text_of(&self.eval(variables)?)
    }

    /// The parts of `root.a + '/' + root.b`: an address that is made so can be read back. None for
    /// anything else.
    #[must_use]
    pub fn joined(&self, root: &str) -> Option<Vec<Joined>> {
        match &self.0 {
            Kind::Program(compiled) => check::joined(compiled.program.expression(), root),
            _ => None,
        }
    }
}

/// A piece of [`Expr::joined`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// A fixed text.
    Text(String),
    /// The field of this name.
    Field(String),
}
