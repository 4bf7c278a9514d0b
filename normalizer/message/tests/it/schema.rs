//! The published JSON Schema is the one of the code.

use std::{env, fs, path::PathBuf};

use patchbay_message::{Envelope, Part};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema/envelope-v1.json")
}

#[test]
fn the_published_schema_is_fresh() {
    let schema = schemars::schema_for!(Envelope);
    let fresh = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(golden(), &fresh).expect("the folder is there");
    }
    let stored = fs::read_to_string(golden()).unwrap_or_default();
    assert!(
        stored == fresh,
        "schema/envelope-v1.json is old: run the tests with UPDATE_EXPECT=1"
    );
}

#[test]
fn the_schema_knows_every_kind_of_part() {
    let schema = fs::read_to_string(golden()).expect("published");
    for kind in Part::TYPES {
        assert!(schema.contains(&format!("\"const\": \"{kind}\"")), "{kind}");
    }
}
