//! The server: what it is made of, and how a document becomes an answer.
//!
//! A page is a pure function of documents. [`Asked::answer`] reads the document of a question and
//! gives it as JSON, as the page's
//! live part alone, or as the whole page, whatever was asked for; so that no page can have a state
//! that its address does not name.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use rand::RngExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sluice_loopback::Hosts;

use crate::cache::{Answer, Cache};
use crate::component;
use crate::door::{Door, cookies};
use crate::layout::{self, Page, Section};
use crate::ops::{Act, Because, Failure, Ops, Question};
use crate::text;

/// Notices of what was done that are kept until they are shown.
const NOTICES_MAX: usize = 64;

/// Told the address of the console each time there is a new one.
pub type Announce = Arc<dyn Fn(&str) + Send + Sync>;

/// How a console is set up.
#[derive(Clone)]
pub struct Config {
    /// Where it listens.
    pub address: SocketAddr,
    /// The hosts that it answers for.
    pub hosts: Hosts,
    /// Nothing can be changed: the routes that change something are not there.
    pub read_only: bool,
    /// Who acts: what AWS says of the credentials, or the user of this machine.
    pub person: String,
    /// Which cloud is shown, in words.
    pub cloud: String,
    /// Whether it is the local cloud, for the commands that are shown.
    pub local: bool,
    /// Told the address that opens the console: at the start, and when it was used.
    pub announce: Announce,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// A running console.
#[derive(Debug)]
pub struct App {
    pub(crate) config: Config,
    pub(crate) door: Door,
    pub(crate) cache: Cache,
    notices: Mutex<VecDeque<(String, String)>>,
}

impl App {
    /// With nobody signed in.
    pub fn new(config: Config, ops: Arc<dyn Ops>) -> Arc<Self> {
        let door = Door::new(config.address.port());
        Arc::new(Self { door, cache: Cache::new(ops), notices: Mutex::default(), config })
    }

    /// Makes an address that opens the console once, and tells it.
    pub fn announce(&self) {
        (self.config.announce)(&format!("http://{}/start/{}", self.config.address, self.door.token()));
    }

    /// Does something, and leads to a page that says what was done, or to one that says what
    /// failed.
    pub(crate) async fn act(
        &self,
        asked: &Asked,
        act: Act,
        reason: &str,
        then: &str,
        said: impl FnOnce(&Value) -> String,
    ) -> Response {
        let reason = reason.trim();
        if reason.is_empty() {
            return asked.failed(
                self,
                Section::Overview,
                &Failure::new("invalid", "a reason is needed: it is kept beside the act"),
            );
        }
        let because = Because { by: self.config.person.clone(), reason: reason.to_owned() };
        match self.cache.ops().act(&act, &because).await {
            Ok(document) => {
                self.cache.forget();
                self.done(then, said(&document))
            }
            Err(failure) => asked.failed(self, Section::Overview, &failure),
        }
    }

    /// Leads to a page that shows a notice once.
    pub(crate) fn done(&self, then: &str, notice: String) -> Response {
        let id = hex::encode(rand::rng().random::<[u8; 12]>());
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.push_back((id.clone(), notice));
        if notices.len() > NOTICES_MAX {
            notices.pop_front();
        }
        let mark = if then.contains('?') { '&' } else { '?' };
        Redirect::to(&format!("{then}{mark}done={id}")).into_response()
    }

    /// Asks for everything anew: something was done elsewhere.
    pub fn forget(&self) {
        self.cache.forget();
    }

    fn notice(&self, query: &str) -> Option<String> {
        let id = query.split('&').find_map(|pair| pair.strip_prefix("done="))?;
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.iter().find(|(known, _)| known == id).map(|(_, notice)| notice.clone())
    }
}

/// What a page needs to know beside its documents.
#[derive(Debug, Clone)]
pub struct Context {
    /// The address, without what follows a `?`.
    pub path: String,
    /// What follows it.
    pub query: String,
    /// The theme that the person chose.
    pub theme: Option<&'static str>,
    /// Nothing can be changed.
    pub read_only: bool,
    /// Who acts.
    pub person: String,
    /// Which cloud.
    pub cloud: String,
    /// Whether it is the local one.
    pub local: bool,
    /// What was just done.
    pub notice: Option<String>,
    /// Now.
    pub now: Timestamp,
}

impl Context {
    /// This page's own address.
    pub fn here(&self) -> String {
        let query: Vec<&str> =
            self.query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("done=")).collect();
        if query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, query.join("&")) }
    }

    /// The same page with a parameter set, or without it; the page of a list begins anew.
    pub fn with(&self, name: &str, value: Option<&str>) -> String {
        let kept = self.query.split('&').filter(|pair| {
            let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
            !pair.is_empty() && key != name && key != "done" && key != "after"
        });
        let mut query: Vec<String> = kept.map(ToOwned::to_owned).collect();
        query.extend(value.map(|value| format!("{name}={}", component::encoded(value))));
        if query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, query.join("&")) }
    }

    /// The command line of the same, with `--local` where that is meant.
    pub fn command(&self, rest: &str) -> String {
        // It is made to be copied into a terminal: nothing that acts there, or that is not seen
        // here, is in it.
        let rest = text::plain(rest);
        if self.local { format!("sluice --local {rest}") } else { format!("sluice {rest}") }
    }
}

/// What a request asks for beside its path: which form, which part, and what the browser has
/// already.
#[derive(Debug, Clone)]
pub struct Asked {
    path: String,
    query: String,
    headers: HeaderMap,
    json: bool,
}

/// Put into a request whose path ended in `.json`.
#[derive(Debug, Clone, Copy)]
pub struct AsJson;

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let json = parts.extensions.get::<AsJson>().is_some();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self { path, query, headers: parts.headers.clone(), json })
    }
}

impl Asked {
    /// What a page needs to know.
    pub(crate) fn context(&self, app: &App) -> Context {
        let chosen = cookies(&self.headers).find(|(name, _)| *name == "sluice-theme").map(|(_, value)| value);
        let theme = ["light", "dark"].into_iter().find(|theme| chosen == Some(theme));
        Context {
            path: self.path.clone(),
            query: self.query.clone(),
            theme,
            read_only: app.config.read_only,
            person: app.config.person.clone(),
            cloud: app.config.cloud.clone(),
            local: app.config.local,
            notice: app.notice(&self.query),
            now: Timestamp::now(),
        }
    }

    /// Answers with the document of a question, in the form that was asked for.
    pub(crate) async fn answer<D: DeserializeOwned>(
        &self,
        app: &App,
        section: Section,
        question: &Question,
        page: impl FnOnce(D, &Context) -> Page,
    ) -> Response {
        let Answer { document, at } = match app.cache.read(question).await {
            Ok(answer) => answer,
            Err(failure) => return self.failed(app, section, &failure),
        };
        if self.json {
            return self.tagged(at, "application/json", document.to_string());
        }
        match D::deserialize(&*document) {
            Ok(document) => self.page(app, at, &page(document, &self.context(app))),
            Err(error) => {
                let failure =
                    Failure::new("failed", format!("the document of this page is not as expected: {error}"));
                self.failed(app, section, &failure)
            }
        }
    }

    /// Answers with a page that is made already.
    pub(crate) fn page(&self, app: &App, at: Timestamp, page: &Page) -> Response {
        if self.headers.contains_key("hx-request") {
            return self.tagged(at, "text/html; charset=utf-8", page.live.0.clone());
        }
        let context = self.context(app);
        let html = layout::document(page, &context, &etag(page.live.0.as_bytes())).into_string();
        self.tagged(at, "text/html; charset=utf-8", html)
    }

    /// Answers with a document and its tag, or with 304 if the browser has it.
    fn tagged(&self, at: Timestamp, kind: &'static str, body: String) -> Response {
        let tag = etag(body.as_bytes());
        let known = self.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let mut response = if known == Some(tag.as_str()) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(CONTENT_TYPE, kind)], body).into_response()
        };
        let headers = response.headers_mut();
        for (name, value) in [(ETAG.as_str(), tag), ("x-sluice-as-of", at.to_string())] {
            if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        response
    }

    /// Answers with what failed.
    pub(crate) fn failed(&self, app: &App, section: Section, failure: &Failure) -> Response {
        if self.json {
            let body = serde_json::json!({ "error": failure }).to_string();
            return (failure.status(), [(CONTENT_TYPE, "application/json")], body).into_response();
        }
        let (title, what) = match failure.kind.as_str() {
            "not_found" => ("Not found", "This"),
            "invalid" => ("That cannot be asked", "An answer"),
            "refused" => ("Refused", "This"),
            _ => ("No answer", "This page"),
        };
        let body = component::unknown(what, failure, "nothing is shown in its place");
        let page = Page::new(section, title).still(body);
        let html = layout::document(&page, &self.context(app), "").into_string();
        (failure.status(), Html(html)).into_response()
    }
}

/// A strong tag of a body.
fn etag(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(body)[..16]))
}
