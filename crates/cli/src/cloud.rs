//! Which cloud the options name, and where its local form keeps its access key. The clients are
//! [`sluice_ops::cloud`]'s.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use sluice_core::{Code, Fault};
use sluice_local::credentials::{self, AccessKey, CredentialsError};
pub use sluice_ops::cloud::{Cloud, REGION_LOCAL};

use crate::args::{API_URL_LOCAL, Global};
use crate::error::{CliError, ExitKind};

/// The one that the options name.
///
/// # Errors
/// When nobody answers there, and when there are no credentials for it.
pub async fn connect(global: &Global) -> Result<Cloud, CliError> {
    let Some(url) = local_url(global) else { return Ok(Cloud::aws(None).await?) };
    let file = credentials_file(url).await?;
    let key = AccessKey::read(&file).map_err(|error| unreadable(&file, &error))?;
    Ok(Cloud::local(url.as_str(), &key.id, &key.secret))
}

/// Endpoint of the local cloud, if that is meant.
pub fn local_url(global: &Global) -> Option<&Url> {
    global.local.as_ref().and_then(|setting| setting.0.as_ref())
}

/// The file with the access key of the local cloud at `url`. Its endpoint says where it is to
/// whoever asks without a key.
pub async fn credentials_file(url: &Url) -> Result<PathBuf, CliError> {
    // Nothing between: a proxy is not for the loopback interface.
    let client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(3));
    let client = client.timeout(Duration::from_secs(20)).build();
    let answer = match client {
        Ok(client) => client.get(url.clone()).send().await,
        Err(error) => Err(error),
    };
    let answer = answer.map_err(|error| {
        CliError::from(Fault::new(Code::Unavailable, format!("failed to reach {url}")).with_source(error))
    })?;
    if answer.status() == reqwest::StatusCode::MISDIRECTED_REQUEST {
        let host = url.authority();
        return Err(CliError::usage(format!("the local cloud does not answer for {host}")).with_hint(
            format!("name it 127.0.0.1 with its own port, or start it with `sluice dev --allow-host {host}`"),
        ));
    }
    let file = answer.headers().get(credentials::HEADER).and_then(|value| value.to_str().ok());
    file.map(PathBuf::from).ok_or_else(|| {
        CliError::usage(format!(
            "{url} is not the AWS endpoint of `sluice dev`: HTTP status {}",
            answer.status()
        ))
        .with_hint("name the AWS endpoint as `sluice dev` shows it, such as --local=http://127.0.0.1:8788")
    })
}

fn unreadable(file: &Path, error: &CredentialsError) -> CliError {
    CliError::Usage {
        message: format!("the access key of the local cloud, {}, cannot be used: {error}", file.display()),
        hint: Some("run the command as the user, and on the machine, that runs `sluice dev`".into()),
    }
}

/// The ingest API that the options name.
pub fn api_url(global: &Global) -> Result<Url, CliError> {
    if let Some(url) = &global.api {
        return Ok(url.clone());
    }
    if local_url(global).is_some() {
        return API_URL_LOCAL.parse().map_err(|error| CliError::usage(format!("{API_URL_LOCAL}: {error}")));
    }
    Err(CliError::usage("the address of the ingest API is not known")
        .with_hint("give --api URL or SLUICE_API (the stack's output), or --local for `sluice dev`"))
}

/// What to do about an error, as far as it depends on the cloud.
pub fn hint(error: &CliError, global: &Global) -> Option<String> {
    if error.kind() != ExitKind::Unavailable {
        return None;
    }
    // An answer, even a 503, came from someone.
    let reached = matches!(error, CliError::Answered { .. });
    match (local_url(global), reached) {
        (Some(url), false) => Some(format!(
            "is `sluice dev` running? It was looked for at {}",
            match (error, &global.api) {
                (CliError::Api { .. }, Some(api)) => api.as_str(),
                (CliError::Api { .. }, None) => API_URL_LOCAL,
                _ => url.as_str(),
            }
            .trim_end_matches('/')
        )),
        (None, false) => {
            Some("check the network, the region and --api; then run the same command again".into())
        }
        (_, true) => Some("run the same command again: a resubmission of the same event is harmless".into()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    fn global(line: &str) -> Global {
        Cli::try_parse_from(std::iter::once("sluice").chain(line.split_whitespace())).unwrap().global
    }

    #[test]
    fn the_api_is_known_with_local_only() {
        assert_eq!(api_url(&global("--local ls")).unwrap().as_str(), "http://127.0.0.1:8787/");
        assert_eq!(api_url(&global("--api https://x.test/prod ls")).unwrap().as_str(), "https://x.test/prod");
        assert_eq!(api_url(&global("ls")).unwrap_err().kind(), ExitKind::Usage);
    }

    #[test]
    fn who_is_not_there_is_asked_for_by_address() {
        let down = CliError::from(Fault::new(Code::Unavailable, "x"));
        assert_eq!(
            hint(&down, &global("--local=http://127.0.0.1:9 ls")).as_deref(),
            Some("is `sluice dev` running? It was looked for at http://127.0.0.1:9")
        );
        assert!(hint(&down, &global("ls")).unwrap().contains("network"));
        let busy = CliError::Answered { status: 503, said: None };
        assert!(hint(&busy, &global("--local ls")).unwrap().contains("again"));
        assert_eq!(hint(&CliError::Failed("x".into()), &global("--local ls")), None);
    }
}
