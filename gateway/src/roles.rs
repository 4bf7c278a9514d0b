//! The roles a process plays, how they start, and in which order they stop: listeners, live
//! connections, router, sinks, bus.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, http::StatusCode};
use patchbay_api::{Api, ApiOptions};
use patchbay_bus::Bus;
use patchbay_config::{Config, Loaded};
use patchbay_message::{InstanceId, SystemClock};
use patchbay_sdk::Kind;
use patchbay_sinks::{Channels, Errands};
use patchbay_store::{Store, blobs::Blobs};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::timeout::TimeoutLayer;

use crate::{
    assets, backlog,
    edge::{self, EdgeOptions},
    gates::Gates,
    ingress::{self, Bells, Ingress, Links, Mqtt, MqttOptions, PAGE_BYTES_MAX, Puller},
    live::{self, Hub, Registrar, Slots},
    observe::{self, Admin, Check},
    open,
    pipeline::Pipeline,
    random::SystemRandom,
    rates::Rates,
};

/// Which roles this process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    /// Sockets, API, console.
    pub gateway: bool,
    /// Conversations, assignment, timers, outbox.
    pub router: bool,
    /// Sending.
    pub sinks: bool,
}

impl Roles {
    /// All of them: `patchbay up`.
    pub(crate) const ALL: Self = Self {
        gateway: true,
        router: true,
        sinks: true,
    };
    /// None of them.
    pub(crate) const NONE: Self = Self {
        gateway: false,
        router: false,
        sinks: false,
    };

    fn names(self) -> Vec<&'static str> {
        let all = [
            (self.gateway, "gateway"),
            (self.router, "router"),
            (self.sinks, "sinks"),
        ];
        all.into_iter()
            .filter_map(|(plays, name)| plays.then_some(name))
            .collect()
    }
}

/// What agents may send to contacts.
const UPLOAD_TYPES: [&str; 5] = [
    "image/*",
    "audio/*",
    "video/*",
    "application/*",
    "text/plain",
];
/// Where data is kept unless the configuration says otherwise.
const DATA_DIR: &str = "data";
/// The store is asked whether it is there this often, for readiness.
const STORE_CHECK: Duration = Duration::from_secs(2);

/// Everything the roles share.
struct Parts {
    config: Config,
    instance: InstanceId,
    clock: Arc<SystemClock>,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    blobs: Arc<dyn Blobs>,
    channels: Arc<Channels>,
    checks: Vec<Check>,
    tasks: TaskTracker,
    stops: Stops,
}

/// One for every step of stopping, in order.
#[derive(Clone, Default)]
struct Stops {
    listeners: CancellationToken,
    live: CancellationToken,
    router: CancellationToken,
    sinks: CancellationToken,
    rest: CancellationToken,
}

/// Plays `roles` until `stop`, then finishes what is in flight.
///
/// # Errors
/// Anything that keeps the process from starting; once started it repairs itself.
pub(crate) async fn run(
    loaded: Loaded,
    kinds: &'static [Kind],
    roles: Roles,
    stop: CancellationToken,
    announce: impl FnOnce(&Config, bool),
) -> anyhow::Result<()> {
    let metrics = observe::count()?;
    let mut parts = Parts::open(loaded, kinds).await?;
    parts
        .tasks
        .spawn(observe::upkeep(metrics.clone(), parts.stops.rest.clone()));
    let mut stages = Stages::default();
    if roles.router {
        stages.router.push(parts.router());
    }
    if roles.sinks {
        stages.sinks.push(parts.sinks());
    }
    let mut operator = Router::new();
    if roles.gateway {
        let api = parts.api().await?;
        operator = Arc::clone(&api).operator_routes();
        stages.listeners.push(parts.gateway(api).await?);
    }
    let admin = Admin {
        metrics,
        checks: std::mem::take(&mut parts.checks),
        instance: parts.instance.to_string(),
        roles: roles.names(),
    };
    let admin = parts
        .admin(observe::admin_routes(Arc::new(admin)).merge(operator))
        .await?;
    tracing::info!(instance = %parts.instance, roles = ?roles.names(), "started");
    let nobody = parts.store.agents().await.is_ok_and(|all| all.is_empty());
    announce(&parts.config, roles.gateway && nobody);
    stop.cancelled().await;
    tracing::info!("stopping");
    parts.stop(stages).await;
    admin.await.ok();
    tracing::info!("stopped");
    Ok(())
}

type Task = tokio::task::JoinHandle<()>;

#[derive(Default)]
struct Stages {
    listeners: Vec<Task>,
    router: Vec<Task>,
    sinks: Vec<Task>,
}

impl Parts {
    async fn open(loaded: Loaded, kinds: &'static [Kind]) -> anyhow::Result<Self> {
        let Loaded { config, channels } = loaded;
        let data_dir = config
            .data_dir
            .clone()
            .unwrap_or_else(|| PathBuf::from(DATA_DIR));
        std::fs::create_dir_all(&data_dir)
            .with_context(|| format!("make the data folder {}", data_dir.display()))?;
        let instance = InstanceId::new();
        let open = open::channels(&channels, kinds, &config.sinks)
            .map_err(|mistakes| anyhow::anyhow!("{}", mistakes.styled()))?;
        let store = open::store(&config, &data_dir).await?;
        open::check_install(&config, &*store).await?;
        let bus = open::bus(&config, &data_dir, &format!("patchbay-{instance}")).await?;
        let blobs = open::blobs(&config, &data_dir).await?;
        let tasks = TaskTracker::new();
        let stops = Stops::default();
        let checks = vec![bus_check(&bus), store_check(&store, &tasks, &stops.rest)];
        let channels = Arc::new(Channels::new(open));
        let clock = Arc::new(SystemClock);
        Ok(Self {
            config,
            instance,
            clock,
            store,
            bus,
            blobs,
            channels,
            checks,
            tasks,
            stops,
        })
    }

    fn router(&mut self) -> Task {
        self.tasks.spawn(backlog::watch(
            Arc::clone(&self.bus),
            Arc::clone(&self.store),
            self.config.bus.partitions,
            self.config.bus.shards,
            self.stops.rest.clone(),
        ));
        let options = open::router_options(&self.config);
        let status = Arc::clone(&options.status);
        self.checks
            .push(("router", Box::new(move || sentence(&status.problems()))));
        let run = patchbay_router::run(
            options,
            Arc::clone(&self.bus),
            Arc::clone(&self.store),
            self.clock.clone(),
            self.instance.clone(),
            self.stops.router.clone(),
        );
        self.tasks.spawn(run)
    }

    fn sinks(&mut self) -> Task {
        let mut options = open::sinks_options(&self.config);
        options.files = Arc::clone(&self.blobs).into();
        let status = Arc::clone(&options.status);
        self.checks
            .push(("sinks", Box::new(move || status.problem())));
        let run = patchbay_sinks::run(
            options,
            Arc::clone(&self.bus),
            Arc::clone(&self.store),
            Arc::clone(&self.channels),
            self.clock.clone(),
            self.instance.clone(),
            self.stops.sinks.clone(),
        );
        self.tasks.spawn(async move {
            if let Err(error) = run.await {
                tracing::error!(%error, "sinks cannot run");
            }
        })
    }

    /// The API, for agents on the public listener and for the operator on the admin one.
    async fn api(&self) -> anyhow::Result<Arc<Api>> {
        let config = &self.config;
        let all = self.channels.all();
        let options = ApiOptions {
            command_wait: config.api.command_wait.get(),
            ticket_ttl: config.api.ticket_ttl.get(),
            requests_per_second: config.api.requests_per_second,
            presence_grace: config.agents.presence_grace.get(),
            upload_bytes_max: config.media.bytes_max.get(),
            upload_types: UPLOAD_TYPES.map(str::to_owned).into(),
            sockets_max: config.sockets.sockets_max,
            partitions: config.bus.partitions,
            channels: all
                .iter()
                .map(|open| (open.id.clone(), open.kind.id.to_owned()))
                .collect(),
        };
        let api = Api::open(
            Arc::clone(&self.store),
            Arc::clone(&self.bus),
            Arc::clone(&self.blobs),
            self.clock.clone(),
            options,
            self.stops.live.clone(),
        );
        let api = api.await.context("open the API")?;
        self.tasks
            .spawn(Arc::clone(&api).follow(self.stops.rest.clone()));
        Ok(api)
    }

    async fn gateway(&mut self, api: Arc<Api>) -> anyhow::Result<Task> {
        let public = self.config.public.clone();
        let listener = TcpListener::bind(public.listen)
            .await
            .with_context(|| format!("listen on {} (public.listen)", public.listen))?;
        let tls = match &public.tls {
            Some(tls) => Some(edge::server_config(&tls.cert, &tls.key)?),
            None => None,
        };
        let ingress = self.ingress();
        let mqtt = self.mqtt(&ingress).await?;
        let pulls = self.pulls(&ingress)?;
        let app = self.public_app(ingress).merge(api.routes());
        let bounds = &self.config.edge;
        let options = EdgeOptions {
            name: "public",
            connections_max: bounds.connections_max,
            connections_per_address_max: bounds.connections_per_address_max,
            header_timeout: bounds.header_timeout.get(),
            header_bytes_max: bounds.header_bytes_max.in_memory(),
            drain: bounds.drain_timeout.get(),
        };
        let serve = edge::serve(listener, tls, app, options, self.stops.listeners.clone());
        Ok(self.tasks.spawn(async move {
            let (served, (), ()) = tokio::join!(serve, mqtt, pulls);
            if let Err(error) = served {
                tracing::error!(%error, "public listener ended");
            }
        }))
    }

    /// What channels have open by MQTT; ends with the listeners, once what came in is confirmed.
    async fn mqtt(
        &mut self,
        ingress: &Arc<Ingress>,
    ) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
        let options = MqttOptions {
            lease_ttl: self.config.router.lease_ttl.get(),
            drain: self.config.edge.drain_timeout.get(),
            acks_max: MqttOptions::ACKS_MAX,
        };
        let stop = self.stops.listeners.clone();
        let mqtt = Mqtt::open(Arc::clone(ingress), self.instance.clone(), options, stop).await?;
        let links = mqtt.links();
        self.checks
            .push(("mqtt", Box::new(move || links.problem())));
        Ok(mqtt.run())
    }

    /// Lines that channels want pulled; ends with the listeners, after the page under way.
    fn pulls(
        &mut self,
        ingress: &Arc<Ingress>,
    ) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
        let options = open::sinks_options(&self.config);
        let http = patchbay_sinks::HttpOptions {
            answer_bytes_max: PAGE_BYTES_MAX,
            ..options.http
        };
        let errands = Errands::new(
            Arc::clone(&self.store),
            self.clock.clone(),
            self.instance.clone(),
            options.public_url,
            http,
            options.tokens,
        );
        let links = Arc::<Links>::default();
        let shown = Arc::clone(&links);
        self.checks
            .push(("pull", Box::new(move || shown.problem())));
        let puller = Puller {
            ingress: Arc::clone(ingress),
            errands: Arc::new(errands.context("open what pulls")?),
            instance: self.instance.clone(),
            lease_ttl: self.config.router.lease_ttl.get(),
            links,
            stop: self.stops.listeners.clone(),
        };
        Ok(puller.run())
    }

    fn ingress(&mut self) -> Arc<Ingress> {
        let (registrar, write) = Registrar::new(Arc::clone(&self.store), self.stops.rest.clone());
        self.tasks.spawn(write);
        let slots = Slots::new(
            self.instance.clone(),
            registrar.clone(),
            Arc::clone(&self.bus),
            self.clock.clone(),
        );
        let hub = Hub::new(self.instance.clone(), registrar);
        self.tasks.spawn(live::watch(
            Arc::clone(&hub),
            Arc::clone(&slots),
            Arc::clone(&self.bus),
            Arc::clone(&self.store),
            self.instance.clone(),
            self.stops.rest.clone(),
        ));
        let config = &self.config;
        let ingress = Ingress {
            pipeline: Pipeline {
                bus: Arc::clone(&self.bus),
                partitions: config.bus.partitions,
                clock: self.clock.clone(),
                random: Arc::new(SystemRandom),
                public_url: open::public_url(config),
                region: None,
                gates: Gates::default(),
                rates: Rates::default(),
            },
            channels: Arc::clone(&self.channels),
            hub,
            slots,
            store: Arc::clone(&self.store),
            blobs: Arc::clone(&self.blobs),
            agent_names: ingress::agent_names(),
            bells: Bells::default(),
            bus: Arc::clone(&self.bus),
            body_bytes_max: config.edge.body_max.in_memory(),
            upload_bytes_max: config.media.bytes_max.in_memory(),
            stop: self.stops.live.clone(),
        };
        Arc::new(ingress)
    }

    fn public_app(&self, ingress: Arc<Ingress>) -> Router {
        let config = &self.config;
        // Polls wait up to `poll_wait_max` by design; sockets are not bound by this at all.
        let patience = config
            .edge
            .request_timeout
            .get()
            .max(config.sockets.poll_wait_max.get())
            + Duration::from_secs(5);
        let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, patience);
        ingress::routes(ingress)
            .merge(assets::routes())
            .layer(timeout)
    }

    async fn admin(&self, app: Router) -> anyhow::Result<Task> {
        let address = self.config.admin.listen;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listen on {address} (admin.listen)"))?;
        let options = EdgeOptions {
            name: "admin",
            connections_max: 64,
            connections_per_address_max: 64,
            header_timeout: Duration::from_secs(5),
            header_bytes_max: 16 * 1024,
            drain: Duration::from_secs(1),
        };
        let serve = edge::serve(listener, None, app, options, self.stops.rest.clone());
        Ok(self.tasks.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "admin listener ended");
            }
        }))
    }

    /// Listeners first, so that nothing new comes; then what works it off.
    async fn stop(&self, stages: Stages) {
        let Stops {
            listeners,
            live,
            router,
            sinks,
            rest,
        } = &self.stops;
        listeners.cancel();
        live.cancel();
        finish(stages.listeners).await;
        router.cancel();
        finish(stages.router).await;
        sinks.cancel();
        finish(stages.sinks).await;
        if let Err(error) = self.store.leave(&self.instance).await {
            tracing::warn!(%error, "leases not released, they will expire");
        }
        self.bus.close().await;
        rest.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn finish(tasks: Vec<Task>) {
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "a role ended badly");
        }
    }
}

/// `part: what is wrong; ...`; none if nothing is.
fn sentence(problems: &[(String, String)]) -> Option<String> {
    let parts: Vec<String> = problems
        .iter()
        .map(|(part, why)| format!("{part}: {why}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn bus_check(bus: &Arc<dyn Bus>) -> Check {
    let bus = Arc::clone(bus);
    ("bus", Box::new(move || bus.health().problem))
}

/// Asks the store in the background, so that a probe never waits for it.
fn store_check(store: &Arc<dyn Store>, tasks: &TaskTracker, stop: &CancellationToken) -> Check {
    let problem = Arc::new(parking_lot::Mutex::new(None));
    let (store, found, stop) = (Arc::clone(store), Arc::clone(&problem), stop.clone());
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(STORE_CHECK);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let answer = store.event_bounds().await;
            *found.lock() = answer.err().map(|error| error.to_string());
        }
    });
    ("store", Box::new(move || problem.lock().clone()))
}
