//! One call and its answer.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use serde_json::Value;
use tower::ServiceExt;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.body
    }

    /// Asserts a problem document of this status and code; answers its sentence.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        let kind = self.headers.get(header::CONTENT_TYPE).unwrap();
        assert_eq!(kind, "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert_eq!(self.body["code"], code, "{self:?}");
        assert!(!self.body["title"].as_str().unwrap().is_empty(), "{self:?}");
        self.body["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// Rows of a page, by one of their fields.
    pub(crate) fn all(&self, field: &str) -> Vec<String> {
        let items = self.body["items"].as_array();
        let text = |item: &Value| match &item[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        items
            .unwrap_or_else(|| panic!("{self:?}"))
            .iter()
            .map(text)
            .collect()
    }
}

/// A call that is being written.
pub(crate) struct Call {
    app: Router,
    request: axum::http::request::Builder,
    body: Body,
}

impl Call {
    pub(crate) fn new(app: Router, method: &str, path: &str) -> Self {
        let uri = format!("/api/v1{path}");
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::HOST, "127.0.0.1:8080");
        let body = Body::empty();
        Self { app, request, body }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub(crate) fn raw(mut self, kind: &str, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    pub(crate) async fn send(self) -> Answer {
        let request = self.request.body(self.body).unwrap();
        let answer = self.app.oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap();
        let body = match bytes.as_ref() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned())),
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }
}
