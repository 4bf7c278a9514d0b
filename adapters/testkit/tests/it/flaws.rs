//! One flaw at a time, and the sentence that finds it.

use patchbay_sdk::{Kind, options::Secrets};
use patchbay_testkit::Report;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    suite,
    toy::{Options, Settings, Toy},
};

pub(crate) const SIGNATURE_IGNORED: u8 = 1;
pub(crate) const NEVER_STALE: u8 = 2;
pub(crate) const ANY_ACCOUNT: u8 = 3;
pub(crate) const KEY_OF_TIME: u8 = 4;
pub(crate) const NO_KEY: u8 = 5;
pub(crate) const UNKNOWN_IS_SENT: u8 = 6;
pub(crate) const SECRET_IN_ANSWER: u8 = 7;
pub(crate) const PANIC_IN_DECODE: u8 = 8;
pub(crate) const PANIC_IN_SEND: u8 = 9;
pub(crate) const LONG_ID: u8 = 10;

/// Takes options it does not know.
#[derive(Debug, Deserialize, JsonSchema)]
struct Loose {
    /// Shared with the provider.
    secrets: Secrets,
    /// Our account there.
    account: String,
}

/// Does not say what an option is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mute {
    /// Shared with the provider.
    secrets: Secrets,
    account: String,
}

/// Shows its secret to whoever logs it, and opens without an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Leaky {
    /// Shared with the provider.
    secrets: Secrets,
    /// Our account there.
    account: String,
}

impl std::fmt::Debug for Leaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secrets: Vec<&str> = self
            .secrets
            .all()
            .iter()
            .map(|secret| secret.expose())
            .collect();
        write!(f, "{secrets:?} {}", self.account)
    }
}

macro_rules! settings {
    ($($name:ident),*) => {$(
        impl Settings for $name {
            fn secrets(&self) -> &Secrets {
                &self.secrets
            }
            fn account(&self) -> &str {
                &self.account
            }
        }
    )*};
}
settings!(Loose, Mute, Leaky);

#[test]
fn an_adapter_without_a_flaw_passes() {
    static GOOD: &[Kind] = &[Kind::of::<Toy>()];
    let report = suite(GOOD).run();
    report.assert();
    assert!(report.checks() > 500, "{} checks", report.checks());
}

#[track_caller]
fn finds(kinds: &'static [Kind], sentence: &str) {
    finds_in(&suite(kinds).run_rules(), sentence);
}

#[track_caller]
pub(crate) fn finds_in(report: &Report, sentence: &str) {
    let is_found = report
        .failures()
        .iter()
        .any(|failure| failure.contains(sentence));
    assert!(
        is_found,
        "no failure says {sentence:?}: {:#?}",
        report.failures()
    );
}

macro_rules! flaw {
    ($name:ident, $toy:ty, $sentence:literal) => {
        #[test]
        fn $name() {
            static KINDS: &[Kind] = &[Kind::of::<$toy>()];
            finds(KINDS, $sentence);
        }
    };
}

flaw!(finds_a_signature_that_is_ignored, Toy<Options, SIGNATURE_IGNORED>, "of `body` (");
flaw!(finds_what_never_grows_old, Toy<Options, NEVER_STALE>, "must be stale after 5m: Ok");
flaw!(finds_that_any_account_will_do, Toy<Options, ANY_ACCOUNT>, "another account takes it");
flaw!(finds_keys_that_change, Toy<Options, KEY_OF_TIME>, "sent again it has other keys");
flaw!(finds_messages_without_a_key, Toy<Options, NO_KEY>, "neither `dedupe_key` nor `external_id`");
flaw!(finds_that_unknown_is_called_sent, Toy<Options, UNKNOWN_IS_SENT>, "is called sent after Unknown");
flaw!(finds_a_secret_in_an_answer, Toy<Options, SECRET_IN_ANSWER>, "the outcome shows a secret");
#[test]
fn finds_a_panic_in_decode() {
    static KINDS: &[Kind] = &[Kind::of::<Toy<Options, PANIC_IN_DECODE>>()];
    finds_in(&suite(KINDS).run_fuzz(), "panics with");
}

flaw!(finds_a_panic_in_send, Toy<Options, PANIC_IN_SEND>, "panics when it is to send");
flaw!(finds_what_cannot_be_normalized, Toy<Options, LONG_ID>, "cannot be normalized");
flaw!(
    finds_options_taken_unknown,
    Toy<Loose>,
    "an unknown option beside `account` must be refused"
);
flaw!(
    finds_options_without_a_word,
    Toy<Mute>,
    "the option `account` has no description"
);
flaw!(
    finds_secrets_in_debug,
    Toy<Leaky>,
    "Debug of the options shows a secret"
);

#[test]
fn finds_a_kind_without_fixtures_and_an_empty_list() {
    struct Nowhere;
    impl patchbay_sdk::Adapter for Nowhere {
        type Options = Options;
        type Channel = <Toy as patchbay_sdk::Adapter>::Channel;
        const MANIFEST: patchbay_sdk::Manifest = patchbay_sdk::Manifest {
            id: "nowhere",
            ..<Toy as patchbay_sdk::Adapter>::MANIFEST
        };
        fn open(options: Options) -> Result<Self::Channel, Vec<patchbay_sdk::Problem>> {
            <Toy as patchbay_sdk::Adapter>::open(options)
        }
    }
    static KINDS: &[Kind] = &[Kind::of::<Nowhere>()];
    finds(KINDS, "nowhere/channel.json: No such file");
    finds(KINDS, "`toy` is the folder of no kind");
    static NONE: &[Kind] = &[];
    let outcome = std::panic::catch_unwind(|| {
        patchbay_testkit::Suite::new(NONE, "/nowhere")
            .run_fixtures()
            .assert();
    });
    assert!(outcome.is_err(), "nothing checked is no success");
}

#[test]
fn finds_what_differs_from_the_fixture() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/toy");
    let copy = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("changed/toy");
    std::fs::create_dir_all(&copy).expect("a folder");
    for entry in std::fs::read_dir(folder).expect("fixtures").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("text");
        let text = text.replace("\"external_id\": \"m1\"", "\"external_id\": \"m2\"");
        std::fs::write(copy.join(entry.file_name()), text).expect("written");
    }
    static GOOD: &[Kind] = &[Kind::of::<Toy>()];
    let parent = copy.parent().expect("a parent");
    let report = patchbay_testkit::Suite::new(GOOD, parent).run_fixtures();
    let failures = report.failures().join("\n");
    assert!(
        failures.contains("toy/hook.json step 1: differs"),
        "{failures}"
    );
    assert!(
        failures.contains("-         \"external_id\": \"m2\""),
        "{failures}"
    );
}
