//! The frame around every page: navigation, where one is, who one is, and what of the page is live.

use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::component::{self, Tone, icon};
use crate::server::Context;
use crate::text;

/// The entries of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the page of its name")]
pub enum Section {
    Overview,
    Quarantine,
    Operations,
    Events,
    Executions,
    DeadLetters,
    Divergence,
    Conflicts,
    Vendors,
    Mappers,
    Audit,
}

/// Section, its address, its name, the key after `g`, and its drawing.
type Entry = (Section, &'static str, &'static str, char, &'static str);

const NOW: [Entry; 3] = [
    (Section::Overview, "/", "Overview", 'o', "M2 8.5 8 3l6 5.5 M3.5 7.5v6h9v-6"),
    (Section::Quarantine, "/quarantine", "Quarantine", 'q', "M8 2l6 11H2z M8 6.5v3 M8 11.2v.2"),
    (Section::Operations, "/operations", "Operations", 'r', "M13 8a5 5 0 1 1-1.6-3.7 M13 2v3h-3"),
];
const PIPELINE: [Entry; 5] = [
    (Section::Events, "/events", "Events", 'e', "M2 4h12 M2 8h12 M2 12h8"),
    (Section::Executions, "/executions", "Executions", 'x', "M3 3h4v4H3z M9 9h4v4H9z M5 7v4h4"),
    (Section::DeadLetters, "/dead-letters", "Dead letters", 'd', "M2 4h12v8H2z M2 4.5 8 9l6-4.5"),
    (Section::Divergence, "/divergence", "Divergence", 'v', "M8 14V8 M8 8 3 2 M8 8l5-6"),
    (Section::Conflicts, "/conflicts", "Conflicts", 'c', "M2 5h8l-2-2 M14 11H6l2 2"),
];
const SENDERS: [Entry; 2] = [
    (Section::Vendors, "/vendors", "Vendors", 'n', "M2.5 6.5 4 3h8l1.5 3.5 M3 6.5V13h10V6.5 M2.5 6.5h11"),
    (Section::Mappers, "/mappers", "Mappers", 'm', "M2 4h5l2 8h5 M2 12h5 M9 4h5"),
];
const RECORD: [Entry; 1] = [(Section::Audit, "/audit", "Audit", 'a', "M4 2h6l3 3v9H4z M6.5 8h4 M6.5 11h4")];

const GROUPS: [(&str, &[Entry]); 4] =
    [("Now", &NOW), ("Pipeline", &PIPELINE), ("Senders", &SENDERS), ("Record", &RECORD)];

/// A page, as a function of documents made it.
#[derive(Debug)]
pub struct Page {
    /// Where it belongs.
    pub section: Section,
    /// Its heading, also the window's.
    pub title: String,
    /// The heading as it is shown, if that is more than its text.
    pub heading: Option<Markup>,
    /// Above the heading: address and name.
    pub crumbs: Vec<(String, String)>,
    /// Below the heading.
    pub lede: Markup,
    /// Beside the heading.
    pub actions: Markup,
    /// What is asked for again by itself. No form is in it.
    pub live: Markup,
    /// Whether the live part is asked for only once: it costs too much to be asked for again by itself.
    pub once: bool,
    /// What stays as it is.
    pub still: Markup,
}

impl Page {
    /// A page of which nothing is said yet.
    pub fn new(section: Section, title: impl Into<String>) -> Self {
        Self {
            section,
            title: title.into(),
            heading: None,
            crumbs: Vec::new(),
            lede: component::nothing(),
            actions: component::nothing(),
            live: component::nothing(),
            once: false,
            still: component::nothing(),
        }
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub fn lede(mut self, lede: Markup) -> Self {
        self.lede = lede;
        self
    }

    /// The page that it belongs to.
    #[must_use]
    pub fn under(mut self, href: &str, name: &str) -> Self {
        self.crumbs.push((href.to_owned(), name.to_owned()));
        self
    }

    /// Actions from here.
    #[must_use]
    pub fn actions(mut self, actions: Markup) -> Self {
        self.actions = actions;
        self
    }

    /// Its live part.
    #[must_use]
    pub fn live(mut self, live: Markup) -> Self {
        self.live = live;
        self
    }

    /// Its live part, which another page may have in it and which is not asked for again by itself.
    #[must_use]
    pub fn once(mut self, live: Markup) -> Self {
        self.once = true;
        self.live(live)
    }

    /// The rest.
    #[must_use]
    pub fn still(mut self, still: Markup) -> Self {
        self.still = still;
        self
    }
}

/// The whole document. `etag` is of the live part.
pub fn document(page: &Page, context: &Context, etag: &str) -> Markup {
    let live = !page.live.0.is_empty();
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[context.theme] {
            (head(&page.title))
            body {
                a.skip href="#main" { "Skip to the content" }
                div.frame {
                    (side(page.section, context))
                    div.content {
                        main #main tabindex="-1" {
                            @if !page.crumbs.is_empty() {
                                nav.crumbs aria-label="Where this is" {
                                    @for (href, name) in &page.crumbs { a href=(href) { (text::short(name)) } span aria-hidden="true" { "/" } }
                                }
                            }
                            div.head {
                                div {
                                    h1 { @match &page.heading { Some(heading) => (heading), None => (text::short(&page.title)) } }
                                    @if !page.lede.0.is_empty() { div.lede { (page.lede) } }
                                }
                                @if !page.actions.0.is_empty() { div.actions { (page.actions) } }
                            }
                            @if let Some(notice) = &context.notice { (component::alert(Tone::Good, "Done", html! { p { (text::long(notice)) } })) }
                            @if live && page.once {
                                section.card aria-label=(text::plain(&page.title)) { div.body { (page.live) } }
                            } @else if live {
                                div.region {
                                    div.fresh role="status" {}
                                    sl-live.live hx-get=(context.here()) hx-trigger="sl:poll" hx-swap="innerHTML" etag=(etag) { (page.live) }
                                }
                            }
                            (page.still)
                        }
                    }
                }
                (keys())
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            title { (text::plain(title)) " · Sluice" }
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            // No evaluated code, no style of its own, no history of pages in the browser's storage,
            // no other site.
            meta name="htmx-config" content=r#"{"includeIndicatorStyles":false,"allowEval":false,"historyCacheSize":0,"selfRequestsOnly":true,"allowScriptTags":false,"responseHandling":[{"code":"204","swap":false},{"code":"304","swap":false},{"code":"[23]..","swap":true},{"code":"[45]..","swap":false,"error":true}]}"#;
            link rel="icon" href=(assets::ICON.path()) type="image/svg+xml";
            link rel="stylesheet" href=(assets::STYLE.path());
            script src=(assets::HTMX.path()) defer {}
            script src=(assets::SCRIPT.path()) defer {}
        }
    }
}

fn brand() -> Markup {
    html! {
        a.brand href="/" {
            (icon("M1.5 5c2.2 0 2.2-2 4.4-2s2.2 2 4.4 2 2.2-2 4.2-2 M1.5 9c2.2 0 2.2-2 4.4-2s2.2 2 4.4 2 2.2-2 4.2-2 M1.5 13c2.2 0 2.2-2 4.4-2s2.2 2 4.4 2 2.2-2 4.2-2", 18))
            "Sluice"
        }
    }
}

fn side(section: Section, context: &Context) -> Markup {
    html! {
        header.side {
            (brand())
            details.menu { summary { "Menu" } }
            nav.nav-list aria-label="Pages" {
                @for (name, entries) in GROUPS {
                    div {
                        p.nav-title { (name) }
                        ul.nav {
                            @for (entry, href, name, _, path) in entries {
                                li { a href=(href) aria-current=[(*entry == section).then_some("page")] { (icon(path, 16)) (name) } }
                            }
                        }
                    }
                }
            }
            div.side-foot {
                div { strong { (text::short(&context.cloud)) } }
                @if context.read_only { div { (component::badge(Tone::Plain, "Read-only")) } }
                div { "as " (text::short(&context.person)) }
                div.row { sl-theme {} button.button.small type="button" data-open="keys" { "Keys" } }
            }
        }
    }
}

fn keys() -> Markup {
    let entries = || GROUPS.iter().flat_map(|(_, entries)| entries.iter());
    let pages: serde_json::Map<String, serde_json::Value> =
        entries().map(|(_, href, _, key, _)| (key.to_string(), (*href).into())).collect();
    html! {
        sl-keys pages=(serde_json::Value::Object(pages)) {
            dialog aria-labelledby="keys-title" {
                h2 #keys-title { "Keys" }
                dl.facts {
                    dt { kbd { "/" } } dd { "the search of a page" }
                    dt { kbd { "j" } " " kbd { "k" } } dd { "down and up the rows" }
                    dt { kbd { "[" } " " kbd { "]" } } dd { "the example, or the page, before and after" }
                    @for (_, _, name, key, _) in entries() { dt { kbd { "g" } " " kbd { (key) } } dd { (name) } }
                    dt { kbd { "?" } } dd { "this" }
                }
                form method="dialog" { button.button autofocus { "Close" } }
            }
        }
    }
}

/// A page without the frame.
fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body { main #main { (brand()) div.card { div.body { h1 { (title) } (body) } } } }
        }
    }
}

/// Nobody is signed in. `target` is where one wanted to go.
pub fn closed(target: &str) -> Markup {
    bare(
        "This console is closed to this browser",
        &html! {
            p { "Open the address that " code { "sluice dev" } " or " code { "sluice console" } " printed last. It holds for one use, and the next is printed then." }
            p { "If this browser was signed in and came here by a link from another site: " a href=(target) { "open the page from here" } "." }
        },
    )
}

/// A token that does not hold.
pub fn spent() -> Markup {
    bare(
        "This address was used already",
        &html! {
            p { "An address with a token opens the console once. The next one was printed when it was used: it is the last that " code { "sluice dev" } " or " code { "sluice console" } " shows." }
            p { a href="/" { "Go on, if this browser is signed in" } }
        },
    )
}
