//! From files and environment to a [`Loaded`] configuration, or to all the mistakes at once.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::channel::{self, ChannelCommon, ChannelFile, is_channel_id};
use crate::document::Document;
use crate::env;
use crate::files::Files;
use crate::mistake::{Mistake, Mistakes};
use crate::path::Path;
use crate::secret::Secrets;
use crate::settings::Config;
use crate::shape::{Shape, Trouble, typed};

/// What to load, and with which environment.
#[derive(Debug, Clone)]
pub struct Loader {
    secrets: Secrets,
}

/// Everything the files say.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// `patchbay.toml` and the environment.
    pub config: Config,
    /// `channels/*.toml`, by id.
    pub channels: Vec<ChannelFile>,
}

impl Loader {
    /// `folder` is what `file:` secrets and certificates are relative to; `env` is the environment.
    pub fn new(
        folder: impl Into<PathBuf>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self {
            secrets: Secrets {
                env: env.into_iter().collect(),
                folder: folder.into(),
                offline: false,
            },
        }
    }

    /// With this process's environment; variables that are no UTF-8 cannot be meant for us.
    pub fn from_process(folder: impl Into<PathBuf>) -> Self {
        let env = std::env::vars_os();
        Self::new(
            folder,
            env.filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok())),
        )
    }

    /// Absent secrets are no mistake: for checks away from the machine that has them.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.secrets.offline = true;
        self
    }

    /// Reads everything. Options are read later, by whoever knows the adapters.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load(&self, files: &Files) -> Result<Loaded, Mistakes> {
        let (loaded, mistakes) = self.load_all(files);
        if mistakes.is_empty() {
            Ok(loaded)
        } else {
            Err(mistakes)
        }
    }

    /// Like [`Loader::load`], but gives back what could be read beside the mistakes, so that an adapter can add its
    /// own about the options.
    #[must_use]
    pub fn load_all(&self, files: &Files) -> (Loaded, Mistakes) {
        let mut mistakes = Mistakes::default();
        let config = self.load_config(files).unwrap_or_else(|found| {
            mistakes.extend(found);
            Config::default()
        });
        let secrets = Arc::new(self.secrets.clone());
        let schema = schema_for!(ChannelCommon);
        let mut channels = Vec::new();
        for (name, id, text) in files.stems("channels") {
            if !is_channel_id(id) {
                let title =
                    format!("`{id}` is no channel id: a letter, then at most 39 of a-z, 0-9 and -");
                mistakes.extend([Mistake::in_file(name, title)]);
            }
            let document = Document::parse(name, text);
            let syntax = document.syntax_mistakes();
            if !syntax.is_empty() {
                mistakes.extend(syntax);
                continue;
            }
            match channel::read(id, document, schema.as_value(), &secrets) {
                Ok(channel) => channels.push(channel),
                Err(found) => mistakes.extend(found),
            }
        }
        (Loaded { config, channels }, mistakes)
    }

    /// Reads any other file of the folder, `routing.toml` for example, with the same care.
    ///
    /// # Errors
    /// Every mistake of the file.
    pub fn load_file<T: DeserializeOwned + JsonSchema>(
        &self,
        name: &str,
        text: &str,
    ) -> Result<T, Mistakes> {
        let document = Document::parse(name, text);
        let schema = schema_for!(T);
        self.take(document, schema.as_value(), typed)
            .map_err(Mistakes::from)
    }

    fn load_config(&self, files: &Files) -> Result<Config, Vec<Mistake>> {
        let schema = schema_for!(Config);
        let mut document = Document::parse(
            "patchbay.toml",
            files.get("patchbay.toml").unwrap_or_default(),
        );
        let mut mistakes = env::apply(&mut document, schema.as_value(), &self.secrets.env);
        let places = document.clone();
        let config = self.take(document, schema.as_value(), |value| {
            let config: Config = typed(value)?;
            let problems = config.problems();
            if problems.is_empty() {
                Ok(config)
            } else {
                Err(Trouble::Problems(problems))
            }
        });
        match config {
            Ok(config) if mistakes.is_empty() => Ok(self.with_paths(config, &places)),
            Ok(_) => Err(mistakes),
            Err(found) => {
                mistakes.extend(found);
                Err(mistakes)
            }
        }
    }

    fn take<T>(
        &self,
        mut document: Document,
        schema: &Value,
        take: impl FnMut(Value) -> Result<T, Trouble>,
    ) -> Result<T, Vec<Mistake>> {
        let syntax = document.syntax_mistakes();
        if !syntax.is_empty() {
            return Err(syntax);
        }
        let shape = Shape {
            document: &mut document,
            prefix: Path::default(),
            schema,
            secrets: &self.secrets,
        };
        shape.take(take)
    }

    /// A path in a file is relative to the file; one in the environment to the working directory.
    fn with_paths(&self, mut config: Config, places: &Document) -> Config {
        let resolve = |path: &mut PathBuf, key: &[&str]| {
            let key = Path(key.iter().map(|&key| key.to_owned()).collect());
            if !places.is_from_env(&key) {
                *path = self.secrets.folder.join(FsPath::new(path));
            }
        };
        if let Some(data_dir) = &mut config.data_dir {
            resolve(data_dir, &["data_dir"]);
        }
        if let Some(tls) = &mut config.public.tls {
            resolve(&mut tls.cert, &["public", "tls", "cert"]);
            resolve(&mut tls.key, &["public", "tls", "key"]);
        }
        config
    }
}
