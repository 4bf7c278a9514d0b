//! TLS to the server, by the URL's `sslmode`: `disable`, `prefer` (the default), `require`,
//! `verify-ca`, `verify-full`; and `sslrootcert`, a file of certificates to trust.
//!
//! As with PostgreSQL's own clients `prefer` and `require` encrypt but trust any certificate, unless
//! `sslrootcert` is given. `verify-ca` checks the host's name as well here.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;

/// What the URL says about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) mode: SslMode,
    verify: bool,
    roots: Option<String>,
}

impl Tls {
    /// Takes `sslmode` and `sslrootcert` out of a URL's query, since the driver knows neither
    /// `verify-full` nor files.
    pub(super) fn from_url(url: &str) -> Result<(Self, String), StoreError> {
        let mut this = Self {
            mode: SslMode::Prefer,
            verify: false,
            roots: None,
        };
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", mode)) => (this.mode, this.verify) = mode_of(mode)?,
                Some(("sslrootcert", file)) => {
                    let file = percent_encoding::percent_decode_str(file).decode_utf8_lossy();
                    this.roots = Some(file.into_owned());
                }
                _ => rest.push(pair),
            }
        }
        if this.roots.is_some() {
            this.verify = true;
        }
        let url = if rest.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", rest.join("&"))
        };
        Ok((this, url))
    }

    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, StoreError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreError(error.to_string()))?;
        let config = if self.verify {
            builder
                .with_root_certificates(self.trusted()?)
                .with_no_client_auth()
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth()
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn trusted(&self) -> Result<RootCertStore, StoreError> {
        let mut roots = RootCertStore::empty();
        let Some(file) = &self.roots else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        let bad = |error: String| StoreError(format!("sslrootcert {file}: {error}"));
        let certificates =
            CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| bad(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        Ok(roots)
    }
}

fn mode_of(word: &str) -> Result<(SslMode, bool), StoreError> {
    match word {
        "disable" => Ok((SslMode::Disable, false)),
        "prefer" | "allow" => Ok((SslMode::Prefer, false)),
        "require" => Ok((SslMode::Require, false)),
        "verify-ca" | "verify-full" => Ok((SslMode::Require, true)),
        _ => Err(StoreError(format!(
            "sslmode `{word}` is none of disable, prefer, require, verify-ca, verify-full"
        ))),
    }
}

/// Encrypts to whoever answers.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
