//! A part as plain text, for channels that cannot show it as it is.

use patchbay_message::{Choice, Content, Media, Part};

/// The part as text; none if it has nothing to read (a recall, a reading).
#[must_use]
pub fn plain_text(content: &Content) -> Option<String> {
    let Content::Known(part) = content else {
        return None;
    };
    match part {
        Part::Text { text, .. } | Part::Edit { text, .. } => Some(text.clone()),
        Part::Image { media, .. }
        | Part::Audio { media, .. }
        | Part::Video { media, .. }
        | Part::File { media, .. } => Some(of_media(media)),
        Part::Location {
            location, label, ..
        } => {
            let place = format!("{}, {}", location.lat, location.lon);
            Some(lines([label.as_deref(), Some(&place)]))
        }
        Part::Contact {
            name, addresses, ..
        } => Some(lines(
            [Some(name.as_str())]
                .into_iter()
                .chain(addresses.iter().map(|a| Some(a.as_str()))),
        )),
        Part::Choice { text, options, .. } => Some(of_choice(text.as_deref(), options)),
        Part::Card {
            title, text, url, ..
        } => Some(lines([
            Some(title.as_str()),
            text.as_deref(),
            url.as_deref(),
        ])),
        Part::Fault { fault, .. } => {
            let what = format!(
                "{} {} {}: {}",
                fault.device, fault.code, fault.severity, fault.state
            );
            Some(lines([Some(what.as_str()), fault.text.as_deref()]))
        }
        Part::Html { .. }
        | Part::Template { .. }
        | Part::Event { .. }
        | Part::Telemetry { .. }
        | Part::Command { .. }
        | Part::Reaction { .. }
        | Part::Recall { .. }
        | Part::Unsupported { .. } => None,
    }
}

fn of_media(media: &Media) -> String {
    lines([
        media.caption.as_deref(),
        media.name.as_deref(),
        Some(&media.url),
    ])
}

fn of_choice(question: Option<&str>, options: &[Choice]) -> String {
    let options: Vec<String> = options
        .iter()
        .enumerate()
        .map(|(i, option)| format!("{}. {}", i + 1, option.label))
        .collect();
    lines(
        [question]
            .into_iter()
            .chain(options.iter().map(|option| Some(option.as_str()))),
    )
}

fn lines<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let texts: Vec<&str> = texts
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    texts.join("\n")
}
