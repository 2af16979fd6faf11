//! `sluice --local env`: the environment that makes AWS's own tools use the local cloud.
//!
//! No secret is printed: the tools read the access key from its file.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::args::Global;
use crate::cloud::{REGION_LOCAL, credentials_file, local_url};
use crate::error::CliError;
use crate::output::{Output, Page, View};

/// What would come before the file, and is another cloud's.
const UNSET: [&str; 4] = ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

#[derive(Debug, Serialize)]
struct Environment {
    set: BTreeMap<&'static str, String>,
    unset: [&'static str; 4],
}

impl View for Environment {
    /// For a POSIX shell.
    fn text(&self, _: &Page) -> String {
        let mut text = format!("unset {}\n", self.unset.join(" "));
        for (name, value) in &self.set {
            text.push_str(&format!("export {name}={}\n", quoted(value)));
        }
        text
    }
}

/// Prints it.
pub async fn run(global: &Global, output: &Output) -> Result<(), CliError> {
    let url = local_url(global).ok_or_else(|| {
        CliError::usage("the environment is that of a local cloud")
            .with_hint("say --local: eval \"$(sluice --local env)\"")
    })?;
    let file = credentials_file(url).await?;
    let set = BTreeMap::from([
        ("AWS_ENDPOINT_URL", url.as_str().trim_end_matches('/').to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", file.display().to_string()),
        ("AWS_REGION", REGION_LOCAL.to_owned()),
        ("AWS_DEFAULT_REGION", REGION_LOCAL.to_owned()),
        // `sync-127.0.0.1` is no name that resolves.
        ("AWS_DISABLE_HOST_PREFIX_INJECTION", "true".to_owned()),
    ]);
    output.document(&Environment { set, unset: UNSET })
}

/// One word of a POSIX shell.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.:_-".contains(&byte);
    if value.bytes().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_word_whatever_it_holds() {
        assert_eq!(quoted("/home/ada/.sluice/aws-credentials"), "/home/ada/.sluice/aws-credentials");
        assert_eq!(quoted("/tmp/it's $(here)"), "'/tmp/it'\\''s $(here)'");
    }
}
