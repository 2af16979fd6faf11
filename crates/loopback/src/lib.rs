//! Who may talk to a listener on the loopback interface: the one check that the local cloud and the
//! console share.
//!
//! Every program of the machine and every page in its browser reaches such a listener. A page
//! cannot choose the `Host` header
//! of its requests, so a request for another name than this machine's own is one of a page whose
//! name was made to lead
//! here (DNS rebinding). A browser also says of each request that a page made it, and from where.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

/// The names of this machine that a listener answers for.
pub const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// The hosts that a listener answers for, as the `Host` header says them.
#[derive(Debug, Clone)]
pub struct Hosts(BTreeSet<String>);

impl Hosts {
    /// [`NAMES`] with the port of the listener, and further hosts, each as the header says it.
    pub fn of<'a>(listener: SocketAddr, further: impl IntoIterator<Item = &'a String>) -> Self {
        let port = listener.port();
        let own = NAMES.map(|name| format!("{name}:{port}"));
        let further = further.into_iter().map(|name| name.to_ascii_lowercase());
        Self(own.into_iter().chain(further).collect())
    }

    /// Whether a host is answered for. The name is in lower case, as [`named`] gives it.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The host of a request, if it is answered for.
    ///
    /// # Errors
    /// Says what is wrong with the host.
    pub fn check<B>(&self, request: &Request<B>) -> Result<String, &'static str> {
        let name = named(request)?;
        if self.has(&name) { Ok(name) } else { Err("this is not a host that is served here") }
    }
}

/// The one host that a request names, in lower case.
///
/// # Errors
/// When it names none, or more than one.
pub fn named<B>(request: &Request<B>) -> Result<String, &'static str> {
    let mut hosts = request.headers().get_all(HOST).iter().map(HeaderValue::to_str);
    let host = match (hosts.next(), hosts.next()) {
        (Some(Ok(name)), None) => name.to_ascii_lowercase(),
        _ => return Err("exactly one Host header is expected"),
    };
    // A target in absolute form overrides the header (RFC 9112, section 3.2.2).
    let target = request.uri().authority().map(|authority| authority.as_str().to_ascii_lowercase());
    if target.is_some_and(|target| target != host) {
        return Err("the request's target and its Host header name two hosts");
    }
    Ok(host)
}

/// The header by which a browser says that a page has made this request.
///
/// A lone `Sec-Fetch-Mode` is no such sign: Node's own `fetch` sends it. A browser adds
/// `Sec-Fetch-Site` and `-Dest`.
pub fn page(headers: &HeaderMap) -> Option<&HeaderName> {
    headers.keys().find(|name| {
        **name == ORIGIN || (name.as_str().starts_with("sec-fetch-") && name.as_str() != "sec-fetch-mode")
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    fn check(uri: &str, names: &[&str]) -> Option<String> {
        let further = BTreeSet::from(["Shop.tunnel.example".to_owned()]);
        let hosts = Hosts::of("127.0.0.1:8788".parse().unwrap(), &further);
        let mut request = Request::post(uri);
        for name in names {
            request = request.header("host", *name);
        }
        hosts.check(&request.body(()).unwrap()).ok()
    }

    #[test]
    fn a_host_is_one_of_this_machine_by_its_port() {
        for name in
            ["127.0.0.1:8788", "localhost:8788", "LOCALHOST:8788", "[::1]:8788", "shop.tunnel.example"]
        {
            assert_eq!(check("/", &[name]), Some(name.to_ascii_lowercase()), "{name}");
        }
        for name in [
            "evil.example",
            "evil.example:8788",
            "127.0.0.1",
            "127.0.0.1:8787",
            "127.0.0.1:8788.evil.example",
            "127.0.0.1.evil.example:8788",
            "localhost.:8788",
            "a:b@localhost:8788",
            "0.0.0.0:8788",
            "tunnel.example",
            "x.shop.tunnel.example",
            "",
        ] {
            assert_eq!(check("/", &[name]), None, "{name}");
        }
        assert_eq!(check("/", &[]), None);
        assert_eq!(check("/", &["localhost:8788", "localhost:8788"]), None, "twice");
        assert_eq!(check("http://evil.example/", &["localhost:8788"]), None, "by its target");
        assert!(check("http://localhost:8788/", &["localhost:8788"]).is_some());
    }

    #[test]
    fn a_page_is_told_by_its_browser_and_a_server_is_none() {
        let of = |names: &[&'static str]| {
            let headers =
                names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")));
            page(&headers.collect()).map(ToString::to_string)
        };
        for name in ["origin", "sec-fetch-site", "sec-fetch-dest", "sec-fetch-user"] {
            assert_eq!(of(&["content-type", "sec-fetch-mode", name]).as_deref(), Some(name));
        }
        // What Node's `fetch` sends of its own.
        assert_eq!(of(&["sec-fetch-mode", "accept-language", "user-agent"]), None);
        assert_eq!(of(&["referer", "x-shopify-topic"]), None);
    }
}
