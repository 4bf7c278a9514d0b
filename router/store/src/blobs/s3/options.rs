//! Where the bucket is, and how we speak to it.

use std::{fmt, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use reqwest::{Client, Url, redirect};
use rusty_s3::{Bucket, UrlStyle};

use crate::blobs::BlobError;

/// What AWS calls the place of a bucket when nobody cares.
const REGION_DEFAULT: &str = "us-east-1";
/// To a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two bytes of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// One whole request, the largest upload included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);

/// A bucket and the right to it.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Options {
    /// Scheme, host and port: `https://s3.eu-west-1.amazonaws.com`.
    pub endpoint: Url,
    /// Region, as in the signature.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// Before every object's name: empty, or a path that ends with `/`.
    pub prefix: String,
    /// Access key id.
    pub key: String,
    /// Secret access key.
    pub secret: String,
}

impl S3Options {
    /// Reads `https://KEY:SECRET@HOST[:PORT]/BUCKET[/PREFIX][?region=REGION]`; `s3+https` and
    /// `s3+http` say the same. Key and secret are percent-encoded, the region is `us-east-1` by
    /// default.
    ///
    /// # Errors
    /// [`BlobError::Config`] with what is missing; it never repeats the secret.
    pub fn from_url(url: &str) -> Result<Self, BlobError> {
        let bad = |what: &str| BlobError::Config(format!("the S3 URL {what}"));
        let plain = url.strip_prefix("s3+").unwrap_or(url);
        let mut endpoint = Url::parse(plain).map_err(|_| bad("is none"))?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(bad("begins with neither https nor s3+https"));
        }
        let path = endpoint.path().trim_matches('/').to_owned();
        let (bucket, prefix) = path.split_once('/').unwrap_or((&path, ""));
        let region = endpoint.query_pairs().find(|(name, _)| name == "region");
        let options = Self {
            region: region.map_or(REGION_DEFAULT.into(), |(_, region)| region.into()),
            bucket: decode(bucket),
            prefix: match decode(prefix) {
                prefix if prefix.is_empty() => prefix,
                prefix => format!("{prefix}/"),
            },
            key: decode(endpoint.username()),
            secret: decode(endpoint.password().unwrap_or_default()),
            endpoint: {
                endpoint.set_path("");
                endpoint.set_query(None);
                endpoint
                    .set_username("")
                    .and_then(|()| endpoint.set_password(None))
                    .map_err(|()| bad("has no host"))?;
                endpoint
            },
        };
        if options.bucket.is_empty() {
            return Err(bad("names no bucket"));
        }
        if options.key.is_empty() || options.secret.is_empty() {
            return Err(bad("has no key and secret"));
        }
        Ok(options)
    }

    pub(super) fn bucket(&self) -> Result<Bucket, BlobError> {
        Bucket::new(
            self.endpoint.clone(),
            UrlStyle::Path,
            self.bucket.clone(),
            self.region.clone(),
        )
        .map_err(|error| BlobError::Config(error.to_string()))
    }

    pub(super) fn client(&self) -> Result<Client, BlobError> {
        let mut roots = rustls::RootCertStore::empty();
        if self.endpoint.scheme() == "https" {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| BlobError::Config(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // A file is stored and served as it is.
            .no_gzip()
            .build()
            .map_err(|error| BlobError::Config(error.to_string()))
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("endpoint", &self.endpoint.as_str())
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
