use patchbay_config::{ByteSize, Duration};
use proptest::prelude::*;

use crate::{loader, texts};

/// Text that is nearly a config file: keys and values that exist, in an order that does not.
fn nearly_toml() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("kind"),
        Just("auth"),
        Just("[options]"),
        Just("[[options.up]]"),
        Just("options"),
        Just("public"),
        Just("[public]"),
        Just("[bus]"),
        Just("url"),
        Just("listen"),
        Just("limits"),
        Just("retry"),
        Just("tls"),
        Just("="),
        Just("."),
        Just(","),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("\n"),
        Just("\""),
        Just("'"),
        Just("\"\"\""),
        Just("\"env:X\""),
        Just("\"amqp://a:b@c\""),
        Just("5"),
        Just("-1"),
        Just("1e999"),
        Just("nan"),
        Just("99999999999999999999"),
        Just("0xff"),
        Just("1979-05-27"),
        Just("true"),
        Just("#"),
        Just("\r\n"),
        Just("é"),
        Just("\u{feff}"),
        Just("\0"),
        Just("secret_key"),
        Just("[blobs]"),
        Just("enabled"),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

fn survives(text: &str) {
    let files = texts(&[("patchbay.toml", text), ("channels/a.toml", text)]);
    for loader in [loader(&[]), loader(&[]).offline()] {
        let (loaded, mistakes) = loader.load_all(&files);
        let _ = (mistakes.to_string(), mistakes.styled());
        for channel in loaded.channels {
            let options = channel
                .options
                .deserialize::<std::collections::BTreeMap<String, ByteSize>>();
            let _ = options.map_err(|mistakes| mistakes.to_string());
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn no_nearly_right_text_panics(text in nearly_toml()) {
        survives(&text);
        survives(&format!("kind = \"x\"\nauth = \"token\"\n{text}"));
    }

    #[test]
    fn no_environment_panics(name in "PATCHBAY_[A-Z_]{0,20}", value in any::<String>()) {
        let env = [(name.as_str(), value.as_str()), ("PATCHBAY_BUS__PREFETCH", &value), ("PATCHBAY_BUS", &value)];
        let (_, mistakes) = loader(&env).load_all(&texts(&[]));
        let _ = mistakes.to_string();
    }

    #[test]
    fn sizes_and_durations_read_what_they_write(bytes in any::<u64>(), ms in 0..u64::from(u32::MAX)) {
        let size = ByteSize::bytes(bytes);
        prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
        let duration = Duration::millis(ms);
        prop_assert_eq!(duration.to_string().parse::<Duration>(), Ok(duration));
    }
}
