//! A cloud in a temporary folder on free ports, with functions that a test scripts.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use sluice_local::{Cloud, Data, FunctionError, FunctionSetup, Functions, Options};

type Body = dyn Fn(String, Value) -> BoxFuture<'static, Result<Value, FunctionError>> + Send + Sync;

/// Functions made of one closure.
pub(crate) struct Scripted(Box<Body>);

impl Scripted {
    pub(crate) fn new<F, R>(body: F) -> Arc<Self>
    where
        F: Fn(String, Value) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, FunctionError>> + Send + 'static,
    {
        Arc::new(Self(Box::new(move |name, payload| Box::pin(body(name, payload)))))
    }

    /// Answers `{}` to everything.
    pub(crate) fn idle() -> Arc<Self> {
        Self::new(|_, _| async { Ok(json!({})) })
    }
}

#[async_trait]
impl Functions for Scripted {
    async fn invoke(&self, name: &str, payload: Value) -> Result<Value, FunctionError> {
        (self.0)(name.to_owned(), payload).await
    }
}

pub(crate) fn failure(error_type: &str, error_message: &str) -> FunctionError {
    FunctionError { error_type: error_type.to_owned(), error_message: error_message.to_owned() }
}

pub(crate) fn options() -> Options {
    Options { ingest_port: 0, aws_port: 0, data: Data::Ephemeral, ..Options::default() }
}

pub(crate) fn options_in(folder: &Path) -> Options {
    Options { data: Data::Directory(folder.to_owned()), ..options() }
}

pub(crate) async fn start(options: Options, functions: Arc<Scripted>) -> Cloud {
    let make =
        move |_: &FunctionSetup<'_>| -> Result<Arc<dyn Functions>, sluice_local::BoxError> { Ok(functions) };
    Cloud::start_with_functions(options, Box::new(make)).await.expect("the cloud starts")
}

pub(crate) async fn idle_cloud() -> Cloud {
    start(options(), Scripted::idle()).await
}
