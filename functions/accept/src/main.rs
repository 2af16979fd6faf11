//! The Lambda function `sluice-accept`; everything it does is in the library.

use std::process::ExitCode;

use sluice_accept::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("accept", Deps::from_environment, |deps, input| Box::pin(handle(deps, input)))
        .await
}
