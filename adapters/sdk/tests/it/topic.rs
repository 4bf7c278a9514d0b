//! Topics and filters, against the specification and against a matcher written another way.

use patchbay_sdk::topic::{self, Target, Template, covers, matches, without_covered};
use proptest::prelude::*;

/// MQTT 5.0, section 4.7, read from the back: recursion over levels, no state.
fn naive(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        ([first, filter @ ..], [level, topic @ ..]) => {
            (*first == "+" || first == level) && naive(filter, topic)
        }
        _ => false,
    }
}

fn takes(filter: &str, topic: &str) -> bool {
    if filter.starts_with(['+', '#']) && topic.starts_with('$') {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    naive(&filter, &topic)
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("$SYS".to_owned()),
        Just("плант 1.2%2F".to_owned()),
        "[^/+#{}\\pC]{0,6}",
    ]
}

fn topic() -> impl Strategy<Value = String> {
    proptest::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a byte at least", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => level(), 1 => Just("+".to_owned())];
    (proptest::collection::vec(level, 1..5), any::<bool>())
        .prop_map(|(levels, open)| {
            let filter = levels.join("/");
            if open { format!("{filter}/#") } else { filter }
        })
        .prop_filter("a filter has a byte at least", |filter| !filter.is_empty())
}

proptest! {
    #[test]
    fn a_filter_takes_what_the_specification_says(filter in filter(), topic in topic()) {
        prop_assert_eq!(matches(&filter, &topic), takes(&filter, &topic), "{} {}", filter, topic);
    }

    #[test]
    fn what_is_covered_takes_nothing_more(outer in filter(), inner in filter(), topic in topic()) {
        if covers(&outer, &inner) && takes(&inner, &topic) {
            prop_assert!(takes(&outer, &topic), "{} {} {}", outer, inner, topic);
        }
    }

    #[test]
    fn dropping_covered_filters_loses_no_topic(
        filters in proptest::collection::vec(filter(), 1..6),
        topic in topic(),
    ) {
        let kept = without_covered(&filters);
        let any = |filters: &[String]| filters.iter().any(|filter| takes(filter, &topic));
        prop_assert_eq!(any(&filters), any(&kept), "{:?} {:?}", filters, kept);
        for (i, filter) in kept.iter().enumerate() {
            let others = kept.iter().enumerate().filter(|(j, _)| *j != i);
            prop_assert!(others.into_iter().all(|(_, other)| !covers(other, filter)), "{:?}", kept);
        }
    }

    /// Whatever an address or a command's name is: the topic has the levels of its template.
    #[test]
    fn a_value_never_leaves_its_level(value in any::<String>(), other in level()) {
        let target = Target::parse("factory/{site}/cmd-{device}/x").expect("a target");
        let built = target.build(&|name| {
            Some(if name == "site" { other.clone() } else { value.clone() })
        });
        if let Ok(topic) = built {
            prop_assert!(topic::is_topic(&topic));
            let levels: Vec<&str> = topic.split('/').collect();
            let device = format!("cmd-{value}");
            prop_assert_eq!(levels, vec!["factory", other.as_str(), device.as_str(), "x"]);
        } else {
            prop_assert!(!topic::is_level(&value) || !topic::is_level(&other));
        }
    }

    /// A permission made of a device's own names never takes what another device's takes.
    #[test]
    fn a_filter_with_a_name_in_it_is_for_that_name(value in any::<String>(), topic in topic()) {
        let template = Template::parse("a/{device}/#").expect("a template");
        let filter = template.filter_with(&|_| Some(value.clone()));
        if topic::is_level(&value) && matches(&filter, &topic) {
            prop_assert_eq!(topic.split('/').nth(1), Some(value.as_str()));
        }
    }

    #[test]
    fn any_text_is_a_template_or_a_sentence(text in "[a/+#{}$ \\PC]{0,30}", topic in any::<String>()) {
        if let Ok(template) = Template::parse(&text) {
            let found = template.captures(&topic);
            prop_assert_eq!(found.is_some(), matches(&template.filter(), &topic));
        }
        if let Ok(target) = Target::parse(&text) {
            let _ = target.build(&|_| Some(topic.clone()));
        }
    }
}

#[test]
fn names_get_their_levels() {
    let template = Template::parse("factory/{site}/+/{device}/#").expect("a template");
    assert_eq!(template.filter(), "factory/+/+/+/#");
    let found = template.captures("factory/plant.1/x/press 7%2F/a/b");
    let expected = vec![
        ("site", "plant.1"),
        ("device", "press 7%2F"),
        ("rest", "a/b"),
    ];
    assert_eq!(found, Some(expected));
    let parent = template.captures("factory/s/x/d");
    assert_eq!(
        parent,
        Some(vec![("site", "s"), ("device", "d"), ("rest", "")])
    );
    assert_eq!(template.captures("factory/s/x"), None);
    assert_eq!(template.captures("Factory/s/x/d"), None);
    let empty = Template::parse("/{a}//{b}").expect("a template");
    assert_eq!(empty.captures("/1//2"), Some(vec![("a", "1"), ("b", "2")]));
    assert_eq!(empty.captures("/1/x/2"), None);
}

#[test]
fn a_wildcard_does_not_stand_for_what_begins_with_a_dollar() {
    for filter in ["#", "+/broker", "{any}/broker"] {
        let template = Template::parse(filter).expect("a template");
        assert_eq!(template.captures("$SYS/broker"), None, "{filter}");
    }
    let own = Template::parse("$SYS/{what}").expect("a template");
    assert!(own.captures("$SYS/broker").is_some());
}

#[test]
fn what_is_no_filter_is_told_so() {
    for text in [
        "",
        "a/#/b",
        "a#",
        "a+",
        "a/{b",
        "a/{}",
        "a/{1x}",
        "{a}/{a}",
        "a\u{0}",
        "$share/g/a",
        "{rest}/#",
    ] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
    for text in ["", "a/+", "a/#", "a/{b", "a}/b", "a/{b-c}"] {
        assert!(Target::parse(text).is_err(), "{text}");
    }
    assert!(topic::check_filter("a/+/#").is_ok() && topic::check_filter("a/{b}").is_err());
}
