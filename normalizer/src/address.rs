//! Addresses: one way to write each, so that the same person is found again.

use patchbay_sdk::Handles;
use phonenumber::{Mode, country};

/// Digits of the longest number (ITU-T E.164, section 6.1) and of the shortest that has a country.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Characters of a number with everything people put between its digits.
const PHONE_CHARS_MAX: usize = 40;

/// Reads the numbering plans of the world, which takes a third of a second, so that the first text
/// message does not have to wait for it.
pub fn warm_up() {
    let _ = valid(None, "+14155552671");
}

pub(crate) fn canonical(address: String, handles: Handles, region: Option<&str>) -> String {
    match handles {
        Handles::Opaque => address,
        Handles::Phone => phone(address.trim(), region),
        Handles::Mailbox => mailbox(address.trim()),
    }
}

/// `tel:+..` for a number; short codes and names of senders stay as they are.
fn phone(text: &str, region: Option<&str>) -> String {
    let mut number = text;
    while let Some(rest) = number.strip_prefix("tel:") {
        number = rest.trim();
    }
    e164(number, region).map_or_else(|| number.to_owned(), |number| format!("tel:{number}"))
}

fn e164(number: &str, region: Option<&str>) -> Option<String> {
    let is_phone = number.len() <= PHONE_CHARS_MAX
        && number
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+()-. /".contains(&b));
    if !is_phone {
        return None;
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if number.starts_with('+') {
        // Metadata of numbering plans grows old: an unknown number in full form is still a number.
        let full = || DIGITS.contains(&digits.len()).then(|| format!("+{digits}"));
        return valid(None, number).or_else(full);
    }
    let region = region.and_then(|region| region.parse::<country::Id>().ok());
    let national = region.and_then(|region| valid(Some(region), number));
    // Gateways often leave out the plus of a full number.
    national.or_else(|| {
        DIGITS
            .contains(&digits.len())
            .then(|| valid(None, &format!("+{digits}")))?
    })
}

fn valid(region: Option<country::Id>, number: &str) -> Option<String> {
    let number = phonenumber::parse(region, number).ok()?;
    phonenumber::is_valid(&number).then(|| number.format().mode(Mode::E164).to_string())
}

/// The domain in lower case. The part before the `@` belongs to the domain's owner, who may tell
/// case apart (RFC 5321, section 2.4).
fn mailbox(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => text.to_owned(),
    }
}
