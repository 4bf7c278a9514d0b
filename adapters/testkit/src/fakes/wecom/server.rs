//! The listener: reads calls, lets some go wrong, answers.

use std::{fmt, future::poll_fn, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    Fault, State,
    calls::{self, Call},
};

/// Bytes of a request.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The connection is to be reset instead of an answer.
#[derive(Debug)]
struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reset as the test wants")
    }
}

impl std::error::Error for Reset {}

/// Serves until it is aborted; its connections end with it.
pub(super) async fn run(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut lines = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    lines.spawn(line(stream, Arc::clone(&state)));
                }
            }
            Some(_) = lines.join_next() => {}
        }
    }
}

async fn line(stream: TcpStream, state: Arc<Mutex<State>>) {
    let service = service_fn(move |request| Box::pin(answer(request, Arc::clone(&state))));
    let mut line = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| line.poll_without_shutdown(cx)).await;
    if ended.is_err() {
        // So that the other side sees a reset and not an end.
        let _ = line.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Reset> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let query = head.uri.query().unwrap_or_default();
    let call = Call {
        path: head.uri.path().to_owned(),
        query: form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        body: body.map_err(|_| Reset)?.to_bytes().to_vec(),
    };
    let fault = {
        let mut state = state.lock();
        *state.calls.entry(call.path.clone()).or_default() += 1;
        let faults = state.faults.get_mut(&call.path);
        let fault = faults.and_then(std::collections::VecDeque::pop_front);
        if fault == Some(Fault::ExpireTokens) {
            state.token = None;
        }
        fault
    };
    let answered = match fault {
        Some(Fault::ResetLost) => return Err(Reset),
        Some(Fault::Gateway(status)) => {
            let page = Response::builder().status(status);
            let page = page.body(Full::from("<html>upstream</html>"));
            return Ok(page.expect("a status between 100 and 999"));
        }
        Some(Fault::Refuse(code)) => Err((code, "as the test wants")),
        _ => calls::perform(&mut state.lock(), &call),
    };
    match fault {
        Some(Fault::ResetTaken) => return Err(Reset),
        Some(Fault::Slow(late)) => tokio::time::sleep(late).await,
        _ => {}
    }
    let body = answered.unwrap_or_else(|(code, words)| {
        state.lock().refusals.push(code);
        json!({ "errcode": code, "errmsg": words })
    });
    let response = Response::builder().header("content-type", "application/json; charset=UTF-8");
    let body = Full::from(body.to_string());
    Ok(response.body(body).expect("a known header"))
}
