//! The object-safe face of an [`Adapter`]: what the list of adapters holds.

use schemars::Schema;

use crate::{Adapter, Channel, Manifest, Problem};

/// One kind of channel in the list of adapters.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What it is and can do.
    pub manifest: &'static Manifest,
    /// JSON Schema of its options; secrets carry `"x-secret": true`.
    pub schema: fn() -> Schema,
    /// How a log would show these options.
    pub debug: fn(serde_json::Value) -> Result<String, OpenError>,
    /// Checks options (secrets resolved) and opens a channel.
    pub open: fn(serde_json::Value) -> Result<Box<dyn Channel>, OpenError>,
}

/// Why a channel could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The options do not have the kind's shape: where serde stopped, and its sentence.
    #[error("{}: {}", .0.path, .0.sentence)]
    Shape(Problem),
    /// The options have the shape and are wrong.
    #[error("{} mistakes in the options", .0.len())]
    Problems(Vec<Problem>),
}

impl Kind {
    /// The list entry of an adapter.
    #[must_use]
    pub const fn of<A: Adapter>() -> Self {
        Self {
            manifest: const { &A::MANIFEST },
            schema: schema::<A>,
            debug: debug::<A>,
            open: open::<A>,
        }
    }
}

fn schema<A: Adapter>() -> Schema {
    schemars::schema_for!(A::Options)
}

fn debug<A: Adapter>(options: serde_json::Value) -> Result<String, OpenError> {
    read::<A>(options).map(|options| format!("{options:?}"))
}

fn open<A: Adapter>(options: serde_json::Value) -> Result<Box<dyn Channel>, OpenError> {
    let channel = A::open(read::<A>(options)?).map_err(OpenError::Problems)?;
    Ok(Box::new(channel))
}

fn read<A: Adapter>(options: serde_json::Value) -> Result<A::Options, OpenError> {
    serde_path_to_error::deserialize(options).map_err(|error| {
        OpenError::Shape(Problem::new(
            error.path().to_string(),
            error.inner().to_string(),
        ))
    })
}
