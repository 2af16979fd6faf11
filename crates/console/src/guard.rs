//! What every request passes, and what every answer says: host, site, session, and the headers that
//! bind a browser.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;

use crate::layout;
use crate::server::App;

/// Scripts, styles, requests and forms of this console only; no inline script or style, no frame,
/// no plug-in, no other site.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// On every answer.
const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: with it a browser says `Origin: null` of a form of our own.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Lets a request in, or says why not.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match admit(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => *refusal,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // What is shown is of one person and of one moment.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn admit(app: &App, request: &Request) -> Result<(), Box<Response>> {
    let host = app.config.hosts.check(request).map_err(|detail| {
        let detail = format!("{detail}; open the address that the command printed");
        problem(StatusCode::MISDIRECTED_REQUEST, "Misdirected Request", &detail)
    })?;
    same_site(request.method(), request.headers(), &host)
        .map_err(|detail| problem(StatusCode::FORBIDDEN, "Forbidden", &detail))?;
    let path = request.uri().path();
    if path.starts_with("/assets/") || path.starts_with("/start/") || app.door.is_open(request.headers()) {
        return Ok(());
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    Err(Box::new(
        (StatusCode::UNAUTHORIZED, axum::response::Html(layout::closed(target).into_string()))
            .into_response(),
    ))
}

/// Whether this console's own page, or a person by the address bar, makes the request.
fn same_site(method: &Method, headers: &HeaderMap, host: &str) -> Result<(), String> {
    let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = of("sec-fetch-site");
    if matches!(*method, Method::GET | Method::HEAD) {
        // A link from elsewhere may lead here; what is not a page of its own may not be loaded from
        // elsewhere.
        let elsewhere = matches!(site, Some(site) if site != "same-origin" && site != "none");
        let page = of("sec-fetch-mode") == Some("navigate") && of("sec-fetch-dest") == Some("document");
        return if elsewhere && !page { Err("another site asked for this".into()) } else { Ok(()) };
    }
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    if origin != Some(&format!("http://{host}")) {
        let origin = origin.unwrap_or("none");
        return Err(format!("a change must come from this console's own page; its Origin is {origin}"));
    }
    match site {
        None | Some("same-origin") => Ok(()),
        Some(site) => {
            Err(format!("a change must come from this console's own page; Sec-Fetch-Site is {site}"))
        }
    }
}

/// A refusal (RFC 9457).
fn problem(status: StatusCode, title: &str, detail: &str) -> Box<Response> {
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail})
        .to_string();
    Box::new((status, [(CONTENT_TYPE, "application/problem+json")], body).into_response())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    fn judged(method: &Method, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse::<HeaderValue>().unwrap()));
        same_site(method, &headers.collect(), "127.0.0.1:8789").is_ok()
    }

    #[test]
    fn a_change_comes_from_the_consoles_own_page() {
        let own = ("origin", "http://127.0.0.1:8789");
        assert!(judged(&Method::POST, &[own, ("sec-fetch-site", "same-origin")]));
        assert!(judged(&Method::POST, &[own]), "a browser without Sec-Fetch-Site");
        for headers in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "null")],
            &[("origin", "http://evil.example")],
            &[("origin", "http://localhost:8789")],
            &[("origin", "https://127.0.0.1:8789")],
            &[("origin", "http://127.0.0.1:8788")],
            &[own, ("sec-fetch-site", "cross-site")],
            &[own, ("sec-fetch-site", "same-site")],
            &[own, ("sec-fetch-site", "none")],
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert!(!judged(&method, headers), "{headers:?}");
            }
        }
    }

    #[test]
    fn a_link_may_lead_here_and_nothing_else_may_load_from_elsewhere() {
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(judged(&Method::GET, &link));
        assert!(judged(&Method::GET, &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]));
        assert!(judged(&Method::GET, &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]));
        assert!(judged(&Method::GET, &[]), "curl");
        for (mode, dest) in
            [("no-cors", "script"), ("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")]
        {
            let headers =
                [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            assert!(!judged(&Method::GET, &headers), "{mode} {dest}");
        }
    }
}
