//! HTTP/1.1 on a listener, until told to stop.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Pause after an accept that failed, for instance because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`: then no connection is accepted, requests under way are answered, idle connections are closed.
/// Connections run in `tracker`.
pub(crate) async fn serve<H, F, B>(
    listener: TcpListener,
    stop: CancellationToken,
    tracker: TaskTracker,
    handler: H,
) where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let (handler, stop) = (handler.clone(), stop.clone());
        tracker.spawn(async move {
            let service = service_fn(move |request| {
                let answer = handler(request, client);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let mut builder = http1::Builder::new();
            // A client may have said all it has to say and still wait for the answer.
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).half_close(true);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%client, %error, "a connection ended with an error");
            }
        });
    }
}
