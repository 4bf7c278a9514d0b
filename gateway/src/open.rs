//! From configuration to open parts: channels, bus, store.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, HASH_NAME, RabbitBus, RabbitOptions};
use patchbay_config::{BusUrl, ChannelFile, Config, Mistake, Mistakes, StoreUrl, Trouble};
use patchbay_message::ChannelId;
use patchbay_sdk::{Kind, OpenError};
use patchbay_sinks::{OnDead, OnUnknown, OpenChannel, RetryPolicy, SendLimits};
use patchbay_store::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store};

/// Opens every enabled channel.
///
/// # Errors
/// Every mistake of every file, with its place.
pub fn channels(files: &[ChannelFile], kinds: &[Kind]) -> Result<Vec<OpenChannel>, Mistakes> {
    let mut open = Vec::new();
    let mut mistakes = Mistakes::default();
    for file in files.iter().filter(|file| file.common.enabled) {
        match channel(file, kinds) {
            Ok(channel) => open.push(channel),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() {
        Ok(open)
    } else {
        Err(mistakes)
    }
}

fn channel(file: &ChannelFile, kinds: &[Kind]) -> Result<OpenChannel, Vec<Mistake>> {
    let Some(kind) = kinds
        .iter()
        .find(|kind| kind.manifest.id == file.common.kind)
    else {
        let known: Vec<&str> = kinds.iter().map(|kind| kind.manifest.id).collect();
        let sentence = format!(
            "there is no kind `{}`; there are: {}",
            file.common.kind,
            known.join(", ")
        );
        return Err(vec![file.mistake("kind", &sentence)]);
    };
    let schema = (kind.schema)();
    let channel = file.options.open(schema.as_value(), |options| {
        (kind.open)(options).map_err(|error| match error {
            OpenError::Shape(sentence) => Trouble::Shape(sentence),
            OpenError::Problems(problems) => Trouble::Problems(
                problems
                    .into_iter()
                    .map(|problem| (problem.path, problem.sentence))
                    .collect(),
            ),
        })
    });
    let common = &file.common;
    Ok(OpenChannel {
        id: ChannelId::new(&file.id)
            .map_err(|error| vec![file.mistake("kind", &error.to_string())])?,
        kind: kind.manifest,
        channel: channel.map_err(|mistakes| mistakes.iter().cloned().collect::<Vec<_>>())?,
        limits: SendLimits {
            send_per_second: common.limits.send_per_second,
            in_flight_max: common
                .limits
                .in_flight_max
                .and_then(|n| u32::try_from(n.get()).ok())
                .unwrap_or(patchbay_sinks::IN_FLIGHT_MAX),
        },
        retry: RetryPolicy {
            delay_min: common.retry.delay_min.get(),
            delay_max: common.retry.delay_max.get(),
            expire_after: common.retry.expire_after.get(),
            on_unknown: match common.retry.on_unknown {
                patchbay_config::OnUnknown::Resend => OnUnknown::Resend,
                patchbay_config::OnUnknown::Hold => OnUnknown::Hold,
            },
            on_dead: match common.retry.on_dead {
                patchbay_config::OnDead::Continue => OnDead::Continue,
                patchbay_config::OnDead::Hold => OnDead::Hold,
            },
        },
    })
}

/// Opens the store; PostgreSQL that is away is waited for.
///
/// # Errors
/// A file that cannot be opened or is in use, an address that cannot be understood, an install with
/// other partitions.
pub async fn store(config: &Config, data_dir: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let store: Arc<dyn Store> = match &config.store.url {
        StoreUrl::Sqlite => {
            let path = data_dir.join("store.db");
            let store = SqliteStore::open(&path, SqliteOptions::default());
            store.with_context(|| format!("open the store {}", path.display()))?
        }
        StoreUrl::Postgres(url) => {
            let options = PostgresOptions {
                connections_max: config.store.connections_max,
                timeout: config.store.timeout.get(),
                ..PostgresOptions::default()
            };
            PostgresStore::connect(url.expose(), options)
                .await
                .context("open the store")?
        }
    };
    Ok(store)
}

/// Number of queues and their hash are fixed at install: with others, messages of one contact would
/// overtake each other.
///
/// # Errors
/// The store was installed with others; or it is away.
pub async fn check_install(config: &Config, store: &dyn Store) -> anyhow::Result<()> {
    let here = format!(
        "{} partitions, {} shards, {HASH_NAME}",
        config.bus.partitions, config.bus.shards
    );
    let installed = store.setting("queues", &here).await?;
    anyhow::ensure!(
        installed == here,
        "this store was installed with {installed}; the configuration says {here}. \
         `bus.partitions` and `bus.shards` cannot be changed after the install"
    );
    Ok(())
}

/// Opens the bus; a broker that is away is waited for in the background.
///
/// # Errors
/// A journal that cannot be opened or is in use, an address that cannot be understood.
pub async fn bus(config: &Config, data_dir: &Path, name: &str) -> anyhow::Result<Arc<dyn Bus>> {
    let bus: Arc<dyn Bus> = match &config.bus.url {
        BusUrl::Embedded => {
            let options = EmbeddedOptions {
                queue_length_max: usize::try_from(config.bus.queue_length_max)
                    .unwrap_or(usize::MAX),
                queue_bytes_max: config.bus.queue_bytes_max.get(),
                confirm_timeout: config.bus.confirm_timeout.get(),
                ..EmbeddedOptions::default()
            };
            let path = data_dir.join("bus.db");
            let bus = EmbeddedBus::open(&path, options);
            bus.with_context(|| format!("open the bus {}", path.display()))?
        }
        BusUrl::Amqp(url) => {
            let options = RabbitOptions {
                partitions: config.bus.partitions,
                shards: config.bus.shards,
                connection_name: name.to_owned(),
                confirm_timeout: config.bus.confirm_timeout.get(),
                queue_length_max: config.bus.queue_length_max,
                ..RabbitOptions::default()
            };
            RabbitBus::connect(url.expose(), options)
                .await
                .context("open the bus")?
        }
    };
    Ok(bus)
}
