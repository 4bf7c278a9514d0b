//! Ids that an adapter makes itself.

use patchbay_message::Time;
use patchbay_sdk::{Cx, Random};

struct Fixed(u8);

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// Time, version 7, variant 10 and the random bits, as RFC 9562 lays them out (section 5.7).
#[test]
fn a_message_id_is_of_its_time_and_its_random_bytes() {
    let id = |ms, random: &dyn Random| {
        let cx = Cx {
            now: Time::from_ms(ms),
            random,
            public_url: "",
            channel: "c",
            peer: None,
            token: &|_| None,
        };
        cx.message_id().to_string()
    };
    assert_eq!(
        id(0x017F_22E2_79B0, &Fixed(0)),
        "017f22e2-79b0-7000-8000-000000000000"
    );
    assert_eq!(
        id(0x017F_22E2_79B0, &Fixed(0xff)),
        "017f22e2-79b0-7fff-bfff-ffffffffffff"
    );
    assert!(id(1000, &Fixed(0xff)) < id(1001, &Fixed(0)));
}
