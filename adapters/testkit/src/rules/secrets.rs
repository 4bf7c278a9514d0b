//! A secret stands in no text but a request to the provider.

use patchbay_sdk::{Kind, Session};
use serde_json::{Map, Value, json};

use crate::{
    Report,
    act::Incoming,
    docs::{self, rows},
    fixture::{Fixtures, StepFile},
    play::{self, Moment},
    rules::options,
};

/// A shorter one could be found by chance.
const SECRET_CHARS_MIN: usize = 12;

pub(crate) fn check(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    let id = kind.manifest.id;
    let setting = &fixtures.setting.options;
    let secrets = secrets(kind, setting);
    for secret in &secrets {
        report.check(secret.len() >= SECRET_CHARS_MIN, id, || {
            format!("a secret in channel.json has fewer than {SECRET_CHARS_MIN} characters")
        });
    }
    let shown = (kind.debug)(Value::Object(setting.clone())).unwrap_or_default();
    hidden(&secrets, &shown, id, "Debug of the options", report);
    of_mistakes(kind, setting, &secrets, report);
    for file in &fixtures.files {
        let _ = play::play(kind, &fixtures.setting, file, &mut |moment, found| {
            let secrets = self::secrets(kind, moment.options);
            hidden(
                &secrets,
                &without_requests(found),
                moment.place,
                "the outcome",
                report,
            );
            hidden(
                &secrets,
                &debug(moment),
                moment.place,
                "Debug of the outcome",
                report,
            );
        });
    }
}

/// A secret of the wrong shape, or in the wrong place, is not shown by the sentence that refuses it.
fn of_mistakes(kind: &Kind, setting: &Map<String, Value>, secrets: &[String], report: &mut Report) {
    for row in rows(kind) {
        for secret in secrets {
            for wrong in [json!({ "is": secret }), json!([[secret]]), json!(secret)] {
                let mut options = Value::Object(setting.clone());
                *docs::place(&mut options, &row.path) = wrong;
                let options = options.as_object().cloned().unwrap_or_default();
                // Text in an option for text is no mistake; a secret where a word is expected is
                // shown by serde, and would be shown by the line of the file too.
                if !row.is_secret {
                    continue;
                }
                let sentences = format!("{:?}", options::problems(kind, options));
                let place = format!("a mistake in `{}`", row.path);
                hidden(
                    std::slice::from_ref(secret),
                    &sentences,
                    kind.manifest.id,
                    &place,
                    report,
                );
            }
        }
    }
}

fn hidden(secrets: &[String], text: &str, place: &str, what: &str, report: &mut Report) {
    let is_hidden = !secrets.iter().any(|secret| text.contains(secret.as_str()));
    report.check(is_hidden, place, || format!("{what} shows a secret"));
}

fn debug(moment: &Moment<'_>) -> String {
    let mut session: Session = moment.session.clone();
    let incoming = StepFile::clone(moment.step);
    match Incoming::of(&incoming) {
        Ok(Some(incoming)) => {
            let found = incoming.decode(moment.channel, moment.surroundings, &mut session);
            format!("{found:?}")
        }
        _ => String::new(),
    }
}

fn without_requests(found: &Value) -> String {
    let mut found = found.clone();
    if let Some(map) = found.as_object_mut() {
        map.remove("requests");
    }
    found.to_string()
}

/// The texts of every option that is a secret.
fn secrets(kind: &Kind, options: &Map<String, Value>) -> Vec<String> {
    let options = Value::Object(options.clone());
    let rows = rows(kind).into_iter().filter(|row| row.is_secret);
    let values: Vec<Value> = rows
        .flat_map(|row| {
            docs::all(&options, &row.path)
                .into_iter()
                .cloned()
                .collect::<Vec<_>>()
        })
        .collect();
    values
        .into_iter()
        .flat_map(|value| match value {
            Value::Array(items) => items,
            one => vec![one],
        })
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}
