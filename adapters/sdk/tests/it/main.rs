//! What adapters lean on.

mod ids;
mod json;
mod options;
mod plain;
mod verify;
