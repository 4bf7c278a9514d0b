//! From options to an opened channel: compiles every expression and topic, and finds every mistake.

use std::collections::BTreeMap;

use patchbay_message::{Part, Severity};
use patchbay_sdk::{
    Problem, device,
    mapping::{Compiler, Tables, is_id},
    options::Problems,
    topic::{Target, Template},
};
use serde_json::Value;

use super::{
    Fleet,
    address::Shape,
    down::{self, DownRule},
    links,
    login::Logins,
    options::{Down, Offline, Options, Up},
    profile, rule,
    rule::Rule,
};

/// Rules of one channel, each way.
const RULES_MAX: usize = 200;

/// Topics are compiled as expressions are.
pub(super) trait Topics {
    /// A filter with names; a mistake if it is none.
    fn template(&mut self, path: &str, text: &str) -> Option<Template>;

    /// A topic with names; a mistake if it is none or has others.
    fn target(&mut self, path: &str, text: &str, names: &[&str]) -> Option<Target>;
}

impl Topics for Compiler<'_> {
    fn template(&mut self, path: &str, text: &str) -> Option<Template> {
        Template::parse(text)
            .map_err(|sentence| self.problems.add(path, sentence))
            .ok()
    }

    fn target(&mut self, path: &str, text: &str, names: &[&str]) -> Option<Target> {
        let target = Target::parse(text)
            .map_err(|sentence| self.problems.add(path, sentence))
            .ok()?;
        if let Some(name) = target.names().find(|name| !names.contains(name)) {
            let known = names.join("}`, `{");
            self.problems.add(
                path,
                format!("there is no `{{{name}}}` here; there are `{{{known}}}`"),
            );
        }
        Some(target)
    }
}

/// Opens the channel.
pub(super) fn open(options: &Options) -> Result<Fleet, Vec<Problem>> {
    let mut compiler = Compiler::new(&options.tables, &[rule::NAMES, down::NAMES]);
    let is_live = options.listen.is_some();
    let offline = offline(&options.offline, &mut compiler.problems);
    let (ups, downs) = rules(options);
    let shape = Shape::compile(options, &mut compiler);
    let mut rules = Vec::new();
    for (path, up) in &ups {
        rules.extend(Rule::compile(path, up, options, &mut compiler));
    }
    let mut down_rules = BTreeMap::new();
    for (name, (path, down)) in &downs {
        let rule = DownRule::compile(path, down, &shape, is_live, &mut compiler);
        down_rules.extend(rule.map(|rule| (name.clone(), rule)));
    }
    counts(options, &mut compiler.problems);
    let logins = Logins::compile(options, &shape, &mut compiler);
    addresses(
        options,
        &logins,
        &shape,
        (&rules, &down_rules),
        &mut compiler.problems,
    );
    let link = links::link(options, &rules, &mut compiler.problems);
    let problems = compiler.problems.found();
    let Some(link) = link.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    Ok(Fleet {
        link,
        rules,
        downs: down_rules,
        tables: Tables::new(&options.tables),
        shape,
        offline_code: options.offline.code.clone(),
        silence: offline,
        retained: options.retained,
        logins,
        connections: links::policy(options),
    })
}

type Ups = Vec<(String, Up)>;
type Downs = BTreeMap<String, (String, Down)>;

/// The channel's own rules, then the profile's.
fn rules(options: &Options) -> (Ups, Downs) {
    let own = options.up.iter().enumerate();
    let mut ups: Ups = own.map(|(i, up)| (format!("up.{i}"), up.clone())).collect();
    let own = options.down.iter();
    let mut downs: Downs = own
        .map(|(name, down)| (name.clone(), (format!("down.{name}"), down.clone())))
        .collect();
    if let Some(profile) = options.profile {
        let made = profile::rules(profile, &options.offline);
        for (i, up) in made.up.into_iter().enumerate() {
            ups.push((format!("profile.up.{i}"), up));
        }
        for (name, down) in made.down {
            let path = format!("profile.down.{name}");
            downs.entry(name).or_insert((path, down));
        }
    }
    (ups, downs)
}

fn offline(offline: &Offline, problems: &mut Problems) -> Option<Value> {
    problems.require(
        Severity::WORDS.contains(&offline.severity.as_str()),
        "offline.severity",
        "must be `critical`, `major`, `minor` or `warning`",
    );
    problems.require(
        is_id(&offline.code),
        "offline.code",
        "must not be empty or have control characters",
    );
    let after = offline.after?;
    let secs = patchbay_sdk::options::Duration::secs;
    let days = patchbay_sdk::options::Duration::days;
    problems.between("offline.after", after, secs(5), days(366));
    let severity = Severity::from(offline.severity.as_str());
    Some(device::silence(after.get(), &offline.code, &severity))
}

/// A device whose address is not written as topics need it could neither speak nor be spoken to.
fn addresses(
    options: &Options,
    logins: &Logins,
    shape: &Shape,
    (rules, downs): (&[Rule], &BTreeMap<String, DownRule>),
    problems: &mut Problems,
) {
    let names: Vec<&str> = shape.names().collect();
    let is_named = |name: &str| names.contains(&name);
    let are_named = rules.iter().any(|rule| rule.template.names().any(is_named))
        || downs.values().any(|rule| rule.names().any(is_named));
    for (i, address) in logins.addresses().filter(|_| are_named) {
        let Some(device) = options.devices.get(i) else {
            continue;
        };
        let says_itself = device.publish.is_some() && device.subscribe.is_some();
        let sentence = format!(
            "must be written as `address` says, with one level each for `{}`; else say what the \
             device may `publish` and `subscribe`",
            names.join("`, `")
        );
        problems.require(
            says_itself || shape.read(address).is_some(),
            &format!("devices.{i}.address"),
            &sentence,
        );
    }
}

fn counts(options: &Options, problems: &mut Problems) {
    let sentence = format!("{RULES_MAX} rules at most");
    problems.require(options.up.len() <= RULES_MAX, "up", &sentence);
    problems.require(options.down.len() <= RULES_MAX, "down", &sentence);
    problems.require(
        !options.up.is_empty() || options.profile.is_some(),
        "up",
        "says what devices say: at least one rule, or a `profile`",
    );
    for name in options.down.keys() {
        let is_word = Part::TYPES.contains(&name.as_str()) || is_id(name);
        problems.require(
            is_word,
            &format!("down.{name}"),
            "must be a kind of content or a command's name",
        );
    }
}
