//! The list of adapters: one file each, one line here.

use patchbay_sdk::Kind;

/// Every kind of channel that is built in.
pub const ALL: &[Kind] = &[];
