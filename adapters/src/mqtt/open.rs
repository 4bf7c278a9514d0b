//! From options to an opened channel: compiles every expression and topic, and finds every mistake.

use std::collections::BTreeMap;

use patchbay_message::{Part, Severity};
use patchbay_sdk::{
    Problem, device,
    expr::{Expr, Scope, Source, Table},
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
/// Tables of one channel, and entries of one table.
const TABLES_MAX: usize = 64;
const ENTRIES_MAX: usize = 1000;

/// What is compiled with: where mistakes go, and which tables there are.
pub(super) struct Compiler<'a> {
    pub(super) problems: Problems,
    /// Names of tables.
    pub(super) tables: Vec<&'a str>,
}

impl<'a> Compiler<'a> {
    /// The expression; a mistake if it is none.
    pub(super) fn expr(&mut self, path: &str, source: &Source, scope: Scope<'_>) -> Option<Expr> {
        self.compiled(path, Expr::compile, source, scope)
    }

    /// The tree; a mistake if something in it is wrong.
    pub(super) fn tree(&mut self, path: &str, source: &Source, scope: Scope<'_>) -> Option<Expr> {
        self.compiled(path, Expr::compile_tree, source, scope)
    }

    fn compiled(
        &mut self,
        path: &str,
        compile: impl Fn(&Source, Scope<'_>) -> Result<Expr, String>,
        source: &Source,
        scope: Scope<'_>,
    ) -> Option<Expr> {
        let variables: Vec<&str> = scope
            .variables
            .iter()
            .chain(&self.tables)
            .copied()
            .collect();
        let scope = Scope {
            variables: &variables,
            ..scope
        };
        compile(source, scope)
            .map_err(|sentence| self.problems.add(path, sentence))
            .ok()
    }

    /// The same for what need not be there.
    pub(super) fn maybe(
        &mut self,
        path: &str,
        source: Option<&Source>,
        scope: Scope<'_>,
    ) -> Option<Expr> {
        source.and_then(|source| self.expr(path, source, scope))
    }

    /// A filter with names; a mistake if it is none.
    pub(super) fn template(&mut self, path: &str, text: &str) -> Option<Template> {
        Template::parse(text)
            .map_err(|sentence| self.problems.add(path, sentence))
            .ok()
    }

    /// A topic with names; a mistake if it is none or has others.
    pub(super) fn target(&mut self, path: &str, text: &str, names: &[&str]) -> Option<Target> {
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
    let mut compiler = Compiler {
        problems: Problems::default(),
        tables: options.tables.keys().map(String::as_str).collect(),
    };
    let is_live = options.listen.is_some();
    let offline = offline(&options.offline, &mut compiler.problems);
    tables(options, &mut compiler.problems);
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
    let tables = options.tables.iter();
    Ok(Fleet {
        link,
        rules,
        downs: down_rules,
        tables: tables
            .map(|(name, table)| (name.clone(), Table::new(table.clone())))
            .collect(),
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
        rule::is_id(&offline.code),
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

fn tables(options: &Options, problems: &mut Problems) {
    let n = options.tables.len();
    problems.require(
        n <= TABLES_MAX,
        "tables",
        &format!("{TABLES_MAX} tables at most"),
    );
    for (name, table) in &options.tables {
        let path = format!("tables.{name}");
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        problems.require(is_name, &path, "a table's name has letters, digits and `_`");
        let is_taken = rule::NAMES.contains(&name.as_str()) || down::NAMES.contains(&name.as_str());
        problems.require(
            !is_taken,
            &path,
            "expressions have another thing of this name",
        );
        let n = table.len();
        problems.require(
            (1..=ENTRIES_MAX).contains(&n),
            &path,
            &format!("a table has 1 to {ENTRIES_MAX} entries"),
        );
    }
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
        let is_word = Part::TYPES.contains(&name.as_str()) || rule::is_id(name);
        problems.require(
            is_word,
            &format!("down.{name}"),
            "must be a kind of content or a command's name",
        );
    }
}
