//! A cloud in a temporary folder on free ports, with functions that a test scripts.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use sluice_local::credentials::AccessKey;
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

/// The access key of the data folder.
pub(crate) fn access_key(cloud: &Cloud) -> AccessKey {
    AccessKey::read(&cloud.credentials_file()).expect("the access key")
}

/// Sends a request that `key` has signed.
pub(crate) async fn signed_by(
    key: &AccessKey,
    service: &str,
    request: reqwest::RequestBuilder,
) -> reqwest::Response {
    let (client, request) = sign_request(key, service, request);
    client.execute(request).await.expect("an answer")
}

/// Signs a request, by AWS's own code.
pub(crate) fn sign_request(
    key: &AccessKey,
    service: &str,
    request: reqwest::RequestBuilder,
) -> (reqwest::Client, reqwest::Request) {
    let (client, request) = request.build_split();
    let mut request = request.expect("a request");
    if !request.headers().contains_key("host") {
        let url = request.url();
        let host = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
        request.headers_mut().insert("host", host.parse().expect("a header"));
    }
    let identity = Credentials::new(&key.id, &key.secret, None, None, "test").into();
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(service)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .expect("parameters")
        .into();
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec();
    let headers =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")));
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.url().as_str(),
        headers,
        SignableBody::Bytes(&body),
    );
    let (instructions, _) = sign(signable.expect("signable"), &parameters).expect("a signature").into_parts();
    for (name, value) in instructions.headers() {
        request.headers_mut().insert(
            http::HeaderName::try_from(name).expect("a name"),
            http::HeaderValue::try_from(value).expect("a value"),
        );
    }
    (client, request)
}

/// Sends a request that the access key of the data folder has signed.
pub(crate) async fn signed(
    cloud: &Cloud,
    service: &str,
    request: reqwest::RequestBuilder,
) -> reqwest::Response {
    signed_by(&access_key(cloud), service, request).await
}
