//! Plays a story: gives its steps to an adapter, and tells what came of each.

use std::{cell::RefCell, collections::BTreeMap};

use patchbay_sdk::{Channel, Kind, OpenError, Session};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Report, act,
    fixture::{File, Fixtures, Setting, StepFile, Story, merged},
    golden,
    pinned::{Seeded, Surroundings},
};

/// A step about to be taken: what the rules look at.
pub(crate) struct Moment<'a> {
    pub(crate) place: &'a str,
    pub(crate) kind: &'a Kind,
    pub(crate) setting: &'a Setting,
    pub(crate) channel: &'a dyn Channel,
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) session: &'a Session,
    pub(crate) step: &'a StepFile,
    /// The story's options, complete.
    pub(crate) options: &'a Map<String, Value>,
}

/// Plays every story and compares it with what is expected.
pub(crate) fn compare(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    for file in &fixtures.files {
        let mut fresh = file.raw.clone();
        let played = play(kind, &fixtures.setting, file, &mut |moment, found| {
            let (expected, found) = (golden::pretty(&moment.step.expect), golden::pretty(found));
            report.check(
                expected == found || golden::is_updating(),
                moment.place,
                || {
                    format!(
                        "differs; UPDATE_EXPECT=1 writes it anew\n{}",
                        golden::difference(&expected, &found)
                    )
                },
            );
        });
        match played {
            Ok(found) => {
                for (i, found) in found.into_iter().enumerate() {
                    fresh["steps"][i]["expect"] = found;
                }
                let (fresh, stored) = (golden::pretty(&fresh), golden::pretty(&file.raw));
                if fresh != stored && golden::is_updating() {
                    golden::write(&file.path, &fresh, &file.name(), report);
                }
            }
            Err(sentence) => report.fail(&file.name(), sentence),
        }
    }
}

/// Plays one story. `watch` sees every step with what came of it; the session is the one before it.
pub(crate) fn play(
    kind: &Kind,
    setting: &Setting,
    file: &File,
    watch: &mut dyn FnMut(&Moment<'_>, &Value),
) -> Result<Vec<Value>, String> {
    let story = Story::deserialize(&file.raw).map_err(|error| error.to_string())?;
    let options = merged(&setting.options, &story.options);
    let channel = open(kind, &options)?;
    let mut surroundings = surroundings(setting);
    surroundings.tokens = story.tokens;
    let mut session = Session::default();
    let mut saved = BTreeMap::new();
    let mut outcomes = Vec::new();
    for i in 0..story.steps.len() {
        let place = format!("{} step {}", file.name(), i + 1);
        let raw = filled(file.raw["steps"][i].clone(), &saved);
        let mut step =
            StepFile::deserialize(raw).map_err(|error| format!("step {}: {error}", i + 1))?;
        step.expect.clone_from(&file.raw["steps"][i]["expect"]);
        if let Some(after) = step.after {
            surroundings.now = surroundings.now.plus(after.get());
        }
        surroundings.random = Seeded::new(seed(&file.name(), i));
        let before = session.clone();
        let found = act::take(kind, channel.as_ref(), &surroundings, &mut session, &step)
            .map_err(|sentence| format!("step {}: {sentence}", i + 1))?;
        let moment = Moment {
            place: &place,
            kind,
            setting,
            channel: channel.as_ref(),
            surroundings: &surroundings,
            session: &before,
            step: &step,
            options: &options,
        };
        watch(&moment, &found);
        save(&step, &found, &mut saved)?;
        outcomes.push(found);
    }
    Ok(outcomes)
}

pub(crate) fn open(kind: &Kind, options: &Map<String, Value>) -> Result<Box<dyn Channel>, String> {
    (kind.open)(Value::Object(options.clone())).map_err(|error| match error {
        OpenError::Shape(problem) => format!("{}: {}", problem.path, problem.sentence),
        OpenError::Problems(problems) => format!("{problems:?}"),
    })
}

pub(crate) fn surroundings(setting: &Setting) -> Surroundings {
    Surroundings {
        now: setting.now,
        random: Seeded::new(0),
        public_url: setting.public_url.clone(),
        channel: setting.channel.clone(),
        tokens: BTreeMap::new(),
        fetched: RefCell::default(),
        slot: RefCell::default(),
    }
}

fn save(
    step: &StepFile,
    found: &Value,
    saved: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    for (name, pointer) in &step.save {
        let value = found.pointer(pointer);
        let value = value.ok_or_else(|| format!("`save`: nothing at `{pointer}` in {found}"))?;
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        saved.insert(format!("{{{{{name}}}}}"), text);
    }
    Ok(())
}

/// Puts saved values where `{{name}}` stands.
fn filled(value: Value, saved: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            let fill = |text: String, (name, value): (&String, &String)| text.replace(name, value);
            Value::String(saved.iter().fold(text, fill))
        }
        Value::Array(items) => items.into_iter().map(|item| filled(item, saved)).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, filled(value, saved)))
            .collect(),
        plain => plain,
    }
}

/// Every step has random bytes of its own, the same in every run.
fn seed(name: &str, step: usize) -> u64 {
    let fold = |seed: u64, byte: u8| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(step as u64 + 1, fold)
}
