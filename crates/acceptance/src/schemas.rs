//! Schemas of contracts that are checked at acceptance, compiled once. They travel with the contract, so acceptance needs no object.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_core::bundle::ActiveMapper;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::SchemaVersion;
use sluice_core::schema::Schema;
use sluice_core::{Code, Fault};

/// Most schemas held. What is named by its bundle never changes; beyond that all go, and those in use come back.
const SCHEMAS_MAX: usize = 1_000;

/// The compiled schemas; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Schemas(Arc<Mutex<HashMap<(Sha256Hex, SchemaVersion), Schema>>>);

impl Schemas {
    /// The schema of a version, or `None` if the contract has no such version.
    pub(crate) fn get(
        &self,
        active: &ActiveMapper,
        version: &SchemaVersion,
    ) -> Result<Option<Schema>, Fault> {
        let Some(text) = active.contract.payload.accept_schemas.get(version) else { return Ok(None) };
        let mut compiled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (active.bundle.clone(), version.clone());
        if let Some(schema) = compiled.get(&key) {
            return Ok(Some(schema.clone()));
        }
        let schema = Schema::compile(text.as_bytes()).map_err(|error| {
            let message = format!("schema {version} of the bundle {} is {error}", active.bundle);
            Fault::new(Code::ConfigurationInvalid, message)
        })?;
        if compiled.len() >= SCHEMAS_MAX {
            compiled.clear();
        }
        compiled.insert(key, schema.clone());
        Ok(Some(schema))
    }
}
