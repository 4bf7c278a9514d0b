//! What serde cannot see in `patchbay.toml`: values that would stop the work or make a bound meaningless.

use serde_json::Value;

use crate::settings::Config;
use crate::{BlobsUrl, Duration};

impl Config {
    /// Paths and sentences.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let mut found = Found(Vec::new());
        self.check_storage(&mut found);
        self.check_times(&mut found);
        let values = serde_json::to_value(self).expect("keys are strings and numbers finite");
        found.zeros(&values, "");
        found.0
    }

    fn check_storage(&self, found: &mut Found) {
        for (path, n) in [
            ("bus.partitions", self.bus.partitions),
            ("bus.shards", self.bus.shards),
        ] {
            found.unless((1..=256).contains(&n), path, "must be from 1 to 256");
        }
        let reconnect = &self.bus.reconnect;
        let is_ordered = reconnect.delay_min <= reconnect.delay_max;
        found.unless(
            is_ordered,
            "bus.reconnect.delay_max",
            "must not be less than `delay_min`",
        );
        if let BlobsUrl::S3 { .. } = self.blobs.url {
            let has_keys = self.blobs.access_key.is_some() && self.blobs.secret_key.is_some();
            found.unless(
                has_keys,
                "blobs.url",
                "S3 needs `access_key` and `secret_key` beside it",
            );
        }
        let is_used =
            matches!(self.blobs.url, BlobsUrl::S3 { .. }) || self.blobs.secret_key.is_none();
        found.unless(
            is_used,
            "blobs.secret_key",
            "is for S3 only; `url` says otherwise",
        );
    }

    /// The floor is what a healthy machine needs, so that a slip of the unit is found here and not in the night.
    fn check_times(&self, found: &mut Found) {
        for (path, time, floor) in [
            (
                "bus.confirm_timeout",
                self.bus.confirm_timeout,
                Duration::millis(100),
            ),
            (
                "bus.reconnect.delay_min",
                self.bus.reconnect.delay_min,
                Duration::millis(10),
            ),
            ("store.timeout", self.store.timeout, Duration::millis(100)),
            (
                "store.dedupe_horizon",
                self.store.dedupe_horizon,
                Duration::secs(60),
            ),
            (
                "edge.header_timeout",
                self.edge.header_timeout,
                Duration::millis(100),
            ),
            (
                "edge.request_timeout",
                self.edge.request_timeout,
                Duration::millis(100),
            ),
            ("api.ticket_ttl", self.api.ticket_ttl, Duration::secs(1)),
            ("router.lease_ttl", self.router.lease_ttl, Duration::secs(1)),
            (
                "router.assigner_tick",
                self.router.assigner_tick,
                Duration::millis(10),
            ),
            (
                "sinks.connect_timeout",
                self.sinks.connect_timeout,
                Duration::millis(100),
            ),
            (
                "sinks.attempt_timeout",
                self.sinks.attempt_timeout,
                Duration::millis(100),
            ),
        ] {
            found.unless(time >= floor, path, &format!("must be at least {floor}"));
        }
    }
}

struct Found(Vec<(String, String)>);

impl Found {
    /// A bound of nothing lets nothing through, and a time of nothing has run out before it began.
    fn zeros(&mut self, value: &Value, path: &str) {
        let is_zero = match value {
            Value::Number(number) => number.as_u64() == Some(0),
            Value::String(text) => text == "0B" || text == "0s",
            Value::Object(table) => {
                for (key, value) in table {
                    let separator = if path.is_empty() { "" } else { "." };
                    self.zeros(value, &format!("{path}{separator}{key}"));
                }
                false
            }
            _ => false,
        };
        let is_known = self.0.iter().any(|(known, _)| known == path);
        self.unless(!is_zero || is_known, path, "must be more than 0");
    }

    fn unless(&mut self, is_fine: bool, path: &str, sentence: &str) {
        if !is_fine {
            self.0
                .push((path.to_owned(), format!("`{path}`: {sentence}")));
        }
    }
}
