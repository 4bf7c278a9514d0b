//! The addresses of `patchbay.toml`, each read into what it means. None of them ever shows a password.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use crate::Secret;

/// The address the world reaches us at: `https://chat.example.com`, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for PublicUrl {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        let right = "write one like \"https://chat.example.com\"";
        let url = Url::parse(text).map_err(|_| format!("no address; {right}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("http or https is needed; {right}"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(format!("no query, fragment or user name; {right}"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

/// Where the bus is.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum BusUrl {
    /// In this process, with a journal in `data_dir`.
    #[default]
    Embedded,
    /// RabbitMQ: the whole `amqp://` or `amqps://` address, which may hold a password.
    Amqp(Secret),
}

impl TryFrom<&str> for BusUrl {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "embedded" => Ok(Self::Embedded),
            "amqp" | "amqps" => address(text).map(|_| Self::Amqp(Secret::new(text))),
            _ => Err("write \"embedded\", or an address amqp://host or amqps://host".to_owned()),
        }
    }
}

/// Where the store is.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum StoreUrl {
    /// A file in `data_dir`.
    #[default]
    Sqlite,
    /// PostgreSQL: the whole `postgres://` address, which may hold a password.
    Postgres(Secret),
}

impl TryFrom<&str> for StoreUrl {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "sqlite" => Ok(Self::Sqlite),
            // Without a host it is a Unix socket, named in the query.
            "postgres" | "postgresql" => Url::parse(text)
                .map(|_| Self::Postgres(Secret::new(text)))
                .map_err(|error| error.to_string()),
            _ => Err("write \"sqlite\", or an address postgres://user@host/database".to_owned()),
        }
    }
}

/// Where media are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BlobsUrl {
    /// In a folder in `data_dir`.
    #[default]
    File,
    /// In a bucket of Amazon S3 or something that speaks its protocol.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// Before every object's name; empty, or a path without slashes around it.
        prefix: String,
        /// `https://..` of a server that is not Amazon's.
        endpoint: Option<String>,
        /// For the signature. Default: `us-east-1`.
        region: String,
    },
}

impl TryFrom<&str> for BlobsUrl {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "file" => Ok(Self::File),
            "s3" => s3(text),
            _ => Err("write \"file\", or s3://bucket?endpoint=https://host&region=name".to_owned()),
        }
    }
}

fn s3(text: &str) -> Result<BlobsUrl, String> {
    let url = address(text)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the keys belong into `access_key` and `secret_key`".to_owned());
    }
    let (mut endpoint, mut region) = (None, "us-east-1".to_owned());
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "endpoint" => {
                let parsed = Url::parse(&value).map_err(|error| format!("endpoint: {error}"))?;
                if !matches!(parsed.scheme(), "http" | "https") {
                    return Err("endpoint: http or https is needed".to_owned());
                }
                endpoint = Some(value.trim_end_matches('/').to_owned());
            }
            "region" => region = value.into_owned(),
            other => {
                return Err(format!(
                    "unknown `{other}`; known are `endpoint` and `region`"
                ));
            }
        }
    }
    let bucket = url.host_str().expect("`address` saw a host").to_owned();
    Ok(BlobsUrl::S3 {
        bucket,
        prefix: url.path().trim_matches('/').to_owned(),
        endpoint,
        region,
    })
}

fn scheme(text: &str) -> &str {
    text.split_once(':').map_or(text, |(scheme, _)| scheme)
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the address has no host".to_owned());
    }
    Ok(url)
}

impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Amqp(url) => without_password(url, f),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("sqlite"),
            Self::Postgres(url) => without_password(url, f),
        }
    }
}

impl fmt::Display for BlobsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::S3 {
                bucket,
                prefix,
                endpoint,
                region,
            } => {
                let separator = if prefix.is_empty() { "" } else { "/" };
                write!(f, "s3://{bucket}{separator}{prefix}?region={region}")?;
                endpoint
                    .iter()
                    .try_for_each(|endpoint| write!(f, "&endpoint={endpoint}"))
            }
        }
    }
}

/// Scheme, host, port and path; drivers take more secrets than the password in the query.
fn without_password(url: &Secret, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Ok(mut url) = Url::parse(url.expose()) else {
        return f.write_str("[redacted]");
    };
    let is_bare = url.set_password(None).is_ok() && url.set_username("").is_ok();
    url.set_query(None);
    f.write_str(if is_bare { url.as_str() } else { "[redacted]" })
}

/// All are strings in files and in JSON. Null stands for a secret that is absent in an offline check.
macro_rules! as_text {
    ($type:ident, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Option::<String>::deserialize(deserializer)?;
                let text = text.as_deref().unwrap_or(Self::ABSENT);
                Self::try_from(text).map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

impl PublicUrl {
    const ABSENT: &str = "";
}
impl BusUrl {
    const ABSENT: &str = "embedded";
}
impl StoreUrl {
    const ABSENT: &str = "sqlite";
}
impl BlobsUrl {
    const ABSENT: &str = "file";
}

as_text!(PublicUrl, { "type": "string", "format": "uri" });
as_text!(BusUrl, { "type": "string", "x-secret": "url" });
as_text!(StoreUrl, { "type": "string", "x-secret": "url" });
as_text!(BlobsUrl, { "type": "string" });
