//! The machine-readable description: as accepted, and as served.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::house::House;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json")
}

fn accepted() -> String {
    std::fs::read_to_string(path()).unwrap_or_default()
}

#[test]
fn the_description_is_as_accepted() {
    let path = path();
    let mut found = serde_json::to_string_pretty(&patchbay_api::openapi()).unwrap();
    found.push('\n');
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert!(
        accepted() == found,
        "the API's description has changed; if that is meant, run with UPDATE_EXPECT=1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_served_to_everyone() {
    let house = House::new().await;
    let served = house.call("GET", "/openapi.json").send().await.ok();
    let accepted: Value = serde_json::from_str(&accepted()).unwrap();
    assert_eq!(served, accepted);
}
