//! `sluice mapper key`: what `normalize` must trust (`MAPPER_TRUST_KEYS`).

use serde::Serialize;
use sluice_core::digest::Sha256Hex;

use crate::args::KeyArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, View};
use crate::signing::signer;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    key_id: Sha256Hex,
    algorithm: &'static str,
    public_key: String,
}

/// Runs the command.
pub(super) async fn run(args: &KeyArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let signer = signer(cloud, &args.signing.signing_key).await?;
    output.document(&Key {
        key_id: signer.key_id(),
        algorithm: "ECDSA_SHA_256",
        public_key: signer.public_pem().to_owned(),
    })
}

impl View for Key {
    fn text(&self, _page: &Page) -> String {
        self.public_key.clone()
    }
}
