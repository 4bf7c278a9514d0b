//! The rules find what they are for: a small adapter passes, and fails when it has a flaw. And the fake
//! providers refuse what the real ones refuse.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod flaws;
mod gate;
mod toy;
mod wechat;

use patchbay_sdk::Kind;
use patchbay_testkit::Suite;

fn suite(kinds: &'static [Kind]) -> Suite {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    Suite::new(kinds, here.join("fixtures")).docs(here.join("docs"))
}
