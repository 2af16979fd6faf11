//! What is served as it is: style, scripts and icon, each under a name with its digest, so that a
//! browser may keep it for ever.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};

/// Version and digest of `htmx.min.js` in the package `htmx.org` of npm (Zero-Clause BSD).
pub const HTMX_SHA256: &str = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717";

/// A file in the program.
#[derive(Debug)]
pub struct Asset {
    name: &'static str,
    kind: &'static str,
    content: LazyLock<String>,
    path: LazyLock<String>,
}

macro_rules! asset {
    ($(#[$doc:meta])* $id:ident, $name:literal, $kind:literal, $file:literal) => {
        $(#[$doc])*
        pub static $id: Asset = Asset {
            name: $name,
            kind: $kind,
            content: LazyLock::new(|| include_str!(concat!("../assets/", $file)).to_owned()),
            path: LazyLock::new(|| $id.named()),
        };
    };
}

/// The style sheet, with that of the graphs.
pub static STYLE: Asset = Asset {
    name: "console.css",
    kind: "text/css; charset=utf-8",
    content: LazyLock::new(|| {
        format!("{}\n{}", include_str!("../assets/console.css"), sluice_graph::stylesheet())
    }),
    path: LazyLock::new(|| STYLE.named()),
};

asset!(
    /// The custom elements.
    SCRIPT, "console.js", "text/javascript; charset=utf-8", "console.js"
);
asset!(
    /// htmx, which swaps fragments.
    HTMX, "htmx.js", "text/javascript; charset=utf-8", "htmx-2.0.11.min.js"
);
asset!(
    /// The icon of the window.
    ICON, "icon.svg", "image/svg+xml", "icon.svg"
);

impl Asset {
    /// Its address.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn named(&self) -> String {
        let digest = hex::encode(Sha256::digest(self.content.as_bytes()));
        format!("/assets/{}-{}", &digest[..16], self.name)
    }
}

/// Answers with the file of this address.
pub async fn serve(axum::extract::Path(name): axum::extract::Path<String>) -> Response {
    let all = [&STYLE, &SCRIPT, &HTMX, &ICON];
    match all.into_iter().find(|asset| asset.path().strip_prefix("/assets/") == Some(&name)) {
        Some(asset) => {
            let headers =
                [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.content.as_str()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn htmx_is_the_file_that_npm_has() {
        assert_eq!(hex::encode(Sha256::digest(HTMX.content.as_bytes())), HTMX_SHA256);
        assert!(HTMX.content.contains("version:\"2.0.11\""));
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for asset in [&STYLE, &SCRIPT, &ICON] {
            for foreign in ["http:", "https:", "@import", "eval(", "new Function"] {
                let content = asset.content.replace("http://www.w3.org/2000/svg", "");
                assert!(!content.contains(foreign), "{} has {foreign}", asset.name);
            }
        }
    }
}
