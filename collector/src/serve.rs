//! Serves a router on a socket, within bounds, and ends in order.
//!
//! Not `axum::serve`: it has no header timeout, no bound on connections and no bound on streams, and a port that strangers
//! may reach needs all three.

use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits;

/// Serves HTTP/1 and HTTP/2 (with prior knowledge) until the token is cancelled; then finishes what is under way, for at
/// most [`limits::SHUTDOWN_WAIT`].
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    loop {
        let accepted = async {
            // Never closed, so it always gives a permit.
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = graceful.watch(connection(stream, &router));
                connections.spawn(async move {
                    let _permit = permit;
                    if let Err(error) = connection.await {
                        tracing::debug!(error, "a connection ended early");
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: accepting again at once would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(limits::RETRY_WAIT).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits::SHUTDOWN_WAIT, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were cut off: they did not end in time");
    }
}

fn connection(
    stream: TcpStream,
    router: &Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + use<>
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::HEADER_READ_WAIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS_MAX)
        .max_header_list_size(limits::HEADER_BYTES_MAX)
        .keep_alive_interval(limits::KEEP_ALIVE)
        .keep_alive_timeout(limits::KEEP_ALIVE);
    builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone())).into_owned()
}
