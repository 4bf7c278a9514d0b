//! Which topics are a device's own.

use patchbay_sdk::{
    MqttLogin, Reject,
    mapping::Compiler,
    topic::{self, Template},
};

use crate::mqtt::{Fleet, address::Shape, open::Topics as _};

/// Topic filters of one device, each way.
const FILTERS_MAX: usize = 64;

/// Topic filters with names; none = those of the channel's rules.
#[derive(Debug)]
pub(super) struct Topics {
    publish: Option<Vec<Template>>,
    subscribe: Option<Vec<Template>>,
}

impl Topics {
    pub(super) fn compile(
        path: &str,
        (publish, subscribe): (Option<&Vec<String>>, Option<&Vec<String>>),
        shape: &Shape,
        compiler: &mut Compiler<'_>,
    ) -> Self {
        let names: Vec<&str> = shape
            .names()
            .chain(["address", "username", "client_id"])
            .collect();
        let mut list = |key: &str, filters: Option<&Vec<String>>| {
            let filters = filters?;
            let sentence = format!("{FILTERS_MAX} topics at most");
            let at = format!("{path}.{key}");
            compiler
                .problems
                .require(filters.len() <= FILTERS_MAX, &at, &sentence);
            let compiled = filters.iter().enumerate().filter_map(|(i, text)| {
                let at = format!("{at}.{i}");
                let template = compiler.template(&at, text)?;
                let is_strange = |name: &&str| *name != topic::REST && !names.contains(name);
                if let Some(name) = template.names().find(is_strange) {
                    let known = names.join("}`, `{");
                    let sentence =
                        format!("there is no `{{{name}}}` here; there are `{{{known}}}`");
                    compiler.problems.add(at, sentence);
                }
                Some(template)
            });
            Some(compiled.collect())
        };
        Self {
            publish: list("publish", publish),
            subscribe: list("subscribe", subscribe),
        }
    }
}

/// A device, to find its topics.
pub(super) struct Own<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) address: &'a str,
    pub(super) given: MqttLogin<'a>,
}

impl Own<'_> {
    pub(super) fn publish(&self, topics: &Topics) -> Result<Vec<String>, Reject> {
        match &topics.publish {
            Some(filters) => filters.iter().map(|filter| self.filter(filter)).collect(),
            None => {
                // Levels that are names of an address are this device's; the others may be any.
                let names: Vec<&str> = self.fleet.shape.names().collect();
                let rules = self.fleet.rules.iter().map(|rule| &rule.template);
                let rules = rules.filter(|template| {
                    template
                        .names()
                        .all(|name| !names.contains(&name) || self.value(name).is_some())
                });
                let filters: Vec<String> = rules
                    .map(|template| template.filter_with(&|name| self.value_of(name, &names)))
                    .collect();
                Ok(topic::without_covered(&filters))
            }
        }
    }

    pub(super) fn subscribe(&self, topics: &Topics) -> Result<Vec<String>, Reject> {
        match &topics.subscribe {
            Some(filters) => filters.iter().map(|filter| self.filter(filter)).collect(),
            None => {
                let rules = self.fleet.downs.values();
                let filters: Vec<String> = rules
                    .filter_map(|rule| rule.filter(&self.fleet.shape, self.address))
                    .collect();
                Ok(topic::without_covered(&filters))
            }
        }
    }

    /// A filter of the file with this device's names in it. One that cannot stand in a level must
    /// not become `+`: the device would get everybody's topics.
    fn filter(&self, template: &Template) -> Result<String, Reject> {
        let mut names = template.names().filter(|name| *name != topic::REST);
        if names.all(|name| self.value(name).is_some_and(|it| topic::is_level(&it))) {
            Ok(template.filter_with(&|name| self.value(name)))
        } else {
            Err(Reject::Unauthorized)
        }
    }

    fn value_of(&self, name: &str, names: &[&str]) -> Option<String> {
        names.contains(&name).then(|| self.value(name)).flatten()
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "address" => Some(self.address.to_owned()),
            "username" => self.given.username.map(str::to_owned),
            "client_id" => Some(self.given.client_id.to_owned()),
            name => {
                let names = self.fleet.shape.read(self.address)?;
                let mut names = names.into_iter();
                names
                    .find(|(own, _)| *own == name)
                    .map(|(_, value)| value.to_owned())
            }
        }
    }
}
