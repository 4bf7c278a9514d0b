//! Servers that do nothing: what HTTP and WebSockets cost before anything is done about a message.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::Context as _;
use bytes::Bytes;
use clap::ValueEnum;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{accept_async_with_config, tungstenite::protocol::WebSocketConfig};
use tokio_util::task::TaskTracker;

/// Read buffer of a socket, bytes: twice the gateway's, which docs/performance.md says beside the figures.
const READ_BUFFER: usize = 4096;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    /// Reads a request's body and answers 200 with two letters.
    Http,
    /// Sends every text back.
    Socket,
}

/// Serves until the process is stopped; prints the address once it can be reached.
pub(super) async fn serve(what: Server, listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("listen on {listen}"))?;
    println!("http://{}", listener.local_addr()?);
    // Owns the connections; they end with the process.
    let tasks = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tasks.spawn(async move {
            // How a connection ends concerns nobody but its client.
            let _ = match what {
                Server::Http => answer(stream).await,
                Server::Socket => echo(stream).await,
            };
        });
    }
}

async fn answer(stream: TcpStream) -> anyhow::Result<()> {
    let service = service_fn(|request: Request<Incoming>| async {
        let body = request.into_body().collect().await;
        drop(body);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
    });
    Ok(http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await?)
}

async fn echo(stream: TcpStream) -> anyhow::Result<()> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0);
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
