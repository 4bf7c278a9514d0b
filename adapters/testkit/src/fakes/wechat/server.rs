//! The listener: reads calls, lets some go wrong, answers.

use std::{convert::Infallible, future::poll_fn, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    calls::{self, Answered, Call},
    errcode::Refused,
    faults::Fault,
    state::{Refusal, State},
};

/// Bytes of a request: a film and its form.
const BODY_BYTES_MAX: usize = 12 << 20;

/// The connection is to be reset instead of an answer.
#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    let call = read(request).await.ok_or(Reset)?;
    let fault = {
        let mut state = state.lock();
        *state.calls.entry(call.path.clone()).or_default() += 1;
        let fault = state.faults.next(&call.path);
        if fault == Some(Fault::ExpireTokens) {
            let now_ms = state.now_ms();
            if let Ok(book) = state.owner(call.token()) {
                book.tokens.expire(now_ms);
            }
        }
        fault
    };
    let answered = match fault {
        Some(Fault::ResetLost) => return Err(Reset),
        Some(Fault::Gateway(status)) => {
            let page = Response::builder()
                .status(status)
                .body(Full::from("<html>upstream</html>"));
            return Ok(page.expect("a status between 100 and 999"));
        }
        Some(Fault::Refuse(errcode)) => Err(calls::ordered(errcode)),
        _ => calls::perform(&mut state.lock(), &call),
    };
    match fault {
        Some(Fault::ResetTaken) => return Err(Reset),
        Some(Fault::Slow(late)) => tokio::time::sleep(late).await,
        _ => {}
    }
    Ok(respond(&state, &call.path, answered))
}

fn respond(
    state: &Mutex<State>,
    path: &str,
    answered: Result<Answered, Refused>,
) -> Response<Full<Bytes>> {
    let (content_type, body) = match answered {
        Ok(Answered::File {
            bytes,
            content_type,
        }) => (content_type, Bytes::from(bytes)),
        Ok(Answered::Json(value)) => (
            "application/json; encoding=utf-8",
            Bytes::from(value.to_string()),
        ),
        Err(refused) => {
            let body = refused.body().to_string();
            state.lock().refusals.push(Refusal {
                path: path.to_owned(),
                refused,
            });
            ("application/json; encoding=utf-8", Bytes::from(body))
        }
    };
    let mut response = Response::builder().header("content-type", content_type);
    if !content_type.starts_with("application/json") {
        let extension = content_type.rsplit('/').next().unwrap_or("bin");
        response = response.header(
            "content-disposition",
            format!("attachment; filename=\"file.{extension}\""),
        );
    }
    response.body(Full::new(body)).expect("known headers")
}

/// Reads a request whole; nothing if the other side went away or there is too much.
async fn read(request: Request<Incoming>) -> Option<Call> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX)
        .collect()
        .await
        .ok()?
        .to_bytes();
    let query = head.uri.query().unwrap_or_default();
    let content_type = head
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(|value| multer::parse_boundary(value).ok());
    let file = match boundary {
        Some(boundary) => Some(field(body.clone(), boundary).await),
        None => None,
    };
    Some(Call {
        post: head.method == "POST",
        path: head.uri.path().to_owned(),
        query: form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        body: body.to_vec(),
        file,
    })
}

/// The file a form has under `media`; it must have a name.
async fn field(body: Bytes, boundary: String) -> Result<Vec<u8>, Refused> {
    let mut form = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    while let Ok(Some(field)) = form.next_field().await {
        if field.name() == Some("media") && field.file_name().is_some_and(|name| !name.is_empty()) {
            let bytes = field.bytes().await.map_err(|_| calls::without_field())?;
            return Ok(bytes.to_vec());
        }
    }
    Err(calls::without_field())
}
