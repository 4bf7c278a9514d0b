//! From configuration to open parts: channels, bus, store.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, HASH_NAME, RabbitBus, RabbitOptions};
use patchbay_config::{
    Auth, BlobsUrl, BusUrl, ChannelFile, Config, Mistake, Mistakes, Secret, StoreUrl, Trouble,
    settings::Sinks,
};
use patchbay_message::ChannelId;
use patchbay_router::{RouterOptions, decide::Rules};
use patchbay_sdk::{Kind, Link, OpenError};
use patchbay_sinks::{
    HttpOptions, OnDead, OnUnknown, OpenChannel, RetryPolicy, SendLimits, SinksOptions,
};
use patchbay_store::{
    PostgresOptions, PostgresStore, Retention, SqliteOptions, SqliteStore, Store,
    blobs::{self, Blobs, S3Blobs, S3Options},
};

/// Opens every enabled channel.
///
/// # Errors
/// Every mistake of every file, with its place.
pub(crate) fn channels(
    files: &[ChannelFile],
    kinds: &[Kind],
    sinks: &Sinks,
) -> Result<Vec<OpenChannel>, Mistakes> {
    let mut open = Vec::new();
    let mut mistakes = Mistakes::default();
    for file in files.iter().filter(|file| file.common.enabled) {
        match channel(file, kinds, sinks) {
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

fn channel(file: &ChannelFile, kinds: &[Kind], sinks: &Sinks) -> Result<OpenChannel, Vec<Mistake>> {
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
            OpenError::Shape(problem) => Trouble::Shape {
                path: problem.path,
                sentence: problem.sentence,
            },
            OpenError::Problems(problems) => Trouble::Problems(
                problems
                    .into_iter()
                    .map(|problem| (problem.path, problem.sentence))
                    .collect(),
            ),
        })
    });
    let common = &file.common;
    let channel = channel.map_err(|mistakes| mistakes.iter().cloned().collect::<Vec<_>>())?;
    if let Some(sentence) = claims_too_much(&common.auth, &channel.links()) {
        return Err(vec![file.mistake("auth", sentence)]);
    }
    Ok(OpenChannel {
        id: ChannelId::new(&file.id)
            .map_err(|error| vec![file.mistake("kind", &error.to_string())])?,
        kind: kind.manifest,
        channel,
        limits: SendLimits {
            send_per_second: common.limits.send_per_second,
            in_flight_max: common
                .limits
                .in_flight_max
                .and_then(|n| u32::try_from(n.get()).ok())
                .unwrap_or(sinks.channel_in_flight_max),
        },
        retry: RetryPolicy {
            delay_min: common.retry.delay_min.get(),
            delay_max: common.retry.delay_max.get(),
            expire_after: common.retry.expire_after.get(),
            attempts_max: common.retry.attempts_max.map(std::num::NonZero::get),
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

/// Why a channel's links do not prove what its file says; none if they do. Nothing is proven only
/// where the file says so, with its reason.
fn claims_too_much(auth: &Auth, links: &[Link]) -> Option<&'static str> {
    links.iter().find_map(|link| match (link, auth) {
        (Link::MqttBroker(broker), Auth::Tls) if broker.tls.is_none() => {
            Some("`tls` needs a broker that is reached by `mqtts://`")
        }
        (Link::MqttBroker(broker), Auth::Token) if broker.username.is_none() => {
            Some("`token` needs our login at the broker (`username` and `password`)")
        }
        (Link::MqttBroker(_), Auth::Signature) => {
            Some("a broker's messages are not signed: `tls`, `token`, or `{ none = \"reason\" }`")
        }
        (Link::MqttListener(listener), Auth::Tls) if listener.client_ca.is_none() => {
            Some("`tls` needs the authorities (`ca`) that devices' certificates are checked by")
        }
        (Link::MqttListener(_), Auth::None(_)) => {
            Some("every device logs in here: `token`, `tls` or `signature`")
        }
        _ => None,
    })
}

/// Opens the store; PostgreSQL that is away is waited for.
///
/// # Errors
/// A file that cannot be opened or is in use, an address that cannot be understood, an install with
/// other partitions.
pub(crate) async fn store(config: &Config, data_dir: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let store: Arc<dyn Store> = match &config.store.url {
        StoreUrl::Sqlite => {
            let path = data_dir.join("store.db");
            let store = SqliteStore::open(&path, SqliteOptions::default());
            store.with_context(|| format!("open the store {}", path.display()))?
        }
        StoreUrl::Postgres(url) => {
            let options = PostgresOptions {
                connections: config.store.connections_max,
                acquire_timeout: config.store.timeout.get(),
                statement_timeout: config.store.timeout.get(),
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
pub(crate) async fn check_install(config: &Config, store: &dyn Store) -> anyhow::Result<()> {
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
pub(crate) async fn bus(
    config: &Config,
    data_dir: &Path,
    name: &str,
) -> anyhow::Result<Arc<dyn Bus>> {
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
                window: config.bus.publish_in_flight_max,
                queue_length_max: u32::try_from(config.bus.queue_length_max).unwrap_or(u32::MAX),
                queue_bytes_max: config.bus.queue_bytes_max.get(),
                delivery_limit: config.bus.delivery_limit,
                backoff: (
                    config.bus.reconnect.delay_min.get(),
                    config.bus.reconnect.delay_max.get(),
                ),
                ..RabbitOptions::default()
            };
            RabbitBus::connect(url.expose(), options)
                .await
                .context("open the bus")?
        }
    };
    Ok(bus)
}

/// Opens the place for files.
///
/// # Errors
/// A folder that cannot be made, an address that cannot be understood.
pub(crate) async fn blobs(config: &Config, data_dir: &Path) -> anyhow::Result<Arc<dyn Blobs>> {
    let blobs = match &config.blobs.url {
        BlobsUrl::File => blobs::open("file", data_dir).await,
        BlobsUrl::S3 {
            bucket,
            prefix,
            endpoint,
            region,
        } => {
            let secret = |secret: &Option<Secret>, key: &str| {
                let secret = secret.as_ref().map(|secret| secret.expose().to_owned());
                secret.with_context(|| format!("blobs.{key} is needed for S3"))
            };
            let endpoint = endpoint
                .clone()
                .unwrap_or(format!("https://s3.{region}.amazonaws.com"));
            let options = S3Options {
                endpoint: endpoint
                    .parse()
                    .context("blobs.url: the endpoint is no address")?,
                region: region.clone(),
                bucket: bucket.clone(),
                prefix: if prefix.is_empty() {
                    String::new()
                } else {
                    format!("{prefix}/")
                },
                key: secret(&config.blobs.access_key, "access_key")?,
                secret: secret(&config.blobs.secret_key, "secret_key")?,
            };
            S3Blobs::open(options).map(|blobs| Arc::new(blobs) as Arc<dyn Blobs>)
        }
    };
    blobs.context("open the place for files (blobs.url)")
}

/// The address the world reaches us at, without a slash at the end.
pub(crate) fn public_url(config: &Config) -> String {
    match &config.public_url {
        Some(url) => url.to_string().trim_end_matches('/').to_owned(),
        None => {
            let scheme = if config.public.tls.is_some() {
                "https"
            } else {
                "http"
            };
            format!("{scheme}://{}", config.public.listen)
        }
    }
}

/// The router's bounds, as configured.
pub(crate) fn router_options(config: &Config) -> RouterOptions {
    let retention = &config.store.retention;
    RouterOptions {
        partitions: config.bus.partitions,
        rules: Rules {
            shards: config.bus.shards,
            ..Rules::default()
        },
        batch_max: config.router.batch_max,
        prefetch: config.bus.prefetch,
        lease_ttl: config.router.lease_ttl.get(),
        relay_batch_max: config.router.outbox_batch_max,
        rescan_every: config.router.assigner_tick.get(),
        assign_batch_max: config.router.assigner_batch_max,
        retention: Retention {
            dedupe: config.store.dedupe_horizon.get(),
            processed: retention.commands.get(),
            events: retention.events.get(),
            receipts: retention.attempts.get(),
            dead: retention.dead_letters.get(),
            audit: retention.audit.get(),
            tickets: retention.tickets.get(),
            conversations: retention.conversations.get(),
        },
        sweep_rows_max: config.store.cleanup_batch_max,
        ..RouterOptions::default()
    }
}

/// The sinks' bounds, as configured.
pub(crate) fn sinks_options(config: &Config) -> SinksOptions {
    SinksOptions {
        shards: config.bus.shards,
        lease_ttl: config.router.lease_ttl.get(),
        prefetch: config.bus.prefetch,
        in_flight_max: config.sinks.in_flight_max,
        http: HttpOptions {
            connect_timeout: config.sinks.connect_timeout.get(),
            answer_timeout_max: config.sinks.attempt_timeout.get(),
            answer_bytes_max: config.sinks.answer_max.in_memory(),
            ..HttpOptions::default()
        },
        ..SinksOptions::new(public_url(config))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use patchbay_sdk::{MqttBroker, MqttTls, MqttVersion};

    use super::*;

    fn broker(tls: bool, login: bool) -> Link {
        Link::MqttBroker(Box::new(MqttBroker {
            host: "broker.example".to_owned(),
            port: 1883,
            tls: tls.then(MqttTls::default),
            version: MqttVersion::V5,
            client_id: "patchbay".to_owned(),
            username: login.then(|| "patchbay".to_owned()),
            password: None,
            filters: vec!["#".to_owned()],
            qos: 1,
            share: None,
            keep_alive: Duration::from_secs(60),
            session_expiry: Duration::from_secs(60),
            in_flight_max: 1,
            packet_bytes_max: 1024,
        }))
    }

    #[test]
    fn every_channel_of_the_example_opens() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
        let files = patchbay_config::Files::read(&folder).expect("the folder is there");
        let loader = patchbay_config::Loader::new(&folder, []).offline();
        let loaded = loader.load(&files).expect("no mistakes");
        let ids: Vec<&str> = loaded
            .channels
            .iter()
            .map(|file| file.id.as_str())
            .collect();
        assert_eq!(ids, ["devices", "web"]);
        for file in &loaded.channels {
            match channel(file, patchbay_adapters::ALL, &loaded.config.sinks) {
                // No mistake: only its absent secret is too short.
                Err(mistakes) => assert!(mistakes.is_empty(), "{}: {mistakes:?}", file.id),
                Ok(channel) => assert_eq!(channel.kind.id, file.common.kind),
            }
        }
    }

    #[test]
    fn a_link_that_proves_nothing_needs_a_reason() {
        let none = Auth::None("a test bench without a network".to_owned());
        let takes = |auth: &Auth, link: Link| claims_too_much(auth, &[link]).is_none();
        assert!(takes(&none, broker(false, false)));
        for auth in [Auth::Tls, Auth::Token, Auth::Signature] {
            assert!(!takes(&auth, broker(false, false)), "{auth:?}");
        }
        assert!(takes(&Auth::Token, broker(false, true)) && takes(&Auth::Tls, broker(true, false)));
        assert!(
            !takes(&Auth::Tls, broker(false, true)) && !takes(&Auth::Token, broker(true, false))
        );
        assert!(
            takes(&Auth::Signature, Link::Http),
            "the adapter judges its own requests"
        );
    }
}
