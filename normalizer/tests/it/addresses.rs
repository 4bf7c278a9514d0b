//! One way to write each address.

use patchbay_normalizer::{NormalizeCx, normalize_message};
use patchbay_sdk::{Handles, InboundMessage};

use crate::{cx, from};

fn address(text: &str, handles: Handles, region: Option<&str>) -> String {
    let cx = NormalizeCx {
        region: region.map(str::to_owned),
        ..cx()
    };
    let message = InboundMessage {
        handles,
        ..from(text)
    };
    let envelope = normalize_message(message, &cx).expect("good");
    envelope.sender.expect("a sender").address
}

#[test]
fn phone_numbers_are_e164() {
    let cases = [
        ("+86 138 0013 8000", None, "tel:+8613800138000"),
        ("13800138000", Some("CN"), "tel:+8613800138000"),
        ("8613800138000", Some("CN"), "tel:+8613800138000"),
        ("8613800138000", None, "tel:+8613800138000"),
        ("447911123456", None, "tel:+447911123456"),
        ("07911 123456", Some("GB"), "tel:+447911123456"),
        ("+44 (0)20 7946 0018", None, "tel:+442079460018"),
        ("tel:+44 20 7946 0018", None, "tel:+442079460018"),
        ("(415) 555-2671", Some("US"), "tel:+14155552671"),
        // Not in the numbering plan, and yet in full form: kept as a number.
        ("+999 1234 5678", None, "tel:+99912345678"),
    ];
    for (text, region, canonical) in cases {
        assert_eq!(address(text, Handles::Phone, region), canonical, "{text}");
    }
}

#[test]
fn short_codes_and_names_of_senders_are_no_numbers() {
    for text in ["10086", "106980000000000000", "ACME", "110", "+123"] {
        assert_eq!(address(text, Handles::Phone, Some("CN")), text);
    }
    assert_eq!(
        address("13800138000", Handles::Phone, None),
        "13800138000",
        "no country to guess"
    );
    assert_eq!(
        address("13800138000", Handles::Phone, Some("XX")),
        "13800138000"
    );
}

#[test]
fn the_domain_of_a_mailbox_is_in_lower_case() {
    assert_eq!(
        address(" Alice.B@Example.COM ", Handles::Mailbox, None),
        "Alice.B@example.com"
    );
    assert_eq!(
        address("\"a@b\"@Example.com", Handles::Mailbox, None),
        "\"a@b\"@example.com"
    );
    assert_eq!(address("postmaster", Handles::Mailbox, None), "postmaster");
}

#[test]
fn ids_of_a_provider_are_kept_to_the_byte() {
    for id in [
        "oABC-xyz_123",
        "Site/A@B",
        "+8613800138000",
        " x ",
        "e\u{301}",
    ] {
        assert_eq!(address(id, Handles::Opaque, Some("CN")), id);
    }
}
