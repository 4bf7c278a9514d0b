//! What every adapter obeys, checked on its own fixtures.

mod authentic;
mod keys;
pub(crate) mod naming;
mod options;
mod secrets;
mod sending;

use patchbay_sdk::Kind;

use crate::{Report, fixture::Fixtures};

pub(crate) fn check(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    options::check(kind, fixtures, report);
    secrets::check(kind, fixtures, report);
    authentic::check(kind, fixtures, report);
    keys::check(kind, fixtures, report);
    sending::check(kind, fixtures, report);
}
