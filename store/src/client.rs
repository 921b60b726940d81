//! ClickHouse over HTTP: statements with bound parameters, and inserts of prepared blocks.
//!
//! Statements and reads are the `clickhouse` crate's, on an HTTP client of ours: connections, TLS and deadlines are decided here.
//! An insert is one POST of plain hyper with a Content-Length: the crate would stream it in chunks, and what we send is finished
//! bytes that may be sent again. It succeeded when the response is 200, carries no exception code and its summary counts the
//! rows; anything else is in doubt, and the caller sends the same bytes with the same token again. The server's defaults
//! are never relied on: they changed in 25.9, 25.10 and 26.2.

mod error;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clickhouse::Compression;
use clickhouse::query::Query;
use form_urlencoded::Serializer;
use http::header::CONTENT_LENGTH;
use http::request::Builder;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::{Builder as HyperBuilder, Client as HyperClient};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ledgerline_process::config::SecretText;
use ledgerline_process::connect::{self, Connector, Offer};
use ledgerline_process::tls::{Roots, client_config};

use crate::limits;
pub use error::{ConnectError, StoreError};

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
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// The database; an identifier, checked by the configuration.
    pub database: String,
    /// The servers' own name of the cluster that the tables are spread over, an identifier; `None`: one server.
    pub cluster: Option<String>,
    /// The user; `None`: the server's default user.
    pub user: Option<String>,
    /// Sent with every request; on an http URL in clear.
    pub password: Option<SecretText>,
}

impl Target {
    /// As headers.
    fn credentials(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let user = self.user.iter().map(|user| ("X-ClickHouse-User", user.as_str()));
        user.chain(self.password.iter().map(|password| ("X-ClickHouse-Key", password.expose())))
    }
}

/// One block for one table.
#[derive(Clone, Debug)]
pub struct Insert<'a> {
    /// `INSERT INTO table (columns) FORMAT Native`.
    pub statement: &'a str,
    /// One or several blocks in Native format.
    pub block: Bytes,
    /// The rows in it, against which the summary is held.
    pub rows: usize,
    /// Names the block, so that a repeat of it is counted once.
    pub token: &'a str,
}

/// A pool of connections to one store.
pub struct Client {
    statements: clickhouse::Client,
    inserts: HyperClient<Connector, Full<Bytes>>,
    pub(crate) target: Target,
    knows_deduplicate_insert: AtomicBool,
}

impl Client {
    /// A client; it connects when it is used.
    pub fn new(target: Target) -> Result<Self, ConnectError> {
        let connector = connector(&target.url)?;
        let statements = clickhouse::Client::with_http_client(pool().build(connector.clone()))
            .with_url(&target.url)
            .with_compression(Compression::None);
        let statements =
            target.credentials().fold(statements, |client, (name, value)| client.with_header(name, value));
        let inserts = pool().build(connector);
        Ok(Self { statements, inserts, target, knows_deduplicate_insert: AtomicBool::new(true) })
    }

    /// A statement in the store's database: bind values with `param`, send it with [`Client::text`] or [`Client::fetch`].
    pub fn query(&self, sql: &str) -> Query {
        self.outside(sql).with_setting("database", &self.target.database)
    }

    /// A statement in no database. Held back until it ends, so that its failure is a status and never the tail of a 200.
    fn outside(&self, sql: &str) -> Query {
        self.statements.query_raw(sql).with_setting("wait_end_of_query", "1")
    }

    /// Whether the store answers at all.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let request = self.request("/ping").body(Full::default())?;
        self.send(request, limits::CONNECT_WAIT).await.map(drop)
    }

    /// Creates the database unless it is there.
    pub async fn create_database(&self) -> Result<(), StoreError> {
        let on =
            self.target.cluster.as_ref().map_or_else(String::new, |name| format!(" ON CLUSTER `{name}`"));
        let sql = format!("CREATE DATABASE IF NOT EXISTS `{}`{on}", self.target.database);
        self.text(self.outside(&sql)).await.map(drop)
    }

    /// Learns what the server's version decides about inserts.
    pub async fn learn_version(&self) -> Result<(), StoreError> {
        let query = self
            .query("SELECT count() FROM system.settings WHERE name = {name:String}")
            .param("name", DEDUPLICATE_INSERT);
        let known = self.text(query).await?.trim() != "0";
        self.knows_deduplicate_insert.store(known, Ordering::Relaxed);
        Ok(())
    }

    /// Runs a statement of our own and returns its response: columns by tab, rows by newline, unless it names a FORMAT.
    pub async fn text(&self, query: Query) -> Result<String, StoreError> {
        let (wait, take) = (limits::STATEMENT_WAIT, at_most(limits::STATEMENT_BYTES_MAX));
        let bytes = self.fetch(query, "TabSeparated", wait, take).await?;
        String::from_utf8(bytes.to_vec()).map_err(|_| StoreError::Response("not UTF-8".to_owned()))
    }

    /// Runs a query within a time, and returns its response in that format. `take` is asked for the bytes of each piece before they
    /// are held. Dropping the future closes the connection, on which ClickHouse cancels a read.
    pub async fn fetch(
        &self,
        query: Query,
        format: &str,
        wait: Duration,
        mut take: impl FnMut(usize) -> Result<(), StoreError>,
    ) -> Result<Bytes, StoreError> {
        let read = async {
            let mut pieces = query.fetch_bytes(format)?;
            let mut response = BytesMut::new();
            while let Some(piece) = pieces.next().await? {
                take(piece.len())?;
                response.extend_from_slice(&piece);
            }
            Ok(response.freeze())
        };
        tokio::time::timeout(wait, read).await.map_err(|_| StoreError::Late(wait))?
    }

    /// Sends a block once. Repeating it with the same token is safe, however this ended; [`StoreError::blames_data`] tells whether
    /// it can help.
    pub async fn insert(&self, insert: &Insert<'_>) -> Result<(), StoreError> {
        let request = self
            .request(&self.insert_path(insert))
            .method(http::Method::POST)
            .header(CONTENT_LENGTH, insert.block.len())
            .body(Full::new(insert.block.clone()))?;
        written(&self.send(request, limits::INSERT_WAIT).await?, insert.rows)
    }

    /// Runs an INSERT of what the store itself selects, as one block, in the order that the statement names. Repeating it with the same
    /// token is safe.
    pub async fn insert_selected(&self, query: Query, token: &str) -> Result<(), StoreError> {
        let mut query = query
            .with_setting("insert_deduplication_token", token)
            .with_setting("max_threads", "1")
            .with_setting("max_insert_threads", "1");
        for (name, value) in INSERT_SETTINGS {
            query = query.with_setting(name, value);
        }
        if self.knows_deduplicate_insert.load(Ordering::Relaxed) {
            query = query.with_setting(DEDUPLICATE_INSERT, "enable");
        }
        self.text(query).await.map(drop)
    }

    fn insert_path(&self, insert: &Insert<'_>) -> String {
        let mut parameters = Serializer::new("/?".to_owned());
        parameters
            .append_pair("query", insert.statement)
            .append_pair("database", &self.target.database)
            .append_pair("insert_deduplication_token", insert.token)
            .extend_pairs(INSERT_SETTINGS);
        if self.knows_deduplicate_insert.load(Ordering::Relaxed) {
            parameters.append_pair(DEDUPLICATE_INSERT, "enable");
        }
        if self.target.cluster.is_some() {
            // Until it is on its shards, and not in a queue of the server that was asked.
            parameters.append_pair("insert_distributed_sync", "1");
        }
        parameters.finish()
    }

    fn request(&self, path: &str) -> Builder {
        let request = Request::builder().uri(format!("{}{path}", self.target.url.trim_end_matches('/')));
        self.target.credentials().fold(request, |request, (name, value)| request.header(name, value))
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        wait: Duration,
    ) -> Result<Response<Bytes>, StoreError> {
        let exchange = async {
            let response =
                self.inserts.request(request).await.map_err(|error| StoreError::unreachable(&error))?;
            let (head, body) = response.into_parts();
            let bytes_max = limits::STATEMENT_BYTES_MAX;
            let body = Limited::new(body, bytes_max).collect().await.map_err(|error| {
                let is_large = error.is::<LengthLimitError>();
                if is_large { StoreError::TooLarge(bytes_max) } else { StoreError::unreachable(&*error) }
            })?;
            Ok::<_, StoreError>(Response::from_parts(head, body.to_bytes()))
        };
        let response = tokio::time::timeout(wait, exchange).await.map_err(|_| StoreError::Late(wait))??;
        match error::exception(&response) {
            Some(exception) => Err(exception),
            None => Ok(response),
        }
    }
}

/// Takes that many bytes in all and no more.
pub fn at_most(bytes_max: usize) -> impl FnMut(usize) -> Result<(), StoreError> {
    let mut left = bytes_max;
    move |more| {
        left = left.checked_sub(more).ok_or(StoreError::TooLarge(bytes_max))?;
        Ok(())
    }
}

/// The machine's certificate authorities are read for an https store only; without any, the built-in ones are trusted.
fn connector(url: &str) -> Result<Connector, ConnectError> {
    let uri = url.parse().ok().filter(|uri: &Uri| uri.authority().is_some());
    let uri = uri.ok_or_else(|| ConnectError::Url(url.to_owned()))?;
    let roots = if uri.scheme_str() == Some("https") { Roots::Native } else { Roots::Webpki };
    Ok(connect::connector(client_config(roots, None)?, Offer::Http1, limits::CONNECT_WAIT))
}

fn pool() -> HyperBuilder {
    let mut builder = HyperClient::builder(TokioExecutor::new());
    // Below ClickHouse's keep_alive_timeout of 10 s (30 s since 24.x), so that we do not write into a closing socket.
    builder.pool_idle_timeout(Duration::from_secs(5)).pool_timer(TokioTimer::new());
    builder
}

/// The summary counts the rows of the views too, and none at all for a block that was there already.
fn written(response: &Response<Bytes>, rows: usize) -> Result<(), StoreError> {
    let Some(summary) = response.headers().get("X-ClickHouse-Summary") else { return Ok(()) };
    let written = serde_json::from_slice::<serde_json::Value>(summary.as_bytes())
        .ok()
        .and_then(|summary| summary.get("written_rows")?.as_str()?.parse::<usize>().ok());
    match written {
        Some(written) if written != 0 && written < rows => Err(StoreError::Partial { written, rows }),
        Some(_) => Ok(()),
        None => Err(StoreError::Response(format!("unreadable summary {summary:?}"))),
    }
}
