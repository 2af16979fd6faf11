//! The Lambda function `sluice-relay`; everything it does is in the library.

use std::process::ExitCode;

use sluice_relay::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("relay", Deps::from_environment, |deps, input| Box::pin(handle(deps, input)))
        .await
}
