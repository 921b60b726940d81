//! ClickHouse over HTTP: statements with bound parameters, and inserts of prepared blocks.
//!
//! An insert is one POST with a Content-Length and the settings that make a repeat harmless. It succeeded when the answer
//! is 200, carries no exception code and wrote the rows; anything else is in doubt, and the caller sends the same bytes with
//! the same token again. The server's defaults are never relied on: they changed in 25.9, 25.10 and 26.2.
//!
//! Why hyper and not the `clickhouse` crate for inserts: its inserter streams rows and drops its buffer on an error, and
//! what we send is finished bytes.

mod error;
mod url;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ledgerline_process::config::SecretText;
use tokio::sync::watch;

use crate::limits;
pub use error::{ConnectError, StoreError};
use url::QueryString;

/// Settings of every insert. The first four make a repeat harmless, through the views too; `optimize_on_insert` would sort and merge
/// a block that replaces nothing yet (140k rows/s with it, 528k without); the rest keep a request one block, because a
/// repeat must be cut as the first attempt was.
const INSERT_SETTINGS: [(&str, &str); 9] = [
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    ("async_insert", "0"),
    ("wait_end_of_query", "1"),
    ("optimize_on_insert", "0"),
    ("max_insert_block_size", "1048576"),
    ("min_insert_block_size_rows", "1048576"),
    ("min_insert_block_size_bytes", "268435456"),
    ("materialized_views_ignore_errors", "0"),
];

/// Since 26.2 this decides instead of `insert_deduplicate`; older servers do not know it.
const DEDUPLICATE_INSERT: &str = "deduplicate_insert";

/// Where the store is and who we are there.
#[derive(Clone, Debug)]
pub struct Target {
    /// `http://host:port` or `https://host:port`. It may change while we run: an engine that was restarted may have another
    /// port. The scheme may not.
    pub url: watch::Receiver<String>,
    /// The database; an identifier, checked by the configuration.
    pub database: String,
    /// The user; `None`: the server's default user.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretText>,
}

/// One statement and what it is given. The text is ours; values travel as parameters.
#[derive(Clone, Debug)]
pub struct Statement {
    sql: String,
    query: QueryString,
}

impl Statement {
    /// A statement without parameters.
    #[must_use]
    pub fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), query: QueryString::default() }
    }

    /// Binds `{name:Type}`.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.query.push(&format!("param_{name}"), &url::escaped_parameter(&value.to_string()));
        self
    }

    /// Sets a setting for this statement.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.query.push(name, &value.to_string());
        self
    }
}

/// One block for one table.
#[derive(Clone, Debug)]
pub struct Insert<'a> {
    /// `INSERT INTO table (columns) FORMAT Native`.
    pub statement: &'a str,
    /// The block.
    pub block: Bytes,
    /// The rows in it.
    pub rows: usize,
    /// Names the block, so that a repeat of it is counted once.
    pub token: &'a str,
}

/// A pool of connections to one store.
pub struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    target: Target,
    knows_deduplicate_insert: AtomicBool,
}

impl Client {
    /// A client; it connects when it is used.
    ///
    /// # Errors
    /// When the URL is none, or the machine's certificates cannot be read for an https URL.
    pub fn new(target: Target) -> Result<Self, ConnectError> {
        let url = target.url.borrow().clone();
        let uri: Uri = url.parse().map_err(|_| ConnectError::Url(url.clone()))?;
        if uri.authority().is_none() {
            return Err(ConnectError::Url(url));
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limits::CONNECT_WAIT));
        let provider = rustls::crypto::ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = if uri.scheme_str() == Some("https") {
            builder.with_provider_and_native_roots(provider).map_err(ConnectError::Certificates)?
        } else {
            builder.with_provider_and_webpki_roots(provider).map_err(ConnectError::Tls)?
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        let http = HyperClient::builder(TokioExecutor::new())
            // Below ClickHouse's keep_alive_timeout of 10 s (30 s since 24.x), so that we do not write into a closing socket.
            .pool_idle_timeout(Duration::from_secs(5))
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { http, target, knows_deduplicate_insert: AtomicBool::new(true) })
    }

    /// Where the store is now.
    #[must_use]
    pub fn url(&self) -> String {
        self.target.url.borrow().clone()
    }

    /// The database all statements run in.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.target.database
    }

    /// Whether the store answers at all.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let request = self.request(Method::GET, "/ping", Full::default())?;
        self.finish(request, limits::CONNECT_WAIT, limits::ANSWER_BYTES_MAX).await.map(drop)
    }

    /// Creates the database unless it is there.
    ///
    /// # Errors
    /// When the store does not do it.
    pub async fn create_database(&self) -> Result<(), StoreError> {
        let sql = format!("CREATE DATABASE IF NOT EXISTS `{}`", self.target.database);
        self.run(&Statement::new(&sql), None, limits::STATEMENT_WAIT, limits::ANSWER_BYTES_MAX).await?;
        Ok(())
    }

    /// Learns what the server's version decides about inserts.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn learn_version(&self) -> Result<(), StoreError> {
        let statement = Statement::new("SELECT count() FROM system.settings WHERE name = {name:String}")
            .parameter("name", DEDUPLICATE_INSERT);
        let known = self.execute(&statement).await?.trim() != "0";
        self.knows_deduplicate_insert.store(known, Ordering::Relaxed);
        Ok(())
    }

    /// Runs a statement of our own and returns its answer as text.
    ///
    /// # Errors
    /// When it fails; see [`StoreError`].
    pub async fn execute(&self, statement: &Statement) -> Result<String, StoreError> {
        let (wait, bytes_max) = (limits::STATEMENT_WAIT, limits::ANSWER_BYTES_MAX);
        let answer = self.run(statement, Some(&self.target.database), wait, bytes_max).await?;
        String::from_utf8(answer.to_vec()).map_err(|_| StoreError::Answer("not UTF-8".to_owned()))
    }

    /// Runs a query within a time and a size, and returns its answer as it came.
    ///
    /// # Errors
    /// When it fails or exceeds one of them; see [`StoreError`].
    pub async fn query(
        &self,
        statement: &Statement,
        wait: Duration,
        bytes_max: usize,
    ) -> Result<Bytes, StoreError> {
        self.run(statement, Some(&self.target.database), wait, bytes_max).await
    }

    /// Sends a block once. Repeating it with the same token is safe, however this ended.
    ///
    /// # Errors
    /// When it failed or is in doubt; [`StoreError::blames_data`] tells whether a repeat can help.
    pub async fn insert(&self, insert: &Insert<'_>) -> Result<(), StoreError> {
        let mut query = QueryString::default();
        query.push("query", insert.statement);
        query.push("database", &self.target.database);
        INSERT_SETTINGS.iter().for_each(|(name, value)| query.push(name, value));
        if self.knows_deduplicate_insert.load(Ordering::Relaxed) {
            query.push(DEDUPLICATE_INSERT, "enable");
        }
        query.push("insert_deduplication_token", insert.token);
        let length = insert.block.len();
        let mut request = self.request(Method::POST, &query.path(), Full::new(insert.block.clone()))?;
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
        let response = self.finish(request, limits::INSERT_WAIT, limits::ANSWER_BYTES_MAX).await?;
        written(&response, insert.rows)
    }

    async fn run(
        &self,
        statement: &Statement,
        database: Option<&str>,
        wait: Duration,
        bytes_max: usize,
    ) -> Result<Bytes, StoreError> {
        let mut query = statement.query.clone();
        if let Some(database) = database {
            query.push("database", database);
        }
        query.push("wait_end_of_query", "1");
        let body = Full::new(Bytes::from(statement.sql.clone()));
        let request = self.request(Method::POST, &query.path(), body)?;
        Ok(self.finish(request, wait, bytes_max).await?.into_body())
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Full<Bytes>,
    ) -> Result<Request<Full<Bytes>>, StoreError> {
        let uri = format!("{}{path}", self.url().trim_end_matches('/'));
        let mut builder = Request::builder().method(method).uri(uri);
        if let Some(user) = &self.target.user {
            builder = builder.header("X-ClickHouse-User", user);
        }
        if let Some(password) = &self.target.password {
            builder = builder.header("X-ClickHouse-Key", password.expose());
        }
        builder.body(body).map_err(StoreError::Request)
    }

    async fn finish(
        &self,
        request: Request<Full<Bytes>>,
        wait: Duration,
        bytes_max: usize,
    ) -> Result<Response<Bytes>, StoreError> {
        let answer = async {
            let response = self.http.request(request).await.map_err(StoreError::Unreachable)?;
            collect(response, bytes_max).await
        };
        let response = tokio::time::timeout(wait, answer).await.map_err(|_| StoreError::Late(wait))??;
        match error::exception(&response) {
            Some(exception) => Err(exception),
            None => Ok(response),
        }
    }
}

async fn collect(response: Response<Incoming>, bytes_max: usize) -> Result<Response<Bytes>, StoreError> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { StoreError::TooLarge(bytes_max) } else { StoreError::Cut(error) }
    })?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// The summary counts the rows of the views too, and none at all for a block that was there already.
fn written(response: &Response<Bytes>, rows: usize) -> Result<(), StoreError> {
    let summary = response.headers().get("X-ClickHouse-Summary").and_then(|value| value.to_str().ok());
    let Some(summary) = summary else {
        return Ok(());
    };
    let written = serde_json::from_str::<serde_json::Value>(summary)
        .ok()
        .and_then(|summary| summary.get("written_rows")?.as_str()?.parse::<usize>().ok());
    match written {
        Some(written) if written != 0 && written < rows => Err(StoreError::Partial { written, rows }),
        Some(_) => Ok(()),
        None => Err(StoreError::Answer(format!("unreadable summary {summary}"))),
    }
}
