//! The addresses. What changes something is a route of its own, and is not there at all when the
//! console is read-only.

use std::io;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Form, Path, Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, ServiceExt as _};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, SET_COOKIE};
use http::{StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sluice_core::id::{EventType, IngestId, VendorId};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::assets;
use crate::guard;
use crate::layout::{self, Page, Section};
use crate::ops::{Act, EventFilter, Failure, OperationChange, Question, Selection, Stored};
use crate::page;
use crate::server::{App, AsJson, Asked};
use crate::view;

/// Largest form, in bytes.
const FORM_BYTES_MAX: usize = 16 * 1024;

type Shared = State<Arc<App>>;

/// All routes of a console.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/", get(overview))
        .route("/hours/{hour}", get(hour))
        .route("/quarantine", get(quarantine))
        .route("/groups/{fingerprint}", get(group))
        .route("/shadow", get(shadow))
        .route("/events", get(events))
        .route("/events/{id}", get(event))
        .route("/events/{id}/raw", get(raw))
        .route("/events/{id}/normalized", get(normalized))
        .route("/events/{id}/trace", get(trace))
        .route("/events/{id}/case", get(case))
        .route("/operations", get(operations))
        .route("/operations/{id}", get(operation))
        .route("/executions", get(executions))
        .route("/executions/{arn}", get(execution))
        .route("/vendors", get(vendors))
        .route("/vendors/{id}", get(vendor))
        .route("/mappers", get(mappers))
        .route("/mappers/{vendor}/{type}", get(mapper))
        .route("/mappers/{vendor}/{type}/trace", get(lineage))
        .route("/dead-letters", get(dead_letters))
        .route("/divergence", get(divergence))
        .route("/conflicts", get(conflicts))
        .route("/audit", get(audit))
        .route("/start/{token}", get(start))
        .route("/assets/{name}", get(assets::serve));
    if !app.config.read_only {
        router = router
            .route("/groups/{fingerprint}/acknowledge", post(acknowledge))
            .route("/operations", post(plan))
            .route("/operations/{id}/{change}", post(change_operation))
            .route("/events/{id}/accept", post(accept_event))
            .route("/conflicts/{id}/accept", post(accept_conflict))
            .route("/vendors/{id}/enable", post(enable))
            .route("/vendors/{id}/disable", post(disable))
            .route("/vendors/{id}/hold", post(hold))
            .route("/vendors/{id}/release", post(release))
            .route("/mappers/{vendor}/{type}/promote", post(promote))
            .route("/mappers/{vendor}/{type}/rollback", post(roll_back))
            .route("/dead-letters/{queue}/cancel", post(cancel_move));
    }
    router
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}

/// The routes, and every page as its document under `.json`.
pub fn with_forms(
    app: Arc<App>,
) -> impl tower::Service<Request, Response = Response, Error = std::convert::Infallible, Future: Send> + Clone + Send
{
    router(app).map_request(json_form)
}

/// Serves a console until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) -> io::Result<()> {
    app.announce();
    axum::serve(listener, with_forms(app).into_make_service())
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
}

/// `/events/01X.json` is the document of `/events/01X`.
fn json_form(mut request: Request) -> Request {
    let uri = request.uri();
    let Some(path) = uri.path().strip_suffix(".json").filter(|path| !path.starts_with("/assets/")) else {
        return request;
    };
    let path = if path == "/index" || path.is_empty() { "/" } else { path };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(uri) = target.parse::<Uri>() {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(AsJson);
    }
    request
}

async fn start(State(app): Shared, Path(token): Path<String>) -> Response {
    match app.door.enter(&token) {
        Some(cookie) => {
            app.announce();
            ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        None => (StatusCode::GONE, axum::response::Html(layout::spent().into_string())).into_response(),
    }
}

async fn nowhere(State(app): Shared, asked: Asked) -> Response {
    asked.failed(&app, Section::Overview, &Failure::new("not_found", "there is no such page"))
}

/// An id in an address, or what is wrong with it.
fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Failure::new("invalid", format!("{error}")))
}

/// As [`parsed`], of a filter that may be empty.
fn filter<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, Failure>
where
    T::Err: std::fmt::Display,
{
    text.map(str::trim).filter(|text| !text.is_empty()).map(parsed).transpose()
}

/// A moment, or a time ago such as `15m`, `24h` or `7d`. Whole minutes, so that equal questions
/// stay equal for a while.
fn moment(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let unit = |unit| match unit {
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let ago = text.chars().next_back().and_then(unit).and_then(|seconds| {
        let number: i64 =
            text[..text.len() - 1].parse().ok().filter(|number| (0..100_000).contains(number))?;
        Some(SignedDuration::from_secs(number * seconds))
    });
    match ago {
        Some(ago) => {
            let minute = now.as_second() - now.as_second().rem_euclid(60);
            Ok(Timestamp::from_second(minute).ok().and_then(|now| now.checked_sub(ago).ok()))
        }
        None => text.parse().map(Some).map_err(|_| {
            Failure::new("invalid", format!("{text} is no time: write 15m, 24h, 7d, or 2026-11-21T10:00:00Z"))
        }),
    }
}

/// Runs what may fail before a question is asked.
macro_rules! given {
    ($asked:expr, $app:expr, $section:expr, $what:expr) => {
        match $what {
            Ok(what) => what,
            Err(failure) => return $asked.failed(&$app, $section, &failure),
        }
    };
}

async fn overview(State(app): Shared, asked: Asked) -> Response {
    let page = |document: view::Overview, context: &_| page::overview::page(&document, context);
    asked.answer(&app, Section::Overview, &Question::Overview, page).await
}

async fn hour(State(app): Shared, asked: Asked, Path(hour): Path<String>) -> Response {
    let question = Question::Hours { vendor: None, hour: Some(hour.clone()) };
    asked
        .answer(&app, Section::Overview, &question, |document: view::HourBooks, context| {
            page::hour::page(&document, &hour, context)
        })
        .await
}

async fn quarantine(
    State(app): Shared,
    asked: Asked,
    Query(query): Query<page::quarantine::Query>,
) -> Response {
    let question = Question::Groups { all: query.all.is_some() };
    let page = |document: view::Groups, context: &_| page::quarantine::page(&document, &query, context);
    asked.answer(&app, Section::Quarantine, &question, page).await
}

async fn group(
    State(app): Shared,
    asked: Asked,
    Path(fingerprint): Path<String>,
    Query(query): Query<page::group::Query>,
) -> Response {
    let example = given!(asked, app, Section::Quarantine, filter(query.example.as_deref()));
    let question = Question::Group { fingerprint, example };
    let page = |document: view::GroupDetail, context: &_| page::group::page(&document, &query, context);
    asked.answer(&app, Section::Quarantine, &question, page).await
}

#[derive(Deserialize)]
struct ShadowQuery {
    vendor: String,
    #[serde(rename = "type")]
    event_type: String,
    candidate: String,
}

async fn shadow(State(app): Shared, asked: Asked, Query(query): Query<ShadowQuery>) -> Response {
    let vendor = given!(asked, app, Section::Mappers, parsed::<VendorId>(&query.vendor));
    let event_type = given!(asked, app, Section::Mappers, parsed::<EventType>(&query.event_type));
    let question = Question::Shadow { vendor, event_type, candidate: query.candidate };
    let page = |document: view::Shadow, _: &_| {
        let title = format!("Proof of a candidate for {} {}", document.vendor_id, document.event_type);
        Page::new(Section::Mappers, title).live(page::group::proof(&document))
    };
    asked.answer(&app, Section::Mappers, &question, page).await
}

async fn events(State(app): Shared, asked: Asked, Query(query): Query<page::events::Query>) -> Response {
    let now = Timestamp::now();
    let text = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    };
    let wanted = EventFilter {
        vendor: given!(asked, app, Section::Events, filter(query.vendor.as_deref())),
        event_type: given!(asked, app, Section::Events, filter(query.event_type.as_deref())),
        status: text(&query.status),
        external_id: text(&query.id),
        since: given!(asked, app, Section::Events, moment(query.since.as_deref(), now)),
        until: given!(asked, app, Section::Events, moment(query.until.as_deref(), now)),
        member: text(&query.member),
        after: text(&query.after),
    };
    let page = |document: view::Events, context: &_| page::events::page(&document, &query, context);
    asked.answer(&app, Section::Events, &Question::Events(wanted), page).await
}

async fn event(
    State(app): Shared,
    asked: Asked,
    Path(id): Path<String>,
    Query(query): Query<page::event::Query>,
) -> Response {
    let id = given!(asked, app, Section::Events, parsed(&id));
    let page = |document: view::Event, context: &_| page::event::page(&document, &query, context);
    asked.answer(&app, Section::Events, &Question::Event { id }, page).await
}

async fn raw(State(app): Shared, asked: Asked, Path(id): Path<String>) -> Response {
    download(&app, &asked, &id, Stored::Raw, "raw").await
}

async fn normalized(State(app): Shared, asked: Asked, Path(id): Path<String>) -> Response {
    download(&app, &asked, &id, Stored::Normalized, "normalized").await
}

async fn case(State(app): Shared, asked: Asked, Path(id): Path<String>) -> Response {
    download(&app, &asked, &id, Stored::Case, "case").await
}

async fn trace(State(app): Shared, asked: Asked, Path(id): Path<String>) -> Response {
    let id = given!(asked, app, Section::Events, parsed(&id));
    let page = |document: view::EventTrace, context: &_| page::trace::event(&document, context);
    asked.answer(&app, Section::Events, &Question::Trace { id }, page).await
}

/// Bytes of a vendor's are text or an attachment, whatever they claim to be.
async fn download(app: &App, asked: &Asked, id: &str, stored: Stored, name: &str) -> Response {
    let id = match parsed::<IngestId>(id) {
        Ok(id) => id,
        Err(failure) => return asked.failed(app, Section::Events, &failure),
    };
    match app.cache.ops().bytes(id, stored).await {
        Ok(bytes) => {
            let ending = if stored == Stored::Case { "json" } else { "txt" };
            let attachment = format!("attachment; filename=\"{id}.{name}.{ending}\"");
            let headers =
                [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, attachment)];
            (headers, bytes).into_response()
        }
        Err(failure) => asked.failed(app, Section::Events, &failure),
    }
}

async fn operations(State(app): Shared, asked: Asked) -> Response {
    let page = |document: view::Operations, context: &_| page::operations::list(&document, context);
    asked.answer(&app, Section::Operations, &Question::Operations, page).await
}

async fn operation(State(app): Shared, asked: Asked, Path(id): Path<String>) -> Response {
    let page = |document: view::OperationDetail, context: &_| page::operations::page(&document, context);
    asked.answer(&app, Section::Operations, &Question::Operation { id }, page).await
}

async fn executions(
    State(app): Shared,
    asked: Asked,
    Query(query): Query<page::executions::Query>,
) -> Response {
    let question = Question::Executions { machine: query.machine.clone(), status: query.status.clone() };
    let page = |document: view::Executions, context: &_| page::executions::list(&document, &query, context);
    asked.answer(&app, Section::Executions, &question, page).await
}

async fn execution(State(app): Shared, asked: Asked, Path(arn): Path<String>) -> Response {
    let page = |document: view::ExecutionDetail, context: &_| page::executions::page(&document, context);
    asked.answer(&app, Section::Executions, &Question::Execution { arn }, page).await
}

async fn vendors(State(app): Shared, asked: Asked) -> Response {
    let page = |document: view::Vendors, context: &_| page::vendors::list(&document, context);
    asked.answer(&app, Section::Vendors, &Question::Vendors, page).await
}

async fn vendor(State(app): Shared, asked: Asked, Path(id): Path<String>) -> Response {
    let id = given!(asked, app, Section::Vendors, parsed(&id));
    let page = |document: view::VendorDetail, context: &_| page::vendors::page(&document, context);
    asked.answer(&app, Section::Vendors, &Question::Vendor { id }, page).await
}

async fn mappers(State(app): Shared, asked: Asked) -> Response {
    let page = |document: view::Mappers, context: &_| page::mapper::list(&document, context);
    asked.answer(&app, Section::Mappers, &Question::Mappers, page).await
}

async fn mapper(
    State(app): Shared,
    asked: Asked,
    Path((vendor, event_type)): Path<(String, String)>,
) -> Response {
    let vendor = given!(asked, app, Section::Mappers, parsed(&vendor));
    let event_type = given!(asked, app, Section::Mappers, parsed(&event_type));
    let page = |document: view::MapperDetail, context: &_| page::mapper::page(&document, context);
    asked.answer(&app, Section::Mappers, &Question::Mapper { vendor, event_type }, page).await
}

async fn lineage(
    State(app): Shared,
    asked: Asked,
    Path((vendor, event_type)): Path<(String, String)>,
) -> Response {
    let vendor = given!(asked, app, Section::Mappers, parsed(&vendor));
    let event_type = given!(asked, app, Section::Mappers, parsed(&event_type));
    let page = |document: view::MapperTrace, context: &_| page::trace::mapper(&document, context);
    asked.answer(&app, Section::Mappers, &Question::Lineage { vendor, event_type }, page).await
}

async fn dead_letters(State(app): Shared, asked: Asked) -> Response {
    let page = |document: view::Queues, context: &_| page::dead_letters::page(&document, context);
    asked.answer(&app, Section::DeadLetters, &Question::DeadLetters, page).await
}

async fn divergence(
    State(app): Shared,
    asked: Asked,
    Query(query): Query<page::divergence::Query>,
) -> Response {
    let question = Question::Divergence { kind: query.kind.clone(), subject: query.subject.clone() };
    let page = |document: view::Divergence, context: &_| page::divergence::page(&document, &query, context);
    asked.answer(&app, Section::Divergence, &question, page).await
}

async fn conflicts(
    State(app): Shared,
    asked: Asked,
    Query(query): Query<page::conflicts::Query>,
) -> Response {
    let vendor = given!(asked, app, Section::Conflicts, filter(query.vendor.as_deref()));
    let question = Question::Conflicts { all: query.all.is_some(), vendor };
    let page = |document: view::Conflicts, context: &_| page::conflicts::page(&document, &query, context);
    asked.answer(&app, Section::Conflicts, &question, page).await
}

async fn audit(State(app): Shared, asked: Asked, Query(query): Query<page::audit::Query>) -> Response {
    let question = Question::Audit { by: query.by.clone() };
    let page = |document: view::Audit, context: &_| page::audit::page(&document, &query, context);
    asked.answer(&app, Section::Audit, &question, page).await
}

/// The one field that every act has.
#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

async fn acknowledge(
    State(app): Shared,
    asked: Asked,
    Path(fingerprint): Path<String>,
    Form(form): Form<Reason>,
) -> Response {
    let then = format!("/groups/{}", crate::component::encoded(&fingerprint));
    app.act(&asked, Act::Acknowledge { fingerprint }, &form.reason, &then, |_| {
        "The group is acknowledged.".into()
    })
    .await
}

#[derive(Deserialize)]
struct PlanForm {
    event: Option<String>,
    group: Option<String>,
    vendor: Option<String>,
    queue: Option<String>,
    rest: Option<String>,
    #[serde(default = "per_second")]
    per_second: u32,
    #[serde(default = "budget_percent")]
    budget_percent: u32,
}

fn per_second() -> u32 {
    50
}

fn budget_percent() -> u32 {
    10
}

impl PlanForm {
    fn selection(&self) -> Result<Selection, Failure> {
        match (&self.event, &self.group, &self.vendor, &self.queue, &self.rest) {
            (Some(event), None, None, None, None) => parsed(event).map(Selection::Event),
            (None, Some(group), None, None, None) => Ok(Selection::Group(group.clone())),
            (None, None, Some(vendor), None, None) => parsed(vendor).map(Selection::Vendor),
            (None, None, None, Some(queue), None) => Ok(Selection::DeadLetters(queue.clone())),
            (None, None, None, None, Some(rest)) => Ok(Selection::Rest(rest.clone())),
            _ => Err(Failure::new(
                "invalid",
                "a plan is of exactly one event, group, vendor, queue or operation",
            )),
        }
    }
}

/// Freezes what would be done, and shows it. Nothing is run by it.
async fn plan(State(app): Shared, asked: Asked, Form(form): Form<PlanForm>) -> Response {
    let selection = given!(asked, app, Section::Operations, form.selection());
    let act = Act::Plan { selection, per_second: form.per_second, budget_percent: form.budget_percent };
    let because =
        crate::ops::Because { by: app.config.person.clone(), reason: "planned in the console".into() };
    match app.cache.ops().act(&act, &because).await {
        Ok(document) => {
            app.cache.forget();
            let id = document.get("operationId").and_then(serde_json::Value::as_str).unwrap_or_default();
            Redirect::to(&format!("/operations/{}", crate::component::encoded(id))).into_response()
        }
        Err(failure) => asked.failed(&app, Section::Operations, &failure),
    }
}

#[derive(Deserialize)]
struct ChangeForm {
    #[serde(default)]
    reason: String,
    typed: Option<String>,
}

async fn change_operation(
    State(app): Shared,
    asked: Asked,
    Path((id, change)): Path<(String, String)>,
    Form(form): Form<ChangeForm>,
) -> Response {
    let (change, said) = match change.as_str() {
        "start" => (OperationChange::Start, "Started."),
        "pause" => (OperationChange::Pause, "Paused: nothing more is begun."),
        "resume" => (OperationChange::Resume, "Resumed."),
        "stop" => (OperationChange::Stop, "Stopped: nothing more is begun."),
        _ => {
            return asked.failed(
                &app,
                Section::Operations,
                &Failure::new("not_found", "there is no such change"),
            );
        }
    };
    if change == OperationChange::Start
        && let Err(failure) = confirmed(&app, &id, form.typed.as_deref()).await
    {
        return asked.failed(&app, Section::Operations, &failure);
    }
    let then = format!("/operations/{}", crate::component::encoded(&id));
    app.act(&asked, Act::Operation { id, change }, &form.reason, &then, |_| said.into()).await
}

/// In proportion: what concerns many is confirmed by their number, which the server compares with
/// the plan that it has.
async fn confirmed(app: &App, id: &str, typed: Option<&str>) -> Result<(), Failure> {
    let question = Question::Operation { id: id.to_owned() };
    let document = app.cache.ops().read(&question).await?;
    let items = document.pointer("/plan/items").and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX);
    if items <= page::operations::TYPED_ABOVE || typed.map(str::trim) == Some(items.to_string().as_str()) {
        return Ok(());
    }
    Err(Failure::new("invalid", format!("{items} items are in this plan: type that number to start it")))
}

async fn accept_event(
    State(app): Shared,
    asked: Asked,
    Path(id): Path<String>,
    Form(form): Form<Reason>,
) -> Response {
    let id = given!(asked, app, Section::Events, parsed::<IngestId>(&id));
    app.act(&asked, Act::AcceptConflict { id }, &form.reason, &format!("/events/{id}"), |_| {
        "It goes on.".into()
    })
    .await
}

async fn accept_conflict(
    State(app): Shared,
    asked: Asked,
    Path(id): Path<String>,
    Form(form): Form<Reason>,
) -> Response {
    let id = given!(asked, app, Section::Conflicts, parsed::<IngestId>(&id));
    app.act(&asked, Act::AcceptConflict { id }, &form.reason, "/conflicts", |_| {
        "It is an event of its own now.".into()
    })
    .await
}

async fn enable(
    State(app): Shared,
    asked: Asked,
    Path(id): Path<String>,
    Form(form): Form<Reason>,
) -> Response {
    set_enabled(&app, &asked, &id, true, &form.reason).await
}

async fn disable(
    State(app): Shared,
    asked: Asked,
    Path(id): Path<String>,
    Form(form): Form<Reason>,
) -> Response {
    set_enabled(&app, &asked, &id, false, &form.reason).await
}

async fn set_enabled(app: &App, asked: &Asked, id: &str, enabled: bool, reason: &str) -> Response {
    let vendor = match parsed::<VendorId>(id) {
        Ok(vendor) => vendor,
        Err(failure) => return asked.failed(app, Section::Vendors, &failure),
    };
    let then = format!("/vendors/{}", crate::component::encoded(id));
    let said = if enabled { "It may send again." } else { "Its requests are answered 403." };
    app.act(asked, Act::SetEnabled { vendor, enabled }, reason, &then, |_| said.into()).await
}

async fn hold(
    State(app): Shared,
    asked: Asked,
    Path(id): Path<String>,
    Form(form): Form<Reason>,
) -> Response {
    set_hold(&app, &asked, &id, true, &form.reason).await
}

async fn release(
    State(app): Shared,
    asked: Asked,
    Path(id): Path<String>,
    Form(form): Form<Reason>,
) -> Response {
    set_hold(&app, &asked, &id, false, &form.reason).await
}

async fn set_hold(app: &App, asked: &Asked, id: &str, on_hold: bool, reason: &str) -> Response {
    let vendor = match parsed::<VendorId>(id) {
        Ok(vendor) => vendor,
        Err(failure) => return asked.failed(app, Section::Vendors, &failure),
    };
    let then = format!("/vendors/{}", crate::component::encoded(id));
    let said = |document: &serde_json::Value| -> String {
        match document.pointer("/operation/plan/items").and_then(serde_json::Value::as_u64) {
            _ if on_hold => "It is on hold: what it sends is accepted, and waits.".into(),
            Some(items) => format!("Released. An operation lets {} go.", crate::text::count(items, "event")),
            None => "Released. Nothing waited.".into(),
        }
    };
    app.act(asked, Act::SetHold { vendor, on_hold }, reason, &then, said).await
}

#[derive(Deserialize)]
struct PromoteForm {
    bundle: String,
    #[serde(default)]
    canary: String,
    #[serde(default)]
    reason: String,
}

async fn promote(
    State(app): Shared,
    asked: Asked,
    Path((vendor, event_type)): Path<(String, String)>,
    Form(form): Form<PromoteForm>,
) -> Response {
    let then =
        format!("/mappers/{}/{}", crate::component::encoded(&vendor), crate::component::encoded(&event_type));
    let vendor = given!(asked, app, Section::Mappers, parsed(&vendor));
    let event_type = given!(asked, app, Section::Mappers, parsed(&event_type));
    let canary_percent = given!(asked, app, Section::Mappers, filter::<u8>(Some(&form.canary)));
    let act = Act::Promote { vendor, event_type, bundle: form.bundle.trim().to_owned(), canary_percent };
    let said =
        if canary_percent.is_some() { "The canary is on." } else { "It is active within two seconds." };
    app.act(&asked, act, &form.reason, &then, |_| said.into()).await
}

async fn roll_back(
    State(app): Shared,
    asked: Asked,
    Path((vendor, event_type)): Path<(String, String)>,
    Form(form): Form<Reason>,
) -> Response {
    let then =
        format!("/mappers/{}/{}", crate::component::encoded(&vendor), crate::component::encoded(&event_type));
    let vendor = given!(asked, app, Section::Mappers, parsed(&vendor));
    let event_type = given!(asked, app, Section::Mappers, parsed(&event_type));
    app.act(&asked, Act::RollBack { vendor, event_type }, &form.reason, &then, |_| "Rolled back.".into())
        .await
}

async fn cancel_move(
    State(app): Shared,
    asked: Asked,
    Path(queue): Path<String>,
    Form(form): Form<Reason>,
) -> Response {
    app.act(&asked, Act::CancelMove { queue }, &form.reason, "/dead-letters", |_| {
        "The move is cancelled.".into()
    })
    .await
}
