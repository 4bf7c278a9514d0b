//! Bytes to and from the broker: TCP, or TLS on it.

use std::sync::Arc;

use amq_protocol::uri::{AMQPScheme, AMQPUri};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

pub(super) type Reading = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Writing = Box<dyn AsyncWrite + Send + Unpin>;

/// Connects to the host of `uri`.
pub(super) async fn connect(
    uri: &AMQPUri,
    ca_pem: Option<&str>,
) -> Result<(Reading, Writing), String> {
    let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| format!("{host}:{port}: {error}"))?;
    stream
        .set_nodelay(true)
        .map_err(|error| format!("{host}:{port}: {error}"))?;
    match uri.scheme {
        AMQPScheme::AMQP => {
            let (reading, writing) = stream.into_split();
            Ok((Box::new(reading), Box::new(writing)))
        }
        AMQPScheme::AMQPS => {
            let name = ServerName::try_from(host.to_owned())
                .map_err(|_| format!("`{host}` is not a server name"))?;
            let stream = tokio_rustls::TlsConnector::from(tls(ca_pem)?)
                .connect(name, stream)
                .await
                .map_err(|error| format!("TLS with {host}:{port}: {error}"))?;
            let (reading, writing) = tokio::io::split(stream);
            Ok((Box::new(reading), Box::new(writing)))
        }
    }
}

fn tls(ca_pem: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(ca_pem.unwrap_or_default().as_bytes()) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|why| format!("bus certificate authority: {why}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
