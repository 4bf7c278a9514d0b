//! Configuration of a system under test, in a folder of its own.

use std::{fmt::Write as _, net::TcpListener, path::Path};

use tempfile::TempDir;

use super::services::Service;

/// Which bus and store: the two pairs that are tested throughout.
pub enum Pair {
    /// Embedded bus and SQLite, one process.
    Embedded,
    /// RabbitMQ and PostgreSQL, private to the test.
    Servers {
        /// The broker.
        rabbitmq: Service,
        /// The database.
        postgres: Service,
    },
}

impl Pair {
    /// Private servers.
    pub fn servers() -> Self {
        Self::Servers {
            rabbitmq: Service::rabbitmq(),
            postgres: Service::postgres(),
        }
    }
}

/// The web chat channel of every test.
pub const WEB: &str = r#"
kind = "webchat"
auth = "token"
[options]
token_secrets = ["env:WEB_TOKEN_SECRET"]
identity_secrets = ["env:WEB_IDENTITY_SECRET"]
origins = ["*"]
messages_per_minute = 6000
messages_burst = 6000
"#;

/// What the environment holds for it.
pub const SECRETS: [(&str, &str); 2] = [
    ("WEB_TOKEN_SECRET", "token secret of the tests, long enough"),
    (
        "WEB_IDENTITY_SECRET",
        "identity secret of the tests, long enough",
    ),
];

/// A config folder shared by the processes of one system.
pub struct System {
    /// Config and data.
    pub folder: TempDir,
    /// Bus and store.
    pub pair: Pair,
    extra: String,
}

impl System {
    /// A system with web chat and short leases.
    pub fn new(pair: Pair) -> Self {
        Self::with(pair, "")
    }

    /// The same with more lines for `patchbay.toml`.
    pub fn with(pair: Pair, extra: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-")
            .tempdir()
            .expect("make a folder");
        let system = Self {
            folder,
            pair,
            extra: extra.to_owned(),
        };
        std::fs::create_dir_all(system.config().join("channels")).expect("make the config folder");
        system.write("patchbay.toml", &system.toml());
        system.write("channels/web.toml", WEB);
        system
    }

    /// The config folder.
    pub fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("config")
    }

    /// Writes a file below the config folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.config().join(name), text).expect("write a config file");
    }

    /// A copy of the config folder under another name.
    pub fn copy(&self, name: &str) -> std::path::PathBuf {
        let copy = self.folder.path().join(name);
        let channels = copy.join("channels");
        std::fs::create_dir_all(&channels).expect("make the folder");
        for (from, to) in [
            (self.config(), &copy),
            (self.config().join("channels"), &channels),
        ] {
            for entry in std::fs::read_dir(from).expect("read the folder") {
                let path = entry.expect("an entry").path();
                if path.is_file() {
                    let name = path.file_name().expect("a file has a name");
                    std::fs::copy(&path, to.join(name)).expect("copy a file");
                }
            }
        }
        copy
    }

    /// What is set by the environment: addresses with passwords must not stand in files.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all: Vec<_> = SECRETS
            .map(|(name, secret)| (name, secret.to_owned()))
            .into();
        if let Pair::Servers { rabbitmq, postgres } = &self.pair {
            all.push(("PATCHBAY_BUS__URL", rabbitmq.url.clone()));
            all.push(("PATCHBAY_STORE__URL", postgres.url.clone()));
        }
        all
    }

    fn toml(&self) -> String {
        let mut toml = String::new();
        let data = self.folder.path().join("data");
        let _ = writeln!(toml, "data_dir = {:?}", data.display().to_string());
        let _ = writeln!(
            toml,
            "router.lease_ttl = \"2s\"\nedge.drain_timeout = \"5s\""
        );
        toml + &self.extra
    }
}

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("find a free port");
    listener
        .local_addr()
        .expect("a bound listener has an address")
        .port()
}

/// Text of a file, for messages.
pub fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
