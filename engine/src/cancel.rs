//! Cancelling statements whose client has gone, or that outlive the server's patience at shutdown.
//!
//! libchdb can cancel only through a handle that a blocked call has not returned yet, so what stops a running statement is KILL
//! QUERY from another connection. Query ids are the library's to choose, so each request carries a tag in its `log_comment`
//! setting. The kill is repeated until the statement is gone: it may arrive before the statement is registered.

use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::connection::{self, Connector};
use crate::limits;

/// A request whose statement runs, until it is dropped.
pub struct Running {
    /// What to put into `log_comment`: the client's id, and a part that no other request has.
    pub tag: String,
    /// The request should end.
    pub cancelled: CancellationToken,
    _ended: DropGuard,
}

impl Running {
    /// `cancelled` ends it, by a task of `tasks`.
    pub fn start(
        query_id: &str,
        cancelled: CancellationToken,
        connector: Connector,
        tasks: &TaskTracker,
    ) -> Self {
        let tag = format!("{query_id}/{}", Uuid::new_v4());
        let ended = CancellationToken::new();
        tasks.spawn(kill(tag.clone(), cancelled.clone(), ended.clone(), connector));
        Self { tag, cancelled, _ended: ended.drop_guard() }
    }
}

/// Kills the statement of that tag once it is cancelled, again and again until it has ended.
async fn kill(tag: String, cancelled: CancellationToken, ended: CancellationToken, connector: Connector) {
    if ended.run_until_cancelled(cancelled.cancelled()).await.is_none() {
        return;
    }
    let condition = format!("endsWith(Settings['log_comment'], {})", connection::literal(&tag));
    while !ended.is_cancelled() {
        let (connector, sql) = (connector.clone(), format!("KILL QUERY WHERE {condition} ASYNC"));
        // Waited for whatever happens: a connection that is open at exit crashes libchdb.
        let killed = tokio::task::spawn_blocking(move || {
            connector.connect(&[]).and_then(|mut connection| connection::run(&mut connection, &sql))
        });
        if let Ok(Err(error)) = killed.await {
            tracing::warn!(%error, "could not kill a query");
        }
        sleep(limits::CANCEL_RETRY).await;
    }
}
