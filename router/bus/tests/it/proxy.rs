//! A go-between in front of the broker: it can fall silent, and it can speak TLS.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Ends with the test.
pub(crate) struct Proxy {
    port: u16,
    silent: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    /// The certificate to trust, PEM; empty without TLS.
    pub(crate) ca_pem: String,
}

impl Proxy {
    /// In front of the broker at `url`.
    pub(crate) async fn plain(url: &str) -> Self {
        Self::start(url, None, String::new()).await
    }

    /// The same, speaking TLS as `localhost` with a certificate nobody trusts yet.
    pub(crate) async fn tls(url: &str) -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        Self::start(url, Some(Arc::new(config).into()), own.cert.pem()).await
    }

    async fn start(url: &str, tls: Option<TlsAcceptor>, ca_pem: String) -> Self {
        let (_, address) = url.rsplit_once('@').unwrap();
        let (address, _) = address.split_once('/').unwrap();
        let address = address.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = watch::Sender::new(false);
        let watching = silent.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A silent one takes connections and says nothing.
                let broker = TcpStream::connect(&address).await.unwrap();
                let (tls, silent) = (tls.clone(), watching.subscribe());
                tokio::spawn(async move {
                    match tls {
                        None => forward(stream, broker, silent).await,
                        // A client that does not trust us hangs up.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                forward(stream, broker, silent).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            silent,
            accepting,
            ca_pem,
        }
    }

    pub(crate) fn url(&self) -> String {
        let (scheme, host) = if self.ca_pem.is_empty() {
            ("amqp", "127.0.0.1")
        } else {
            ("amqps", "localhost")
        };
        format!("{scheme}://guest:guest@{host}:{}/%2f", self.port)
    }

    /// Keeps all connections and forwards nothing; or forwards again.
    pub(crate) fn fall_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut broker: TcpStream,
    mut silent: watch::Receiver<bool>,
) {
    let forwarding = async {
        let _ = silent.wait_for(|silent| !silent).await;
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut broker) => true,
            _ = silent.wait_for(|silent| *silent) => false,
        }
    };
    if !forwarding.await {
        // What was cut once stays so: bytes may be missing.
        let _ = silent.wait_for(|silent| !silent).await;
    }
}
