//! TLS 1.2 and 1.3 by rustls and ring, everything from PEM files, which are read anew for every use:
//! a certificate that was renewed counts from the next connection (client) or start (server) on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use patchbay_sdk::MqttTls;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, crypto::CryptoProvider, server::WebPkiClientVerifier,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why TLS cannot be set up; names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read, or is no PEM of the kind needed.
    #[error("cannot read {}: {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// What the files hold does not fit together.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

impl TlsError {
    #[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
    fn setup(error: impl ToString) -> Self {
        Self::Setup(error.to_string())
    }
}

/// For connections to a broker.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(tls: &MqttTls) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match &tls.ca {
        Some(ca) => roots(ca)?,
        None => system_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::setup)?
        .with_root_certificates(roots);
    let config = match &tls.client {
        Some((cert, key)) => {
            let (chain, key) = (certificates(cert)?, private_key(key)?);
            let with = builder.with_client_auth_cert(chain, key);
            with.map_err(TlsError::setup)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// For a listener. With `client_ca`, a client may show a certificate, which then has to be good.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(
    cert: &Path,
    key: &Path,
    client_ca: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::setup)?;
    let builder = match client_ca {
        Some(ca) => {
            let roots = Arc::new(roots(ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .allow_unauthenticated()
                .build()
                .map_err(TlsError::setup)?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder
        .with_single_cert(certificates(cert)?, private_key(key)?)
        .map_err(TlsError::setup)?;
    Ok(Arc::new(config))
}

/// The common name of a certificate that was checked already.
#[must_use]
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(TlsError::setup)?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(TlsError::setup("the system has no certificate authorities"));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let named = |why: String| TlsError::File {
        path: path.to_owned(),
        why,
    };
    let all = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| named(error.to_string()))?;
    if all.is_empty() {
        return Err(named("it holds no certificate".to_owned()));
    }
    Ok(all)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        path: path.to_owned(),
        why: error.to_string(),
    })
}
