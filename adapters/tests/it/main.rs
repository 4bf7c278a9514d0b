//! Every adapter by its fixtures and by the rules all obey; an adapter's author writes nothing here.

mod mqtt;
mod outside;
mod wechat;

use std::path::{Path, PathBuf};

use patchbay_testkit::Suite;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures() -> PathBuf {
    here().join("fixtures")
}

fn suite() -> Suite {
    Suite::new(patchbay_adapters::ALL, fixtures())
        .docs(here().join("../docs/channels"))
        .sources(here().join("src"))
}

#[test]
fn every_fixture_is_as_expected() {
    suite().run_fixtures().assert();
}

#[test]
fn every_adapter_obeys_the_rules() {
    suite().run_rules().assert();
}

#[test]
fn no_bytes_make_an_adapter_panic() {
    suite().run_fuzz().assert();
}
