//! What an expression may name, with values. Nothing is made ready for CEL before an expression names
//! it: a rule that only hands on a reading costs no translation there and back.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    sync::Arc,
};

use cel::{Context, Program};
use serde_json::Value;

use super::{ENV, EvalError, TEXT_BYTES_MAX, Table, value};

/// Names with values.
#[derive(Default)]
pub struct Variables<'a> {
    given: Vec<Named<'a>>,
    /// Made by the first expression that needs it.
    context: RefCell<Option<Context<'static, 'static>>>,
}

struct Named<'a> {
    name: Cow<'a, str>,
    given: Given<'a>,
    /// The context has it.
    is_ready: Cell<bool>,
}

enum Given<'a> {
    Json(Value),
    Text(&'a str),
    Bytes(&'a [u8]),
    Table(&'a Table),
}

impl<'a> Variables<'a> {
    /// Gives a name its value.
    ///
    /// # Errors
    /// [`EvalError`] for a value past [`super::ENTRIES_MAX`] or [`TEXT_BYTES_MAX`]; the name is null
    /// then.
    pub fn set(&mut self, name: &'a str, given: Value) -> Result<(), EvalError> {
        let outcome = value::check(&given);
        let given = if outcome.is_ok() { given } else { Value::Null };
        self.give(name, Given::Json(given));
        outcome
    }

    /// Gives a name a text; null if it is none, or past [`TEXT_BYTES_MAX`].
    pub fn set_text(&mut self, name: &'a str, text: Option<&'a str>) {
        let text = text.filter(|text| text.len() <= TEXT_BYTES_MAX);
        self.give(name, text.map_or(Given::Json(Value::Null), Given::Text));
    }

    /// Gives a name raw bytes; null past [`TEXT_BYTES_MAX`].
    pub fn set_bytes(&mut self, name: &'a str, bytes: &'a [u8]) {
        let fits = bytes.len() <= TEXT_BYTES_MAX;
        self.give(
            name,
            if fits {
                Given::Bytes(bytes)
            } else {
                Given::Json(Value::Null)
            },
        );
    }

    /// Gives a name a table: `name[key]` is the value of the key, or of `*`.
    pub fn set_table(&mut self, name: &'a str, table: &'a Table) {
        self.give(name, Given::Table(table));
    }

    fn give(&mut self, name: &'a str, given: Given<'a>) {
        let named = Named {
            name: name.into(),
            given,
            is_ready: Cell::new(false),
        };
        match self.given.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = named,
            None => self.given.push(named),
        }
    }

    fn named(&self, name: &str) -> Option<&Named<'a>> {
        self.given.iter().find(|known| known.name == name)
    }

    /// What a name stands for, as an expression would answer it.
    pub(super) fn value(&self, name: &str) -> Result<Value, EvalError> {
        let named = self.named(name).ok_or(EvalError("cannot be evaluated"))?;
        Ok(match &named.given {
            Given::Json(given) => value::exact(given),
            Given::Text(text) => Value::from(*text),
            Given::Bytes(bytes) => hex::encode(bytes).into(),
            Given::Table(_) => return Err(EvalError("has no value that can be written")),
        })
    }

    pub(super) fn execute(&self, program: &Program, names: &[String]) -> Result<Value, EvalError> {
        let mut context = self.context.borrow_mut();
        let context = context.get_or_insert_with(|| Context::with_env(Arc::clone(&ENV)));
        for name in names {
            // What is not there is a loop's own name.
            let Some(named) = self.named(name).filter(|named| !named.is_ready.get()) else {
                continue;
            };
            named.given.bring(name, context)?;
            named.is_ready.set(true);
        }
        value::to_json(&program.execute(context).map_err(value::sentence)?)
    }
}

impl Given<'_> {
    fn bring(&self, name: &str, context: &mut Context<'static, 'static>) -> Result<(), EvalError> {
        let brought = match self {
            Self::Json(given) => value::from_json(given)?,
            Self::Text(text) => (*text).to_owned().into(),
            Self::Bytes(bytes) => cel::Value::Bytes(Arc::new(bytes.to_vec())),
            Self::Table(table) => {
                context.add_variable_as_val(name, Box::new((*table).clone()));
                return Ok(());
            }
        };
        context.add_variable_from_value(name, brought);
        Ok(())
    }
}
