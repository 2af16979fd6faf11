//! The product's own functions: the same crates that Lambda runs, with SDK clients of this cloud.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sluice_core::Fault;

use crate::cloud::{BoxError, FunctionSetup};
use crate::functions::{FunctionError, Functions};

struct Product {
    /// Function name to the package that implements it.
    packages: BTreeMap<String, Package>,
    accept: sluice_accept::Deps,
    persist_raw: sluice_persist_raw::Deps,
    upload: sluice_upload::Deps,
    relay: sluice_relay::Deps,
    normalize: sluice_normalize::Deps,
    quarantine: sluice_quarantine::Deps,
    apply: sluice_apply::Deps,
    reconcile: sluice_reconcile::Deps,
    operate: sluice_operate::Deps,
}

#[derive(Clone, Copy)]
enum Package {
    Accept,
    PersistRaw,
    Upload,
    Relay,
    Normalize,
    Quarantine,
    Apply,
    Reconcile,
    Operate,
}

impl Package {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "accept" => Self::Accept,
            "persist-raw" => Self::PersistRaw,
            "upload" => Self::Upload,
            "relay" => Self::Relay,
            "normalize" => Self::Normalize,
            "quarantine" => Self::Quarantine,
            "apply" => Self::Apply,
            "reconcile" => Self::Reconcile,
            "operate" => Self::Operate,
            _ => return None,
        })
    }
}

/// Makes them, with the environment that the topology gives them.
pub(crate) fn functions(setup: &FunctionSetup<'_>) -> Result<Arc<dyn Functions>, BoxError> {
    let mut packages = BTreeMap::new();
    for function in &setup.topology.functions {
        let package = Package::named(&function.package).ok_or_else(|| {
            format!("topology.json: this build has no function package {:?}", function.package)
        })?;
        packages.insert(function.name.clone(), package);
    }
    let mut environment = setup.topology.environment(setup.sdk_config.endpoint_url().unwrap_or_default());
    // A developer may trust further keys, e.g. that of the team whose bundles are copied here.
    let further = std::env::var("MAPPER_TRUST_KEYS").unwrap_or_default();
    environment.insert("MAPPER_TRUST_KEYS".to_owned(), format!("{}{further}", setup.trust_keys));
    let lookup = |name: &str| environment.get(name).cloned();
    let sdk = setup.sdk_config;
    Ok(Arc::new(Product {
        packages,
        accept: sluice_accept::Deps::from_environment(sdk, &lookup)?,
        persist_raw: sluice_persist_raw::Deps::from_environment(sdk, &lookup)?,
        upload: sluice_upload::Deps::from_environment(sdk, &lookup)?,
        relay: sluice_relay::Deps::from_environment(sdk, &lookup)?,
        normalize: sluice_normalize::Deps::from_environment(sdk, &lookup)?,
        quarantine: sluice_quarantine::Deps::from_environment(sdk, &lookup)?,
        apply: sluice_apply::Deps::from_environment(sdk, &lookup)?,
        reconcile: sluice_reconcile::Deps::from_environment(sdk, &lookup)?,
        operate: sluice_operate::Deps::from_environment(sdk, &lookup)?,
    }))
}

#[async_trait]
impl Functions for Product {
    async fn invoke(&self, name: &str, payload: Value) -> Result<Value, FunctionError> {
        let Some(package) = self.packages.get(name) else {
            let error_message = format!("no package implements {name}");
            return Err(FunctionError { error_type: "Runtime.HandlerNotFound".to_owned(), error_message });
        };
        let result = match package {
            Package::Accept => sluice_accept::handle(&self.accept, payload).await,
            Package::PersistRaw => sluice_persist_raw::handle(&self.persist_raw, payload).await,
            Package::Upload => sluice_upload::handle(&self.upload, payload).await,
            Package::Relay => sluice_relay::handle(&self.relay, payload).await,
            Package::Normalize => sluice_normalize::handle(&self.normalize, payload).await,
            Package::Quarantine => sluice_quarantine::handle(&self.quarantine, payload).await,
            Package::Apply => sluice_apply::handle(&self.apply, payload).await,
            Package::Reconcile => sluice_reconcile::handle(&self.reconcile, payload).await,
            Package::Operate => sluice_operate::handle(&self.operate, payload).await,
        };
        result.map_err(|fault: Fault| FunctionError {
            error_type: fault.error_type().to_owned(),
            error_message: fault.error_message(),
        })
    }
}
