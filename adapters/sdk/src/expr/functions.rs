//! What an expression can call: CEL's own functions as far as their cost is bounded, and ours.

use std::{any::Any, collections::BTreeMap, sync::Arc};

use cel::{
    Env, ExecutionError,
    common::{
        traits::{Container, Indexer},
        types::{BYTES_TYPE, CelString, DYN_TYPE, MAP_TYPE, Type},
        value::{CowVal, StaticVal, Val},
    },
    extensions,
    objects::Map,
};

use super::value;

/// Every function there is. `replace`, `format` and `join` are not: a short expression could make a
/// very long text with them.
pub(super) const NAMES: &[&str] = &[
    "bool",
    "bytes",
    "charAt",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "has",
    "hasValue",
    "hex",
    "indexOf",
    "int",
    "json",
    "lastIndexOf",
    "lowerAscii",
    "matches",
    "optFlatMap",
    "optMap",
    "or",
    "orValue",
    "plain",
    "size",
    "split",
    "startsWith",
    "string",
    "substring",
    "trim",
    "type",
    "uint",
    "upperAscii",
    "value",
];

/// The environment all expressions run in.
pub(super) fn env() -> Env {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings)
        .expect("its names are not taken");
    env.add_overload("hex", "hex_bytes", vec![BYTES_TYPE], hex)
        .expect("the name is not taken");
    env.add_overload("plain", "plain_map", vec![MAP_TYPE], plain)
        .expect("the name is not taken");
    env.add_overload("json", "json_dyn", vec![DYN_TYPE], json)
        .expect("the name is not taken");
    env
}

fn of<'b, 'v>(value: cel::Value) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let boxed: Box<dyn Val> = value.try_into()?;
    Ok(CowVal::Owned(boxed))
}

/// The one argument of a function that has one.
fn only(args: Vec<CowVal<'_, '_>>) -> Result<cel::Value, ExecutionError> {
    let arg = args.into_iter().next();
    let arg = arg.ok_or_else(ExecutionError::missing_argument_or_target)?;
    cel::Value::try_from(arg.as_ref())
}

/// `hex(bytes)`: lower case.
fn hex<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    match only(args)? {
        cel::Value::Bytes(bytes) => of(hex::encode(bytes.as_slice()).into()),
        _ => Err(ExecutionError::function_error("hex", "no bytes")),
    }
}

/// `json(value)`: written as JSON.
fn json<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let fail = || ExecutionError::function_error("json", "no JSON");
    let found = value::to_json(&only(args)?).map_err(|_| fail())?;
    of(found.to_string().into())
}

/// `plain(map)`: `{"t": {"value": 5, "time": 1}}` becomes `{"t": 5}`, as several platforms wrap
/// their readings.
fn plain<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let unwrap = |inner: &cel::Value| match inner {
        cel::Value::Map(map) => map.get(&cel::objects::KeyRef::String("value")).cloned(),
        _ => None,
    };
    match only(args)? {
        cel::Value::Map(map) => {
            let entries = map.map.iter();
            let entries = entries.map(|(key, inner)| {
                let inner = unwrap(inner).unwrap_or_else(|| inner.clone());
                (key.clone(), inner)
            });
            of(cel::Value::Map(Map {
                map: Arc::new(entries.collect()),
            }))
        }
        _ => Err(ExecutionError::function_error("plain", "no map")),
    }
}

static TABLE: Type = Type::new_unspecified_type("table");

/// Words and what they mean: `level['1']`. The key `*` is for all others.
#[derive(Debug, Clone, Default)]
pub struct Table(Arc<BTreeMap<String, String>>);

impl Table {
    /// A table of these entries.
    pub fn new(entries: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(Arc::new(entries.into_iter().collect()))
    }

    fn find(&self, key: &dyn Val) -> Result<String, ExecutionError> {
        let found = self.0.get(&key_of(key)?).or_else(|| self.0.get("*"));
        found
            .cloned()
            .ok_or_else(|| ExecutionError::no_such_key("table"))
    }
}

impl Val for Table {
    fn get_type(&self) -> &Type {
        &TABLE
    }
    fn cel_type() -> &'static Type {
        &TABLE
    }
    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Table {}

impl Indexer for Table {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(CowVal::owned(CelString::from(self.find(key)?)))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(Box::new(CelString::from(self.find(key)?)))
    }
}

impl Container for Table {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.0.contains_key(&key_of(key)?))
    }
}

/// Numbers and truth values are looked up by how they are written.
fn key_of(key: &dyn Val) -> Result<String, ExecutionError> {
    let key = cel::Value::try_from(key)?;
    let key = value::to_json(&key).ok();
    let key = key.and_then(|key| value::text_of(&key).ok().flatten());
    key.ok_or_else(|| ExecutionError::no_such_key("table"))
}
