//! Every page over documents in memory: what it says, in which forms, and what becomes of hostile
//! text.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sluice_console::ops::{Act, Failure, OperationChange, Selection};
use sluice_console::{App, Config, router};
use support::{EVENT, Fake, GROUP, OPERATION, pages};
use tower::ServiceExt as _;

const HOST: &str = "127.0.0.1:8789";

/// A console, and the cookie of somebody who is in.
struct Console {
    app: Arc<App>,
    fake: Arc<Fake>,
    cookie: String,
}

impl Console {
    async fn new(fake: Fake, read_only: bool) -> Self {
        let address = HOST.parse().unwrap();
        let urls = Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = Arc::clone(&urls);
        let config = Config {
            address,
            hosts: sluice_loopback::Hosts::of(address, &BTreeSet::new()),
            read_only,
            person: "ada".into(),
            cloud: "Local cloud".into(),
            local: true,
            announce: Arc::new(move |url| told.lock().unwrap().push(url.to_owned())),
        };
        let fake = Arc::new(fake);
        let app = App::new(config, Arc::clone(&fake) as Arc<_>);
        app.announce();
        let path = urls.lock().unwrap()[0].strip_prefix(&format!("http://{HOST}")).unwrap().to_owned();
        let request = Request::get(&path).header("host", HOST).body(Body::empty()).unwrap();
        let response = router(Arc::clone(&app)).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let cookie =
            response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(urls.lock().unwrap().len(), 2, "the next address is told when one was used");
        Self { app, fake, cookie }
    }

    async fn send(&self, request: http::request::Builder, body: &str) -> Response<Body> {
        let request =
            request.header("host", HOST).header("cookie", &self.cookie).body(Body::from(body.to_owned()));
        sluice_console::routes::with_forms(Arc::clone(&self.app)).oneshot(request.unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.send(Request::get(path), "").await;
        (response.status(), text(response).await)
    }

    async fn post(&self, path: &str, form: &str) -> Response<Body> {
        let request = Request::post(path)
            .header("origin", format!("http://{HOST}"))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request, form).await
    }
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn every_page_is_html_json_and_a_live_part() {
    let console = Console::new(Fake::default(), false).await;
    for (name, path, kind) in pages() {
        let (status, html) = console.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{name}: {html}");
        assert!(html.starts_with("<!DOCTYPE html>") && html.contains("<h1>"), "{name}");
        assert!(html.len() <= 100_000, "{name}: {} bytes", html.len());
        for inline in [" style=", "<style", " onclick=", "javascript:"] {
            assert!(!html.contains(inline), "{name} has {inline}, which the policy forbids");
        }
        let (before, query) = path
            .split_once('?')
            .map_or((path.as_str(), String::new()), |(path, query)| (path, format!("?{query}")));
        let before = if before == "/" { "/index" } else { before };
        let (status, body) = console.get(&format!("{before}.json{query}")).await;
        assert_eq!(status, StatusCode::OK, "{name}.json");
        let document: Value = serde_json::from_str(&body).unwrap();
        let expected = support::document(kind);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&document), keys(&expected), "{name}.json is the document itself");
        let live = console.send(Request::get(&path).header("hx-request", "true"), "").await;
        let live = text(live).await;
        assert!(
            !live.contains("<html") && html.contains(&live),
            "{name}: the live part is the part of the page"
        );
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let console = Console::new(Fake::default(), false).await;
    let first = console.send(Request::get("/quarantine").header("hx-request", "true"), "").await;
    let tag = first.headers()[header::ETAG].clone();
    assert!(first.headers().contains_key("x-sluice-as-of"));
    let again = Request::get("/quarantine").header("hx-request", "true").header("if-none-match", &tag);
    let again = console.send(again, "").await;
    assert_eq!(
        (again.status(), again.headers()[header::ETAG].clone()),
        (StatusCode::NOT_MODIFIED, tag.clone())
    );
    assert_eq!(text(again).await, "");
    let (_, html) = console.get("/quarantine").await;
    assert!(
        html.contains(&format!("etag=\"{}\"", tag.to_str().unwrap().replace('"', "&quot;"))),
        "the page knows the tag of its part"
    );
    assert_eq!(console.fake.asked.lock().unwrap()["groups"], 1, "three requests are one read");
}

#[tokio::test]
async fn hostile_text_is_escaped_shown_and_bounded_on_every_page() {
    let console = Console::new(Fake { hostile: true, ..Fake::default() }, false).await;
    for (name, path, _) in pages() {
        let (status, html) = console.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        for raw in ["<script>alert", "<img src=x", "\u{202e}", "\u{1b}", "\u{200b}"] {
            assert!(!html.contains(raw), "{name} has {raw:?}");
        }
        assert!(html.len() <= 200_000, "{name}: {} bytes", html.len());
    }
    let (_, html) = console.get(&format!("/events/{EVENT}")).await;
    assert!(html.contains("U+202E") && html.contains(">ESC<"), "what cannot be seen has its name");
    assert!(html.contains(&format!("href=\"/events/{EVENT}/raw\"")), "all of it is a link away");
    for way in ["text", "hex"] {
        let (_, html) = console.get(&format!("/events/{EVENT}?raw={way}")).await;
        assert!(html.len() <= 100_000 && html.contains("download all of it"), "{way}: {} bytes", html.len());
    }
}

#[tokio::test]
async fn bytes_of_a_vendor_are_an_attachment() {
    let console = Console::new(Fake::default(), false).await;
    for stored in ["raw", "normalized", "case"] {
        let response = console.send(Request::get(format!("/events/{EVENT}/{stored}")), "").await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/octet-stream");
        let attachment = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert!(attachment.starts_with("attachment; filename="), "{attachment}");
    }
}

#[tokio::test]
async fn the_first_page_says_in_a_sentence_whether_anything_is_lost() {
    let console = Console::new(Fake::default(), false).await;
    let plain = |html: &str| {
        let mut text = String::new();
        let mut inside = false;
        for c in html.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                _ if !inside => text.push(c),
                _ => {}
            }
        }
        text
    };
    let (_, html) = console.get("/").await;
    assert!(
        plain(&html).contains(
            "12,480 accepted = 11,434 normalized + 1,041 quarantined + 5 in flight; nothing unaccounted for."
        ),
        "{html}"
    );
    let mut lost = support::document("overview");
    lost["balance"]["known"]["unaccounted"] = json!(3);
    console.fake.answer("overview", Ok(lost));
    console.app.forget();
    assert!(plain(&console.get("/").await.1).contains("3 unaccounted for."));
}

#[tokio::test]
async fn what_is_not_known_is_said_and_is_never_zero() {
    let console = Console::new(Fake::default(), false).await;
    let mut document = support::document("overview");
    document["balance"] =
        json!({"unknown": {"kind": "unavailable", "code": "throttled", "message": "DynamoDB throttled"}});
    document["quarantine"] = json!({"unknown": {"kind": "refused", "code": "denied", "message": "failed to list the quarantine",
        "causes": ["User: arn:aws:iam::1:user/ada is not authorized to perform: dynamodb:Scan on resource: sluice-quarantine"]}});
    console.fake.answer("overview", Ok(document));
    let (status, html) = console.get("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        html.contains("Balance unavailable")
            && html.contains("DynamoDB throttled")
            && html.contains("last closed hour"),
        "{html}"
    );
    assert!(!html.contains(">Accepted<"), "no figure stands for what is not known");
    assert!(
        html.contains("Quarantine unavailable") && html.contains("dynamodb:Scan"),
        "the action is named where it is missing"
    );
    let down = Failure {
        hint: Some("is `sluice dev` running?".into()),
        ..Failure::new("unavailable", "failed to reach the ledger")
    };
    console.fake.answer("events", Err(down));
    let (status, html) = console.get("/events").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        html.contains("failed to reach the ledger") && html.contains("is `sluice dev` running?"),
        "{html}"
    );
    let (status, body) = console.get("/events.json").await;
    assert_eq!(
        (status, serde_json::from_str::<Value>(&body).unwrap()["error"]["kind"].clone()),
        (StatusCode::SERVICE_UNAVAILABLE, json!("unavailable"))
    );
}

#[tokio::test]
async fn lineage_is_found_when_a_person_asks_and_not_again_by_itself() {
    let console = Console::new(Fake::default(), true).await;
    for (page, href, kind, words) in [
        (format!("/events/{EVENT}"), format!("/events/{EVENT}/trace"), "trace", "metadata"),
        (
            "/mappers/vendorA/inventory_update".to_owned(),
            "/mappers/vendorA/inventory_update/trace".to_owned(),
            "lineage",
            "no single member moves it",
        ),
    ] {
        let (_, html) = console.get(&page).await;
        assert!(html.contains(&format!("hx-get=\"{href}\"")), "{page} offers it: {html}");
        assert!(!console.fake.asked.lock().unwrap().contains_key(kind), "it costs, so it waits to be asked");
        let (_, whole) = console.get(&href).await;
        assert!(whole.contains(words) && whole.contains("further") == (kind == "trace"), "{whole}");
        assert!(!whole.contains("sl:poll"), "{href} does not poll");
    }
    let (_, html) = console.get(&format!("/events/{EVENT}")).await;
    assert!(html.contains(&format!("href=\"/events/{EVENT}/case\"")), "a reader may take the case along");
}

#[tokio::test]
async fn an_empty_page_says_why_and_what_is_next() {
    let console = Console::new(Fake { empty: true, ..Fake::default() }, false).await;
    for (name, path, words) in [
        ("quarantine", "/quarantine", "Nothing is in quarantine."),
        ("events", "/events", "No event matches."),
        ("operations", "/operations", "No bulk act was ever planned."),
        ("vendors", "/vendors", "sluice --local vendors add"),
        ("mappers", "/mappers", "sluice --local mapper publish"),
        ("divergence", "/divergence", "No statement contradicts another."),
        ("conflicts", "/conflicts", "Nothing is to be decided."),
        ("audit", "/audit", "Nobody has done anything"),
        ("executions", "/executions", "No execution matches."),
    ] {
        let (status, html) = console.get(path).await;
        assert!(status == StatusCode::OK && html.contains(words), "{name}: {html}");
    }
}

#[tokio::test]
async fn a_group_leads_from_its_cause_to_the_redrive() {
    let console = Console::new(Fake::default(), false).await;
    let (_, html) = console.get(&format!("/groups/{GROUP}?candidate=9f1c0a77")).await;
    for part in [
        "1,000 events",
        "+ added",
        "− removed",
        "seems to be",
        "Redrive 1,000 events…",
        "hx-get=\"/shadow?vendor=vendorA",
        "aria-label=\"Example after\"",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    let (_, proof) = console.get("/shadow?vendor=vendorA&type=inventory_update&candidate=9f1c0a77").await;
    assert!(proof.contains("It fixes 1,000 events and breaks none"), "{proof}");

    let answer = console.post("/operations", &format!("group={GROUP}&per_second=20&budget_percent=5")).await;
    assert_eq!(answer.headers()[header::LOCATION], format!("/operations/{OPERATION}"));
    let answer = console.post(&format!("/operations/{OPERATION}/start"), "reason=OPS-1").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "1,000 items are confirmed by their number");
    let answer = console.post(&format!("/operations/{OPERATION}/start"), "reason=+&typed=1000").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "a reason is needed");
    let answer = console.post(&format!("/operations/{OPERATION}/start"), "reason=OPS-1&typed=1000").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let then = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let (_, html) = console.get(&then).await;
    assert!(html.contains("Started."), "what was done is said: {html}");
    let acts = console.fake.acts.lock().unwrap().clone();
    assert_eq!(
        acts[0].0,
        Act::Plan { selection: Selection::Group(GROUP.into()), per_second: 20, budget_percent: 5 }
    );
    assert_eq!(acts[1].0, Act::Operation { id: OPERATION.into(), change: OperationChange::Start });
    assert_eq!((acts[1].1.by.as_str(), acts[1].1.reason.as_str()), ("ada", "OPS-1"));
    assert_eq!(acts.len(), 2);
}

#[tokio::test]
async fn a_read_only_console_has_no_route_that_changes_anything() {
    let console = Console::new(Fake::default(), true).await;
    for path in [
        format!("/groups/{GROUP}/acknowledge"),
        "/operations".into(),
        format!("/operations/{OPERATION}/start"),
        format!("/events/{EVENT}/accept"),
        format!("/conflicts/{EVENT}/accept"),
        "/vendors/vendorA/disable".into(),
        "/vendors/vendorA/enable".into(),
        "/mappers/vendorA/inventory_update/promote".into(),
        "/mappers/vendorA/inventory_update/rollback".into(),
        "/dead-letters/sluice-inventory-dlq/cancel".into(),
    ] {
        let answer = console.post(&path, "reason=x").await;
        assert!(
            matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED),
            "{path}: {}",
            answer.status()
        );
    }
    assert!(console.fake.acts.lock().unwrap().is_empty());
    for (name, path, _) in pages() {
        let (_, html) = console.get(&path).await;
        assert!(!html.contains("method=\"post\""), "{name} has a form that changes something");
    }
}

#[tokio::test]
async fn nobody_comes_in_from_elsewhere() {
    let console = Console::new(Fake::default(), false).await;
    let ask = |request: http::request::Builder| {
        let request = request.body(Body::empty()).unwrap();
        router(Arc::clone(&console.app)).oneshot(request)
    };
    for host in ["evil.example", "evil.example:8789", "127.0.0.1:1", "127.0.0.1"] {
        let answer =
            ask(Request::get("/").header("host", host).header("cookie", &console.cookie)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let answer = ask(Request::get("/").header("host", HOST)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "without a cookie");
    let headers = answer.headers().clone();
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';")
            && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(
        (&headers["x-content-type-options"], &headers["referrer-policy"]),
        (&"nosniff".parse().unwrap(), &"same-origin".parse().unwrap())
    );
    assert!(!text(answer).await.contains("12,480"));
    for json in ["/index.json", "/events.json"] {
        let request = Request::get(json).header("host", HOST).body(Body::empty()).unwrap();
        let answer =
            sluice_console::routes::with_forms(Arc::clone(&console.app)).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{json}");
    }
    let post = |origin: &'static str| {
        Request::post("/operations")
            .header("host", HOST)
            .header("cookie", &console.cookie)
            .header("origin", origin)
    };
    for origin in ["http://evil.example", "null", "http://localhost:8789"] {
        assert_eq!(ask(post(origin)).await.unwrap().status(), StatusCode::FORBIDDEN, "{origin}");
    }
    let spent = ask(Request::get("/start/0123").header("host", HOST)).await.unwrap();
    assert_eq!(spent.status(), StatusCode::GONE);
    assert!(!spent.headers().contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn a_filter_is_in_every_link() {
    let console = Console::new(Fake::default(), false).await;
    let (_, html) = console.get("/events?status=QUARANTINED&vendor=vendorA&done=x").await;
    assert!(html.contains("href=\"/events?status=QUARANTINED&amp;vendor=vendorA&amp;since=15m\""), "{html}");
    assert!(html.contains("href=\"/events?status=QUARANTINED\""), "a filter can be taken away");
    let (status, html) = console.get("/events?since=soon").await;
    assert!(status == StatusCode::BAD_REQUEST && html.contains("write 15m"), "{html}");
}
