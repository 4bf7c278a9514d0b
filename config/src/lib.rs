//! The config folder: `patchbay.toml`, `channels/*.toml` and the environment, read into types.
//!
//! Files are the desired state. All mistakes of all files are found in one pass and shown with file, line and caret.
//! Secrets are named in the files, fetched here and never shown. What a channel's `[options]` mean is the adapter's
//! business; this crate keeps their places in the file for it.

mod bounds;
mod channel;
mod document;
mod env;
mod files;
mod load;
mod mistake;
mod path;
mod schema;
mod secret;
pub mod settings;
mod shape;
mod suggest;
mod units;
mod url;

pub use channel::{
    Auth, ChannelCommon, ChannelFile, Limits, OnDead, OnUnknown, Options, Retry, is_channel_id,
};
pub use files::Files;
pub use load::{Loaded, Loader};
pub use mistake::{Mistake, Mistakes};
pub use secret::Secret;
pub use settings::Config;
pub use shape::Trouble;
pub use suggest::hint;
pub use units::{ByteSize, Duration};
pub use url::{BlobsUrl, BusUrl, PublicUrl, StoreUrl};

/// JSON Schema of `patchbay.toml`.
#[must_use]
pub fn config_schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

/// JSON Schema of a channel's file; `options` is any table, its schema is the adapter's.
#[must_use]
pub fn channel_schema() -> schemars::Schema {
    schemars::schema_for!(ChannelCommon)
}
