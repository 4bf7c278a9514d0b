//! Which web pages may talk to a channel: its allow-list of origins, and CORS (Fetch standard).

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether a browser on this page may come. Without an `Origin` header it is no browser (or no
/// cross-site request), and the token decides alone.
pub(super) fn allowed(origins: &[String], public_url: &str, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    origin == public_url || origins.iter().any(|pattern| fits(pattern, origin))
}

/// `*`, an exact origin, or `https://*.example` for every name below it.
fn fits(pattern: &str, origin: &str) -> bool {
    if pattern == "*" || pattern.eq_ignore_ascii_case(origin) {
        return true;
    }
    let Some((scheme, domain)) = pattern.split_once("://*.") else {
        return false;
    };
    let Some((origin_scheme, host)) = origin.split_once("://") else {
        return false;
    };
    let host = host.to_ascii_lowercase();
    scheme.eq_ignore_ascii_case(origin_scheme)
        && host
            .strip_suffix(&domain.to_ascii_lowercase())
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Headers that let an allowed page read the answer.
pub(super) fn cors(headers: &HeaderMap) -> Option<[(HeaderName, HeaderValue); 4]> {
    let origin = headers.get(header::ORIGIN)?.clone();
    let fixed = HeaderValue::from_static;
    Some([
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::VARY, fixed("origin")),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            fixed("authorization, content-type"),
        ),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, fixed("retry-after")),
    ])
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_covers_names_below_and_nothing_beside() {
        assert!(fits("https://*.shop.example", "https://a.shop.example"));
        assert!(fits("https://shop.example", "https://shop.example"));
        for other in [
            "https://shop.example",
            "https://evilshop.example",
            "http://a.shop.example",
            "https://a.shop.example.evil",
        ] {
            assert!(!fits("https://*.shop.example", other), "{other}");
        }
    }
}
