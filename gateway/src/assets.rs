//! Console, widget and demo page, built by npm and embedded in the binary.

use axum::{
    Router,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use patchbay_api::Problem;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "console/dist"]
struct Dist;

/// The console runs only its own scripts, and nobody may frame it (Content Security Policy 3).
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; connect-src 'self' ws: wss:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/widget.js`, `/demo`, `/console/`.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", get(async || Redirect::temporary("/console/")))
        .route("/widget.js", get(async || file("widget.js")))
        .route("/demo", get(async || file("demo.html")))
        .route("/console", get(async || Redirect::permanent("/console/")))
        .route("/console/", get(async || console("index.html")))
        .route(
            "/console/{*path}",
            get(async |Path(path): Path<String>| console(&path)),
        )
}

/// A file of the console; any other path is a place inside it.
fn console(path: &str) -> Response {
    let name = format!("console/{path}");
    let found = if Dist::get(&name).is_some() {
        name
    } else {
        "console/index.html".to_owned()
    };
    let mut response = file(&found);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONSOLE_POLICY),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

fn file(name: &str) -> Response {
    let Some(EmbeddedFile { data, metadata }) = Dist::get(name) else {
        let detail =
            "this binary was built without console and widget: run `make console` and build again";
        return Problem::new(StatusCode::NOT_FOUND, "not_built", detail).into_response();
    };
    // Hashed names never change; the others are asked for again, by their hash.
    let cache = if name.contains("/assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let tag = format!("\"{}\"", hex::encode(&metadata.sha256_hash()[..16]));
    let headers = [
        (header::CONTENT_TYPE, content_type(name)),
        (header::CACHE_CONTROL, cache),
        (header::ETAG, &tag),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, data.into_owned()).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "map") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
