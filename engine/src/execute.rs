//! Runs one request on one thread: find the statement, open a connection, run it, write the answer.
//!
//! Three ways in: an INSERT with data streams its body into libchdb's insert stream, binary-safe and in any input format; a SELECT
//! writes into a pipe (`INTO OUTFILE '/dev/fd/N'`) that a second thread reads, which streams any output format with its header,
//! totals and footer once; everything else is small and goes through memory.

use std::io::{self, BufRead, Cursor, Read};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cancel::Running;
use crate::compression::blocks::decompressor;
use crate::connection::{self, Connector};
use crate::errors::{Kind, QueryError};
use crate::ffi::{Connection, Counters};
use crate::http::body::body_error;
use crate::http::multipart;
use crate::http::request::Request;
use crate::http::response::{Responder, ServerInfo};
use crate::limits;
use crate::sessions::Sessions;
use crate::statement::{self, InsertHead, Statement};

pub struct Shared {
    pub connector: Connector,
    pub sessions: Sessions,
    /// Every statement that runs should end, and every one that begins.
    pub stopping: CancellationToken,
    pub info: Arc<ServerInfo>,
}

/// Runs a request to its end and answers it.
#[tracing::instrument(name = "statement", skip_all, fields(error_code))]
pub fn serve(
    shared: &Shared,
    mut request: Request,
    body: Box<dyn BufRead + Send>,
    mut responder: Responder,
    running: Running,
) {
    let outcome = run(shared, &mut request, body, &mut responder, &running);
    // First: a client that has its answer cancels, and must find nothing to kill.
    drop(running);
    match outcome {
        Ok(counters) => responder.finish(counters),
        Err(error) => {
            tracing::Span::current().record("error_code", error.code);
            tracing::debug!(query_id = request.response.query_id, code = error.code, "request failed");
            responder.fail(&error);
        }
    }
}

fn run(
    shared: &Shared,
    request: &mut Request,
    body: Box<dyn BufRead + Send>,
    responder: &mut Responder,
    running: &Running,
) -> Result<Counters, QueryError> {
    // By whoever comes next: a session that nobody asks for costs nothing but its memory.
    shared.sessions.expire();
    let source = match request.content_encoding {
        Some(encoding) => encoding.reader(body).map_err(body_error)?,
        None => body,
    };
    let source = if request.decompress { decompressor(source) } else { source };
    let (source, external) = multipart::expand(request, source)?;
    responder.set_format(request.response.format.clone());
    let incoming = Incoming::read(source)?;
    let request = &*request;
    let execute = |connection: &mut Connection| {
        Execution { connection, request, responder: &mut *responder, running }.run(incoming)
    };
    let Some(session) = &request.session else {
        let mut connection = shared.connector.connect_for(request, &running.tag)?;
        external.iter().try_for_each(|table| table.create(&mut connection))?;
        connection::prepare(&mut connection, request, &running.tag)?;
        return execute(&mut connection);
    };
    let (mut kept, lease) = shared.sessions.take(session)?;
    let connection = &mut kept;
    let outcome = match connection::snapshot(connection, request, &running.tag) {
        Err(error) => Err(error),
        Ok(restore) => {
            let outcome = external
                .iter()
                .try_for_each(|table| table.create(connection))
                .and_then(|()| connection::prepare(connection, request, &running.tag))
                .and_then(|()| execute(connection));
            // A session that cannot be put back is closed rather than reused.
            external.iter().try_for_each(|table| table.remove(connection))?;
            restore.iter().try_for_each(|statement| connection::run(connection, statement))?;
            outcome
        }
    };
    lease.keep(kept);
    outcome
}

/// A statement, and the data that follows it.
enum Incoming {
    Insert { sql: Vec<u8>, format: String, data: Box<dyn BufRead + Send> },
    Whole { text: Vec<u8> },
}

impl Incoming {
    /// Reads as much as it takes to know what the request is; the data of an INSERT stays unread.
    fn read(mut source: Box<dyn BufRead + Send>) -> Result<Self, QueryError> {
        let mut text = Vec::new();
        let mut next_look = 0;
        let mut may_insert = true;
        loop {
            let piece = source.fill_buf().map_err(body_error)?;
            let length = piece.len();
            let complete = length == 0;
            text.extend_from_slice(piece);
            source.consume(length);
            if may_insert && (complete || text.len() >= next_look) {
                match statement::insert_head(&text, complete) {
                    InsertHead::Data { sql_end, format, data_at } => {
                        let rest = Cursor::new(text.split_off(data_at));
                        text.truncate(sql_end);
                        return Ok(Self::Insert { sql: text, format, data: Box::new(rest.chain(source)) });
                    }
                    InsertHead::NoData => may_insert = false,
                    InsertHead::NeedMore if text.len() > limits::INSERT_HEAD_BYTES_MAX => may_insert = false,
                    // Looked at again when it has doubled, so that a long head costs no more than twice its length.
                    InsertHead::NeedMore => next_look = text.len() * 2,
                }
            }
            if complete {
                return Ok(Self::Whole { text });
            }
            if text.len() > limits::STATEMENT_BYTES_MAX {
                let message = format!("The query is larger than {} bytes", limits::STATEMENT_BYTES_MAX);
                return Err(QueryError::new(Kind::QUERY_IS_TOO_LARGE, message));
            }
        }
    }
}

/// One statement on its connection.
struct Execution<'a> {
    connection: &'a mut Connection,
    request: &'a Request,
    responder: &'a mut Responder,
    running: &'a Running,
}

impl Execution<'_> {
    fn run(mut self, incoming: Incoming) -> Result<Counters, QueryError> {
        let refuse = |kind, message: &str| Err(QueryError::new(kind, message));
        let text = match incoming {
            Incoming::Insert { sql, format, data } => return self.insert(&sql, &format, data),
            Incoming::Whole { text } => text,
        };
        let statement = statement::classify(&text);
        self.check_single(&text, &statement)?;
        if self.running.cancelled.is_cancelled() {
            return Err(cancelled());
        }
        match statement {
            Statement::Empty => refuse(Kind::SYNTAX_ERROR, "Syntax error: Empty query"),
            Statement::IntoOutfile => refuse(Kind::INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed"),
            Statement::FromInfile => {
                refuse(Kind::UNKNOWN_TYPE_OF_QUERY, "Query has infile and was send directly to server")
            }
            Statement::Select { outfile_at, end, format } => {
                self.responder.set_format(format);
                self.select(&text, outfile_at, end)
            }
            Statement::Other { format } => {
                self.responder.set_format(format);
                self.in_memory(&text)
            }
        }
    }

    /// One statement per request; and from a reader, whom `readonly` alone would let stop merges, only one that reads. So too over GET
    /// in a session, whose connection must stay writable.
    fn check_single(&mut self, text: &[u8], statement: &Statement) -> Result<(), QueryError> {
        let reads_only = self.request.reader || self.request.read_only && self.request.session.is_some();
        let guarded = reads_only && matches!(statement, Statement::Other { .. });
        let text = text.trim_ascii_end();
        if !guarded && !text.strip_suffix(b";").unwrap_or(text).contains(&b';') {
            return Ok(());
        }
        let analysis = self.connection.analyse(text);
        if analysis.statements > 1 {
            let message = "Syntax error (Multi-statements are not allowed)";
            return Err(QueryError::new(Kind::SYNTAX_ERROR, message));
        }
        let writes = analysis.statements == 1 && !analysis.read_only;
        if guarded && writes { Err(readonly()) } else { Ok(()) }
    }

    fn insert(
        self,
        sql: &[u8],
        format: &str,
        mut data: Box<dyn BufRead + Send>,
    ) -> Result<Counters, QueryError> {
        if self.request.read_only || self.request.reader {
            return Err(readonly());
        }
        let mut insert = self.connection.insert(sql, format, &self.request.parameters)?;
        loop {
            if self.running.cancelled.is_cancelled() {
                return Err(cancelled());
            }
            // An error here drops the stream unfinished, which cancels it: half a body is not committed.
            let piece = data.fill_buf().map_err(body_error)?;
            let length = piece.len();
            if length == 0 || !insert.append(piece) {
                break;
            }
            data.consume(length);
        }
        Ok(insert.finish()?)
    }

    fn in_memory(&mut self, text: &[u8]) -> Result<Counters, QueryError> {
        let result = self.connection.query(text, self.responder.format(), &self.request.parameters)?;
        self.responder.write(&result.bytes)?;
        Ok(result.counters)
    }

    fn select(&mut self, text: &[u8], outfile_at: usize, end: usize) -> Result<Counters, QueryError> {
        let (reader, writer) = io::pipe().map_err(internal)?;
        let clause = format!("\nINTO OUTFILE '/dev/fd/{}' APPEND\n", writer.as_raw_fd());
        let sql = [&text[..outfile_at], clause.as_bytes(), &text[outfile_at..end]].concat();
        let format = self.responder.format().to_owned();
        let (ran, copied) = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("engine-result".to_owned());
            let pump = match thread.spawn_scoped(scope, || copy(reader, self.responder)) {
                Ok(pump) => pump,
                Err(error) => return (Err(internal(&error)), Ok(Err(internal(&error)))),
            };
            let ran = self.connection.query(&sql, &format, &self.request.parameters);
            let ran = ran.map(|result| result.counters).map_err(QueryError::from);
            // The last writing end: without it the reader would wait for ever.
            drop(writer);
            (ran, pump.join())
        });
        match (ran, copied.unwrap_or_else(|_| Err(internal("the response's thread panicked")))) {
            (Ok(counters), Ok(_)) => Ok(counters),
            // Also when the query failed: it did because its reader did.
            (_, Err(cause)) => Err(cause),
            // The text does not parse, with the clause or without: the error must be about what the client wrote.
            (Err(error), Ok(0)) if error.code == Kind::SYNTAX_ERROR.0 => self.in_memory(text),
            (Err(error), Ok(_)) => Err(error),
        }
    }
}

fn readonly() -> QueryError {
    QueryError::new(
        Kind::READONLY,
        "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. \
         You should use method POST for modifying queries",
    )
}

fn cancelled() -> QueryError {
    QueryError::new(Kind::QUERY_WAS_CANCELLED, "Query was cancelled")
}

fn internal(error: impl std::fmt::Display) -> QueryError {
    QueryError::new(Kind::UNKNOWN_EXCEPTION, error)
}

/// Copies a pipe into the response and returns the bytes copied. Dropping the pipe on an error stops the query.
fn copy(mut pipe: io::PipeReader, responder: &mut Responder) -> Result<usize, QueryError> {
    let mut buffer = vec![0; limits::DECODE_BUFFER_BYTES];
    let mut copied = 0;
    loop {
        let length = pipe.read(&mut buffer).map_err(internal)?;
        if length == 0 {
            return Ok(copied);
        }
        copied += length;
        responder.write(&buffer[..length])?;
    }
}
