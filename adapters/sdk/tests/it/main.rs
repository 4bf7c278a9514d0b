//! What adapters lean on.

mod device;
mod expr;
mod ids;
mod json;
mod options;
mod plain;
mod topic;
mod verify;
