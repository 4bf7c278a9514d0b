//! Topic names and filters (MQTT 5.0, section 4.7; the same in 3.1.1).

/// Bytes of a topic name or filter.
const BYTES_MAX: usize = 65_535;

/// Whether it can be published to: not empty, no wildcard, no null character.
#[must_use]
pub fn is_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= BYTES_MAX && !topic.contains(['+', '#', '\0'])
}

/// Whether it can be subscribed to: wildcards stand alone in their level, `#` comes last.
#[must_use]
pub fn is_filter(filter: &str) -> bool {
    let good = !filter.is_empty() && filter.len() <= BYTES_MAX && !filter.contains('\0');
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        match level {
            "+" => {}
            "#" if is_last => {}
            level if level.contains(['+', '#']) => return false,
            _ => {}
        }
    }
    good
}

/// Whether a filter matches a topic. A wildcard in the first level matches no topic that begins
/// with `$` (section 4.7.2).
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            // `a/#` matches `a` too.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether everything that `filter` matches is matched by `permit` too.
#[must_use]
pub fn covers(permit: &str, filter: &str) -> bool {
    if filter.starts_with('$') && permit.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = filter.split('/');
    for allowed in permit.split('/') {
        match (allowed, levels.next()) {
            ("#", _) => return true,
            (_, Some("#")) => return false,
            ("+", Some(_)) => {}
            (allowed, Some(level)) if allowed == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_are_told_apart() {
        for good in ["a", "/", "a/b", "工厂/冷柜", "$SYS/x", " ", "a.b/c"] {
            assert!(is_name(good) && is_filter(good), "{good}");
        }
        for wild in ["#", "+", "a/#", "+/b/#", "/+"] {
            assert!(!is_name(wild) && is_filter(wild), "{wild}");
        }
        for bad in ["", "a\0b", "a#", "#/a", "a+/b", "++", "a/#/b"] {
            assert!(!is_name(bad) && !is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn filters_match_by_level() {
        let all = [
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+/b", "/b", true),
            ("+", "冷柜", true),
            ("#", "$SYS/a", false),
            ("+/a", "$SYS/a", false),
            ("$SYS/#", "$SYS/a", true),
            ("a/b", "a/B", false),
        ];
        for (filter, topic, expected) in all {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn a_permit_covers_what_is_narrower() {
        let all = [
            ("a/#", "a/#", true),
            ("a/#", "a/+/c", true),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/b", "a/+", false),
            ("a/b", "#", false),
            ("#", "a/+/#", true),
            ("#", "$SYS/#", false),
        ];
        for (permit, filter, expected) in all {
            assert_eq!(covers(permit, filter), expected, "{permit} over {filter}");
        }
    }
}
