//! The Lambda function `sluice-quarantine`; everything it does is in the library.

use std::process::ExitCode;

use sluice_quarantine::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("quarantine", Deps::from_environment, |deps, input| {
        Box::pin(handle(deps, input))
    })
    .await
}
