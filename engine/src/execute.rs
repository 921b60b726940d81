//! Runs one request on one thread: find the statement, open a connection, run it, write the answer.
//!
//! Three ways in: an INSERT with data streams its body into libchdb's insert stream, binary-safe and in any input format; a SELECT
//! writes into a pipe (`INTO OUTFILE '/dev/fd/N'`) that a second thread reads, which streams any output format with its header,
//! totals and footer once; everything else is small and goes through memory.

use std::io::{self, BufRead, Cursor, Read};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use crate::cancel::{Canceller, Running};
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

/// What every request shares.
pub struct Shared {
    pub connector: Connector,
    pub sessions: Sessions,
    pub canceller: Canceller,
    pub info: Arc<ServerInfo>,
}

/// Runs a request to its end and answers it.
#[tracing::instrument(name = "statement", skip_all, fields(error_code))]
pub fn serve(
    shared: &Shared,
    mut request: Request,
    body: Box<dyn BufRead + Send>,
    mut responder: Responder,
    running: &Running,
) {
    match run(shared, &mut request, body, &mut responder, running) {
        Ok(counters) => responder.finish(counters),
        Err(error) => {
            tracing::Span::current().record("error_code", error.code());
            tracing::debug!(query_id = request.response.query_id, code = error.code(), "request failed");
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
    let source = open(request, body)?;
    let (source, external) = multipart::expand(request, source)?;
    responder.set_format(request.response.format.clone());
    let incoming = Incoming::read(source)?;
    let Some(session) = &request.session else {
        let mut connection = shared.connector.connect_for(request, running.tag())?;
        external.iter().try_for_each(|table| table.create(&mut connection))?;
        connection::prepare(&mut connection, request, running.tag())?;
        return incoming.execute(&mut connection, request, responder, running);
    };
    let (mut kept, lease) = shared.sessions.take(session)?;
    let connection = &mut kept;
    let outcome = match connection::snapshot(connection, request, running.tag()) {
        Err(error) => Err(error),
        Ok(restore) => {
            let outcome = external
                .iter()
                .try_for_each(|table| table.create(connection))
                .and_then(|()| connection::prepare_session(connection, request, running.tag()))
                .and_then(|()| incoming.execute(connection, request, responder, running));
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
            may_insert = may_insert && statement::may_insert(&text);
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
                let most = limits::STATEMENT_BYTES_MAX;
                let message = format!("The query is larger than {most} bytes");
                return Err(QueryError::new(Kind::QUERY_IS_TOO_LARGE, message));
            }
        }
    }

    fn execute(
        self,
        connection: &mut Connection,
        request: &Request,
        responder: &mut Responder,
        running: &Running,
    ) -> Result<Counters, QueryError> {
        let text = match self {
            Self::Insert { sql, format, data } => {
                return insert(connection, request, &sql, &format, data, running);
            }
            Self::Whole { text } => text,
        };
        let statement = statement::classify(&text);
        check_single(connection, request, &text, &statement)?;
        check_wanted(running)?;
        match statement {
            Statement::Empty => Err(QueryError::new(Kind::SYNTAX_ERROR, "Syntax error: Empty query")),
            Statement::IntoOutfile => {
                Err(QueryError::new(Kind::INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed"))
            }
            Statement::FromInfile => Err(QueryError::new(
                Kind::UNKNOWN_TYPE_OF_QUERY,
                "Query has infile and was send directly to server",
            )),
            Statement::Select { outfile_at, end, format } => {
                responder.set_format(format);
                select(connection, request, responder, &text, outfile_at, end)
            }
            Statement::Other { format } => {
                responder.set_format(format);
                in_memory(connection, request, responder, &text)
            }
        }
    }
}

/// The body, decompressed.
fn open(request: &Request, mut body: Box<dyn BufRead + Send>) -> Result<Box<dyn BufRead + Send>, QueryError> {
    if let Some(encoding) = request.content_encoding {
        body = encoding.reader(body).map_err(body_error)?;
    }
    if request.decompress {
        body = decompressor(body);
    }
    Ok(body)
}

/// One statement per request; and from a reader, whom `readonly` alone would let stop merges, only one that reads. So too over GET in a
/// session, whose connection must stay writable.
fn check_single(
    connection: &mut Connection,
    request: &Request,
    text: &[u8],
    statement: &Statement,
) -> Result<(), QueryError> {
    let reads_only = request.reader || request.read_only && request.session.is_some();
    let guarded = reads_only && matches!(statement, Statement::Other { .. });
    let text = text.trim_ascii_end();
    if !guarded && !text.strip_suffix(b";").unwrap_or(text).contains(&b';') {
        return Ok(());
    }
    let analysis = connection.analyse(text);
    if analysis.statements > 1 {
        return Err(QueryError::new(Kind::SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)"));
    }
    if guarded && analysis.statements == 1 && !analysis.read_only {
        return Err(readonly());
    }
    Ok(())
}

fn check_wanted(running: &Running) -> Result<(), QueryError> {
    if running.is_cancelled() {
        return Err(QueryError::new(Kind::QUERY_WAS_CANCELLED, "Query was cancelled"));
    }
    Ok(())
}

fn readonly() -> QueryError {
    QueryError::new(
        Kind::READONLY,
        "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. \
         You should use method POST for modifying queries",
    )
}

fn insert(
    connection: &mut Connection,
    request: &Request,
    sql: &[u8],
    format: &str,
    mut data: Box<dyn BufRead + Send>,
    running: &Running,
) -> Result<Counters, QueryError> {
    if request.read_only || request.reader {
        return Err(readonly());
    }
    let mut insert = connection.insert(sql, format, &request.parameters)?;
    loop {
        check_wanted(running)?;
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

fn in_memory(
    connection: &mut Connection,
    request: &Request,
    responder: &mut Responder,
    text: &[u8],
) -> Result<Counters, QueryError> {
    let result = connection.query(text, responder.format(), &request.parameters)?;
    responder.write(result.bytes())?;
    Ok(result.counters())
}

fn select(
    connection: &mut Connection,
    request: &Request,
    responder: &mut Responder,
    text: &[u8],
    outfile_at: usize,
    end: usize,
) -> Result<Counters, QueryError> {
    let (reader, writer) = io::pipe().map_err(|error| QueryError::new(Kind::UNKNOWN_EXCEPTION, error))?;
    let clause = format!("\nINTO OUTFILE '/dev/fd/{}' APPEND\n", writer.as_raw_fd());
    let sql = [&text[..outfile_at], clause.as_bytes(), &text[outfile_at..end]].concat();
    let format = responder.format().to_owned();
    let internal = |message: &str| QueryError::new(Kind::UNKNOWN_EXCEPTION, message);
    let (ran, copied) = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("engine-result".to_owned());
        let Ok(pump) = thread.spawn_scoped(scope, || copy(reader, responder)) else {
            let no_thread = || internal("cannot start a thread for the result");
            return (Err(no_thread()), Ok(Err(no_thread())));
        };
        let ran = connection.query(&sql, &format, &request.parameters).map(|result| result.counters());
        // The last writing end: without it the reader would wait for ever.
        drop(writer);
        (ran.map_err(QueryError::from), pump.join())
    });
    match (ran, copied.unwrap_or_else(|_| Err(internal("the response's thread panicked")))) {
        (Ok(counters), Ok(_)) => Ok(counters),
        // Also when the query failed: it did because its reader did.
        (_, Err(cause)) => Err(cause),
        // The text does not parse, with the clause or without: the error must be about what the client wrote.
        (Err(error), Ok(0)) if error.code() == SYNTAX_ERROR => {
            in_memory(connection, request, responder, text)
        }
        (Err(error), Ok(_)) => Err(error),
    }
}

const SYNTAX_ERROR: u32 = 62;

/// Copies a pipe into the response and returns the bytes copied. Dropping the pipe on an error stops the query.
fn copy(mut pipe: io::PipeReader, responder: &mut Responder) -> Result<usize, QueryError> {
    let mut buffer = vec![0; limits::DECODE_BUFFER_BYTES];
    let mut copied = 0;
    loop {
        let length =
            pipe.read(&mut buffer).map_err(|error| QueryError::new(Kind::UNKNOWN_EXCEPTION, error))?;
        if length == 0 {
            return Ok(copied);
        }
        copied += length;
        responder.write(&buffer[..length])?;
    }
}
