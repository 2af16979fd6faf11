//! The Lambda function `sluice-upload`; everything it does is in the library.

use std::process::ExitCode;

use sluice_upload::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("upload", Deps::from_environment, |deps, input| Box::pin(handle(deps, input)))
        .await
}
