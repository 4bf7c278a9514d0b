//! Options: each says what it is, a wrong one is refused by name.

use patchbay_sdk::{Kind, OpenError};
use serde_json::{Map, Value, json};

use crate::{
    Report,
    docs::{self, Row, rows},
    fixture::{Fixtures, merged},
    play,
};

/// A key that no adapter has.
const STRANGE: &str = "no_such_option";

pub(crate) fn check(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    let id = kind.manifest.id;
    let options = &fixtures.setting.options;
    if let Err(sentence) = play::open(kind, options) {
        report.fail(&format!("{id}/channel.json"), sentence);
        return;
    }
    let rows = rows(kind);
    report.check(!rows.is_empty(), id, || {
        "the options have no schema".to_owned()
    });
    for row in &rows {
        report.check(!row.about.is_empty(), id, || {
            format!("the option `{}` has no description", row.path)
        });
    }
    strange(kind, options, &rows, report);
    missing(kind, options, &rows, report);
    for bad in &fixtures.setting.bad_options {
        let options = merged(options, &bad.options);
        let paths = problems(kind, options).into_iter().map(|(path, _)| path);
        let paths: Vec<String> = paths.collect();
        report.check(paths.contains(&bad.path), id, || {
            format!(
                "{} must be refused at `{}`; refused: {paths:?}",
                json!(bad.options),
                bad.path
            )
        });
    }
}

/// An unknown key, at the top and in every table, is refused by a sentence that names the known ones.
fn strange(kind: &Kind, options: &Map<String, Value>, rows: &[Row], report: &mut Report) {
    let mut tables: Vec<&str> = rows.iter().filter_map(|row| row.table()).collect();
    tables.push("");
    tables.dedup();
    for table in tables {
        let mut options = Value::Object(options.clone());
        let known = rows
            .iter()
            .filter(|row| row.table().unwrap_or_default() == table);
        let place = docs::place(&mut options, table);
        if !place.is_object() {
            *place = json!({});
        }
        place[STRANGE] = json!(1);
        let options = options.as_object().cloned().unwrap_or_default();
        let found = problems(kind, options);
        let names = |key: &str| {
            let (strange, known) = (format!("`{STRANGE}`"), format!("`{key}`"));
            found
                .iter()
                .any(|(_, sentence)| sentence.contains(&strange) && sentence.contains(&known))
        };
        for row in known {
            report.check(names(row.key()), kind.manifest.id, || {
                format!("an unknown option beside `{}` must be refused by a sentence that names it; refused: {found:?}", row.path)
            });
        }
    }
}

fn missing(kind: &Kind, options: &Map<String, Value>, rows: &[Row], report: &mut Report) {
    for row in rows
        .iter()
        .filter(|row| row.is_required && row.table().is_none())
    {
        let mut options = options.clone();
        options.remove(&row.path);
        let found = problems(kind, options);
        let good = found
            .iter()
            .any(|(_, sentence)| sentence.contains(&row.path));
        report.check(good, kind.manifest.id, || {
            format!(
                "without `{}` no channel may open; refused: {found:?}",
                row.path
            )
        });
    }
}

/// Path and sentence of every mistake; empty if the channel opens.
pub(crate) fn problems(kind: &Kind, options: Map<String, Value>) -> Vec<(String, String)> {
    let problems = match (kind.open)(Value::Object(options)) {
        Ok(_) => Vec::new(),
        Err(OpenError::Shape(problem)) => vec![problem],
        Err(OpenError::Problems(problems)) => problems,
    };
    problems
        .into_iter()
        .map(|problem| (problem.path, problem.sentence))
        .collect()
}
