//! Every metric in the code is in docs/metrics.md and the other way round; the dashboard asks for
//! no other.

use std::{collections::BTreeSet, fs, path::Path};

/// Names in backticks or quotes that begin like ours.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("patchbay_") {
        if text[..at].ends_with(word) {
            continue;
        }
        let name: String = text[at..].chars().take_while(|c| word(*c)).collect();
        found.insert(name);
    }
    found
}

fn in_code(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("read a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            let skipped = [
                "target",
                "node_modules",
                "tests",
                "console",
                "benches",
                ".git",
            ];
            if !skipped.iter().any(|skipped| name == *skipped) {
                in_code(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("read a source file");
            // In code a metric's name stands alone in quotes; crates are `patchbay_x::`.
            let quoted = text.split('"').skip(1).step_by(2);
            found.extend(
                quoted
                    .filter(|word| names(word).contains(*word))
                    .map(str::to_owned),
            );
        }
    }
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut code = BTreeSet::new();
    in_code(&root, &mut code);
    let docs = fs::read_to_string(root.join("docs/metrics.md")).expect("docs/metrics.md");
    let table: BTreeSet<String> = docs
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(names)
        .collect();
    assert_eq!(
        code.difference(&table).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not documented"
    );
    assert_eq!(
        table.difference(&code).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "documented, not there"
    );
    let dashboard = fs::read_to_string(root.join("docs/grafana.json")).expect("docs/grafana.json");
    let _: serde_json::Value = serde_json::from_str(&dashboard).expect("the dashboard is JSON");
    for name in names(&dashboard) {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name);
        assert!(table.contains(base), "the dashboard asks for {name}");
    }
}
