//! An HTTP client for the AWS SDK that calls the endpoint in this process, without a socket.
//!
//! The functions use the same SDK clients, protocols, signatures and error handling as on AWS; only the bytes do not pass
//! through TCP. It holds the endpoint weakly, so clients that outlive the cloud fail instead of keeping its files open.

use std::sync::Weak;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use s3s::Body;

use crate::endpoint::Endpoint;
use crate::gate::Caller;

#[derive(Debug, Clone)]
pub(crate) struct InProcess {
    pub(crate) endpoint: Weak<Endpoint>,
    /// For whom it calls. It needs no access key: who holds it was made by this process.
    pub(crate) caller: Caller,
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (endpoint, caller) = (self.endpoint.upgrade(), self.caller);
        HttpConnectorFuture::new(async move {
            let endpoint =
                endpoint.ok_or_else(|| ConnectorError::io("the local cloud has stopped".into()))?;
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let request = request.map(|body| match body.bytes() {
                Some(bytes) => Body::from(Bytes::copy_from_slice(bytes)),
                None => Body::http_body_unsync(body),
            });
            let response = endpoint.handle(caller, request).await.map(|body| match body.bytes() {
                Some(bytes) => SdkBody::from(bytes),
                None => SdkBody::from_body_1_x(body),
            });
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
