//! The edge: our own accept loop on hyper. It knows sockets, TLS, limits and time; no channel.
//!
//! `axum::serve` sets neither TCP_NODELAY nor a header timeout, and bounds no connections.

mod guests;
mod tls;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
pub(crate) use guests::Guests;
use guests::Refusal;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

pub use tls::server_config;

/// Bounds of a listener.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// Name in metrics: `public` or `admin`.
    pub name: &'static str,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address.
    pub connections_per_address_max: usize,
    /// From the first byte of a request to the end of its headers; also the TLS handshake.
    pub header_timeout: Duration,
    /// Headers of one request, bytes.
    pub header_bytes_max: usize,
    /// How long requests in flight may take after the stop.
    pub drain: Duration,
}

/// Serves `app` until `stop`, then finishes what is in flight within `options.drain`.
///
/// # Errors
/// None today; an accept that fails (file descriptors used up) is counted and tried again.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    app: Router,
    options: EdgeOptions,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let edge = Arc::new(Edge {
        http: http_builder(&options),
        tls: tls.map(TlsAcceptor::from),
        guests: Guests::new(options.connections_max, options.connections_per_address_max),
        app,
        options,
    });
    let graceful = GracefulShutdown::new();
    let tasks = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, edge = edge.options.name, "accept failed");
                    // Out of file descriptors: every retry would fail until some are closed.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let watcher = graceful.watcher();
        tasks.spawn(Arc::clone(&edge).greet(stream, peer, watcher));
    }
    drop(listener);
    tasks.close();
    if timeout(edge.options.drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            edge = edge.options.name,
            "connections cut at the end of the drain time"
        );
    }
    Ok(())
}

struct Edge {
    http: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    guests: Arc<Guests>,
    app: Router,
    options: EdgeOptions,
}

fn http_builder(options: &EdgeOptions) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.header_bytes_max.max(8192));
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(u32::try_from(options.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30));
    http
}

impl Edge {
    async fn greet(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        // Without it small answers wait up to 40 ms for the peer's delayed ACK.
        let _ = stream.set_nodelay(true);
        let guest = match self.guests.admit(peer.ip()) {
            Ok(guest) => guest,
            Err(refusal) => return self.turn_away(stream, refusal).await,
        };
        metrics::gauge!("patchbay_edge_connections", "edge" => self.options.name).increment(1.0);
        match &self.tls {
            None => self.attend(stream, peer, watcher).await,
            Some(tls) => match timeout(self.options.header_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.attend(stream, peer, watcher).await,
                Ok(Err(_)) | Err(_) => self.count("tls_handshake"),
            },
        }
        metrics::gauge!("patchbay_edge_connections", "edge" => self.options.name).decrement(1.0);
        drop(guest);
    }

    async fn attend<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        watcher: hyper_util::server::graceful::Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request: Request<Incoming>| {
            let app = self.app.clone();
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                Ok::<_, Infallible>(
                    app.oneshot(request)
                        .await
                        .unwrap_or_else(|never| match never {}),
                )
            }
        });
        let connection = self
            .http
            .serve_connection_with_upgrades(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            self.count(reason(error.as_ref()));
        }
    }

    /// A plain listener says why; a TLS one would have to shake hands first, and only closes.
    async fn turn_away(&self, mut stream: TcpStream, refusal: Refusal) {
        self.count(refusal.reason());
        if self.tls.is_none() {
            let answer = refusal.answer();
            let _ = timeout(Duration::from_secs(1), stream.write_all(answer.as_bytes())).await;
        }
    }

    fn count(&self, reason: &'static str) {
        metrics::counter!("patchbay_edge_refused_total", "edge" => self.options.name, "reason" => reason)
            .increment(1);
    }
}

fn reason(error: &(dyn std::error::Error + 'static)) -> &'static str {
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_timeout() => "header_timeout",
        Some(error) if error.is_parse() => "bad_request",
        _ => "connection_lost",
    }
}
