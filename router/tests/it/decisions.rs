//! Decisions by fixtures: `fixtures/decide/<name>.json` says what is known and what was delivered,
//! `<name>.expect.json` what is to be written. `UPDATE_EXPECT=1` writes the latter anew.

mod given;
mod view;

use std::{fs, path::Path};

use patchbay_router::decide::{self, Context, Rules};
use patchbay_store::Fence;
use serde_json::Value;
use uuid::Uuid;

use self::given::Given;

fn run(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    let given: Given =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fence = Fence {
        name: "inbound.3".into(),
        epoch: 5,
    };
    let context = Context {
        fence: &fence,
        partition: 3,
        outbox_seq: given.outbox_seq,
        rules: &Rules::default(),
        now: given.now,
    };
    let mut n = 0xc000_u128;
    let mut ids = || {
        n += 1;
        Uuid::from_u128(n)
    };
    view::view(&decide::decide(
        &given.batch(),
        given.facts(),
        &context,
        &mut ids,
    ))
}

#[test]
fn batches_are_decided_as_the_fixtures_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/decide");
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".expect.json") {
            continue;
        }
        seen += 1;
        let found = format!("{:#}\n", run(&path));
        let expected = path.with_extension("expect.json");
        if update {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{name} gives\n{found}"));
        }
    }
    assert!(seen > 0, "no fixtures in {}", folder.display());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
