//! The Lambda function `sluice-normalize`; everything it does is in the library.

use std::process::ExitCode;

use sluice_normalize::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("normalize", Deps::from_environment, |deps, input| Box::pin(handle(deps, input)))
        .await
}
