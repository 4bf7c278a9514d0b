//! Secrets: named in the files, fetched at load, never shown.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret's file is read up to this many bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Stands in for a secret that is not there when mistakes are looked for offline.
pub(crate) const PLACEHOLDER: &str = "placeholder";

/// A secret: `"env:NAME"`, `"file:path"` (relative to the config folder) or `"cred:name"` (a systemd credential) in
/// the file. Neither Debug nor Serialize shows it; memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the secret itself.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret's text, for the moment of use only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(env|file|cred):", "x-secret": true })
    }
}

/// Where secrets come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    /// The environment at load.
    pub(crate) env: HashMap<String, String>,
    /// `file:` is relative to it.
    pub(crate) folder: PathBuf,
    /// Put a placeholder where a secret is missing, for checks away from the machine that has it.
    pub(crate) offline: bool,
}

/// How a file names a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference<'t> {
    Env(&'t str),
    File(&'t str),
    Cred(&'t str),
}

impl<'t> Reference<'t> {
    /// None if the text is no reference, which for a secret means: a literal.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        match text.split_once(':')? {
            ("env", name) => Some(Self::Env(name)),
            ("file", path) => Some(Self::File(path)),
            ("cred", name) => Some(Self::Cred(name)),
            _ => None,
        }
    }
}

impl Secrets {
    /// Fetches what a reference names; the error is a sentence for the person who wrote it.
    pub(crate) fn fetch(&self, reference: Reference<'_>) -> Result<String, String> {
        let (what, secret) = match reference {
            Reference::Env(name) => (
                format!("the environment variable `{name}`"),
                self.env_secret(name),
            ),
            Reference::File(path) => (format!("the file `{path}`"), read(&self.folder.join(path))),
            Reference::Cred(name) => (format!("the credential `{name}`"), self.credential(name)),
        };
        match secret {
            Ok(secret) if secret.is_empty() => Err(format!("{what} for this secret is empty")),
            Ok(secret) => Ok(secret),
            Err(reason) => Err(format!("{what} for this secret {reason}")),
        }
    }

    fn env_secret(&self, name: &str) -> Result<String, String> {
        self.env
            .get(name)
            .cloned()
            .ok_or_else(|| "is not set".to_owned())
    }

    /// systemd puts credentials into a folder of the service's own (`LoadCredential=`).
    fn credential(&self, name: &str) -> Result<String, String> {
        if name.contains('/') || name.starts_with('.') {
            return Err("is no credential's name".to_owned());
        }
        let folder = self.env.get("CREDENTIALS_DIRECTORY");
        let folder = folder.ok_or("is not there: systemd gave this process no credentials")?;
        read(&Path::new(folder).join(name))
    }
}

/// Editors and `echo` end a file with a newline that is not part of the secret.
fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("is larger than {SECRET_BYTES_MAX} bytes"));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
