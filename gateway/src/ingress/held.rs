//! An HTTP request whose answer waits for a reply: until its time is over, until the provider goes
//! away, or until we stop.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use patchbay_sdk::Reply;

use super::{Ingress, http::into_response};
use crate::live::{Entered, Telling};

/// What the request is answered in the end: a reply, or what it would have been answered at once.
pub(super) async fn answer(ingress: &Ingress, held: Entered, confirmed: Reply) -> Response {
    let telling = match held {
        Entered::No => None,
        Entered::Again(telling) => Some(telling),
        Entered::Held(hold) => hold.wait(&ingress.stop).await,
    };
    let Some((telling, (status, headers, body))) = telling.and_then(|telling| {
        let parts = telling.parts()?;
        Some((telling, parts))
    }) else {
        return into_response(confirmed);
    };
    let body = Told {
        bytes: Some(Bytes::from(body)),
        telling,
    };
    (status, headers, Body::new(body)).into_response()
}

/// A body that knows whether the connection took it. If it is dropped before, nothing of it has left.
struct Told {
    bytes: Option<Bytes>,
    telling: Telling,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.bytes.take();
        if bytes.is_some() {
            self.telling.taken();
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
