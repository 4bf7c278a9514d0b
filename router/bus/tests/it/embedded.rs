//! The embedded bus: the conformance suite, and its journal's own promises.

use std::sync::Arc;

use async_trait::async_trait;
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions};
use tempfile::TempDir;

use crate::support::{Bounds, Fixture};

pub(crate) struct Embedded {
    _dir: TempDir,
    bus: Arc<EmbeddedBus>,
}

#[async_trait]
impl Fixture for Embedded {
    async fn open(bounds: Bounds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions {
            queue_length_max: bounds.queue_length_max,
            mailbox_max: bounds.mailbox_max,
            tail_bytes_max: bounds.tail_bytes_max,
            ..EmbeddedOptions::default()
        };
        let bus = EmbeddedBus::open(dir.path().join("bus.db"), options).unwrap();
        Self { _dir: dir, bus }
    }

    fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone()
    }

    async fn remove(self) {
        self.bus.close().await;
    }
}

crate::conformance::conformance!(Embedded);
