//! Which crate may know which, read from `cargo metadata`. ARCHITECTURE.md tells why.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace, without its `patchbay-` prefix, and the ones its code may depend on.
///
/// `adapters` is pure translation: it sees the contract and nothing that does IO. `router` and `sinks` meet only
/// over the bus. Nothing depends on `gateway`, which puts the parts together.
const MAY_SEE: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("config", &[]),
    ("sdk", &["message", "config"]),
    ("mqtt", &["sdk"]),
    ("bus", &["message", "config"]),
    ("store", &["message", "config"]),
    ("adapters", &["message", "sdk"]),
    ("normalizer", &["message", "sdk"]),
    ("testkit", &["message", "sdk", "normalizer"]),
    ("router", &["message", "config", "sdk", "bus", "store"]),
    (
        "sinks",
        &["message", "config", "sdk", "mqtt", "bus", "store"],
    ),
    (
        "api",
        &["message", "config", "sdk", "bus", "store", "router"],
    ),
    (
        "gateway",
        &[
            "message",
            "config",
            "sdk",
            "mqtt",
            "bus",
            "store",
            "adapters",
            "normalizer",
            "testkit",
            "router",
            "sinks",
            "api",
        ],
    ),
];

/// Crates that would bring a second TLS provider beside rustls with ring.
const BANNED: &[&str] = &["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"];

#[test]
fn crates_depend_one_way() {
    let metadata = metadata(&["--no-deps"]);
    let may_see: BTreeMap<_, _> = MAY_SEE.iter().copied().collect();
    let mut mistakes = Vec::new();
    for package in array(&metadata["packages"]) {
        let name = short(&package["name"]);
        let Some(allowed) = may_see.get(name) else {
            mistakes.push(format!(
                "`{name}` is not in the list: say there what it may see"
            ));
            continue;
        };
        for dependency in array(&package["dependencies"]) {
            let target = short(&dependency["name"]);
            if is_ours(dependency) && is_normal(dependency) && !allowed.contains(&target) {
                mistakes.push(format!("`{name}` must not depend on `{target}`"));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn one_tls_provider() {
    let metadata = metadata(&["--all-features"]);
    let found: Vec<_> = array(&metadata["packages"])
        .iter()
        .filter_map(|package| package["name"].as_str())
        .filter(|name| BANNED.contains(name))
        .collect();
    let hint =
        "`cargo tree --workspace --all-features --target all -i NAME` shows where it comes from";
    assert!(
        found.is_empty(),
        "banned crates in the dependency tree: {found:?}; {hint}"
    );
}

fn metadata(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn short(name: &Value) -> &str {
    let name = name.as_str().expect("a package has a name");
    name.strip_prefix("patchbay-").unwrap_or(name)
}

fn is_ours(dependency: &Value) -> bool {
    dependency["path"].is_string()
}

/// Tests and build scripts may look further.
fn is_normal(dependency: &Value) -> bool {
    dependency["kind"].is_null()
}
