//! The C interface of libchdb, declared by hand, and safe types over it.
//!
//! The only file of the workspace with `unsafe`. It exists so that everything above can be ordinary Rust: handles that close
//! themselves, borrows that make "one statement at a time per connection" a compile error to break, and results copied out
//! before they are freed. It knows nothing of HTTP, settings or SQL, and must not.
//!
//! Signatures: `chdb.h` of chDB 26.7. The library is never unloaded: its threads outlive any handle of ours.

#![allow(unsafe_code, reason = "the one place that talks to a C library; each block states why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::{ptr, slice};

type RawConnection = *mut c_void;
type RawResult = *mut c_void;
type RawInsert = *mut c_void;

/// Declares the table of function pointers and the one function that fills it.
macro_rules! symbols {
    ($($name:ident: fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// The loaded libchdb. One per process, for the life of the process.
        pub struct Library { $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)* }

        impl Library {
            fn resolve(library: &libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: each symbol is given the type that chdb.h declares for it, and the pointers are only used while
                // the library is loaded, which is for ever (it is leaked).
                unsafe { Ok(Self { $($name: *library.get(stringify!($name))?,)* }) }
            }
        }
    };
}

type Strings = *const *const c_char;
type Lengths = *const usize;
/// Connection, statement, format, and the parameters as four parallel arrays of one length.
type Start = unsafe extern "C" fn(
    RawConnection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    Strings,
    Lengths,
    Strings,
    Lengths,
    usize,
) -> *mut c_void;

symbols! {
    chdb_version: fn() -> *const c_char;
    chdb_set_signal_handlers_enabled: fn(c_int);
    chdb_shutdown: fn() -> c_int;
    chdb_connect: fn(c_int, *mut *mut c_char) -> *mut RawConnection;
    chdb_close_conn: fn(*mut RawConnection);
    chdb_query_with_params_n:
        fn(RawConnection, *const c_char, usize, *const c_char, usize, Strings, Lengths, Strings, Lengths, usize) -> RawResult;
    chdb_stream_insert_with_params_n:
        fn(RawConnection, *const c_char, usize, *const c_char, usize, Strings, Lengths, Strings, Lengths, usize) -> RawInsert;
    chdb_stream_append: fn(RawInsert, *const c_void, usize) -> c_int;
    chdb_stream_done: fn(RawInsert) -> RawResult;
    chdb_stream_insert_error: fn(RawInsert) -> *const c_char;
    chdb_destroy_insert_stream: fn(RawInsert);
    chdb_destroy_query_result: fn(RawResult);
    chdb_result_buffer: fn(RawResult) -> *const c_char;
    chdb_result_length: fn(RawResult) -> usize;
    chdb_result_rows_read: fn(RawResult) -> u64;
    chdb_result_bytes_read: fn(RawResult) -> u64;
    chdb_result_storage_rows_read: fn(RawResult) -> u64;
    chdb_result_storage_bytes_read: fn(RawResult) -> u64;
    chdb_result_rows_written: fn(RawResult) -> u64;
    chdb_result_bytes_written: fn(RawResult) -> u64;
    chdb_result_error: fn(RawResult) -> *const c_char;
    chdb_classify_query_n: fn(RawConnection, *const c_char, usize, *const c_char, usize, *mut RawAnalysis) -> c_int;
}

#[repr(C)]
struct RawAnalysis {
    struct_size: u32,
    statement_count: u32,
    flags: u32,
    query_class: u32,
}

/// Why the library could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error("cannot load {path}")]
    Load { path: String, source: libloading::Error },
    /// The file is a library, but not a libchdb of the version we know.
    #[error("{path} is not a usable libchdb")]
    Symbol { path: String, source: libloading::Error },
}

/// A failed statement, in libchdb's words.
#[derive(Debug)]
pub struct Failure(pub String);

impl Library {
    /// Loads the library and keeps its process-wide signal handlers off, so that SIGTERM and crashes stay the host's.
    pub fn load(path: &Path) -> Result<&'static Self, LibraryError> {
        let shown = || path.display().to_string();
        // SAFETY: loading runs the library's initialisers. The file is the pinned libchdb, whose digest the set-up checked.
        let library = unsafe { libloading::Library::new(path) }
            .map_err(|source| LibraryError::Load { path: shown(), source })?;
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        let library =
            Self::resolve(library).map_err(|source| LibraryError::Symbol { path: shown(), source })?;
        // SAFETY: takes an int and sets a process-wide flag; called before the first connection, as the header asks.
        unsafe { (library.chdb_set_signal_handlers_enabled)(0) };
        Ok(Box::leak(Box::new(library)))
    }

    /// The chDB release, which is not the ClickHouse version.
    pub fn version(&self) -> String {
        // SAFETY: returns a NUL-terminated string that lives as long as the library.
        unsafe { text((self.chdb_version)()) }.unwrap_or_default()
    }

    /// Opens a connection. The first one boots the engine and reads the server's arguments (`--path`, caches, pools);
    /// setting arguments (`--max_threads=2`) hold for this connection only. `None`: libchdb refused and does not say why.
    pub fn connect(&'static self, arguments: &[CString]) -> Option<Connection> {
        let mut argv: Vec<*mut c_char> =
            arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let argc = c_int::try_from(argv.len()).ok()?;
        // SAFETY: argv holds argc NUL-terminated strings that outlive the call; the library copies what it keeps and
        // writes to none of them.
        let handle = unsafe { (self.chdb_connect)(argc, argv.as_mut_ptr()) };
        ptr::NonNull::new(handle).map(|handle| Connection { library: self, handle })
    }

    /// Ends the engine's threads. Every connection must be closed; false: one was not, and nothing happened.
    pub fn shutdown(&self) -> bool {
        // SAFETY: no arguments; with a connection open it does nothing and says so.
        unsafe { (self.chdb_shutdown)() == 0 }
    }

    /// Copies a result and frees it.
    fn result(&self, raw: RawResult) -> Result<QueryResult, Failure> {
        if raw.is_null() {
            return Err(Failure("libchdb returned no result".to_owned()));
        }
        // SAFETY: the handle is live until it is destroyed, once, here; buffer and length belong together, and all is copied
        // before.
        unsafe {
            let error = text((self.chdb_result_error)(raw));
            let (buffer, length) = ((self.chdb_result_buffer)(raw), (self.chdb_result_length)(raw));
            let filled = !buffer.is_null() && length > 0;
            let bytes =
                if filled { slice::from_raw_parts(buffer.cast(), length).to_vec() } else { Vec::new() };
            let counters = Counters {
                result_rows: (self.chdb_result_rows_read)(raw),
                result_bytes: (self.chdb_result_bytes_read)(raw),
                read_rows: (self.chdb_result_storage_rows_read)(raw),
                read_bytes: (self.chdb_result_storage_bytes_read)(raw),
                written_rows: (self.chdb_result_rows_written)(raw),
                written_bytes: (self.chdb_result_bytes_written)(raw),
            };
            (self.chdb_destroy_query_result)(raw);
            error.map_or(Ok(QueryResult { bytes, counters }), |error| Err(Failure(error)))
        }
    }
}

/// What a statement read and wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub result_rows: u64,
    /// In ClickHouse's memory format.
    pub result_bytes: u64,
    pub read_rows: u64,
    pub read_bytes: u64,
    /// Those of materialised views included, as ClickHouse counts them; bytes too.
    pub written_rows: u64,
    pub written_bytes: u64,
}

/// What libchdb's parser says of a text, without running it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analysis {
    /// Statements in the text; 0 when it does not parse.
    pub statements: u32,
    /// True for statements that leave no trace.
    pub read_only: bool,
}

/// One connection: a session with its own settings, current database and temporary tables. It runs one statement at a
/// time, which the `&mut` of each method states; several connections run in parallel.
pub struct Connection {
    library: &'static Library,
    handle: ptr::NonNull<RawConnection>,
}

// SAFETY: a connection has no thread affinity: the header calls the functions thread-safe and asks only that the calls on
// one connection do not overlap, which `&mut self` ensures.
unsafe impl Send for Connection {}

impl Connection {
    fn raw(&self) -> RawConnection {
        // SAFETY: the handle came from chdb_connect and is closed only in drop.
        unsafe { *self.handle.as_ptr() }
    }

    /// Calls one of the two functions that take a statement with parameters.
    fn start(
        &mut self,
        function: Start,
        sql: &[u8],
        format: &str,
        parameters: &[(String, String)],
    ) -> *mut c_void {
        let pointers = |of: fn(&(String, String)) -> &String| -> (Vec<*const c_char>, Vec<usize>) {
            parameters.iter().map(|pair| (of(pair).as_ptr().cast::<c_char>(), of(pair).len())).unzip()
        };
        let (names, name_lengths) = pointers(|(name, _)| name);
        let (values, value_lengths) = pointers(|(_, value)| value);
        // SAFETY: pointers and lengths describe live buffers for the whole call.
        unsafe {
            function(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                parameters.len(),
            )
        }
    }

    /// Runs a statement and returns its whole result, in memory. A SELECT should write into a pipe instead
    /// (`INTO OUTFILE`): the library's own `chdb_stream_query` formats every piece as a document of its own, with header
    /// and footer, which breaks JSON, Parquet and everything `WithNames`.
    pub fn query(
        &mut self,
        sql: &[u8],
        format: &str,
        parameters: &[(String, String)],
    ) -> Result<QueryResult, Failure> {
        let raw = self.start(self.library.chdb_query_with_params_n, sql, format, parameters);
        self.library.result(raw)
    }

    /// Starts an INSERT whose data follows through `append`. `sql` is the statement up to, not including, FORMAT or VALUES.
    pub fn insert(
        &mut self,
        sql: &[u8],
        format: &str,
        parameters: &[(String, String)],
    ) -> Result<Insert<'_>, Failure> {
        // Never null.
        let raw = self.start(self.library.chdb_stream_insert_with_params_n, sql, format, parameters);
        let insert = Insert { connection: self, raw };
        // SAFETY: the handle is live; the string, if any, is copied before anything else happens to it.
        let error = unsafe { text((insert.library().chdb_stream_insert_error)(raw)) };
        error.map_or(Ok(insert), |error| Err(Failure(error)))
    }

    /// Parses a text with this connection's parser and settings. Runs nothing.
    pub fn analyse(&mut self, sql: &[u8]) -> Analysis {
        let mut raw = RawAnalysis { struct_size: 16, statement_count: 0, flags: 0, query_class: 4 };
        // SAFETY: sql is a live buffer, the struct has the size it claims, a null database is allowed.
        unsafe {
            (self.library.chdb_classify_query_n)(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                ptr::null(),
                0,
                &raw mut raw,
            );
        }
        Analysis { statements: raw.statement_count, read_only: raw.query_class == 0 }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: closed once, here; streams and inserts borrow the connection, so none is open.
        unsafe { (self.library.chdb_close_conn)(self.handle.as_ptr()) };
    }
}

/// A finished statement's result, in the format that was asked for, and what it read and wrote.
pub struct QueryResult {
    pub bytes: Vec<u8>,
    pub counters: Counters,
}

/// A running INSERT. Dropped before `finish` it is cancelled: blocks already written stay, as in ClickHouse. The
/// connection's next statement waits until it is gone.
pub struct Insert<'connection> {
    connection: &'connection mut Connection,
    raw: RawInsert,
}

impl Insert<'_> {
    fn library(&self) -> &'static Library {
        self.connection.library
    }

    /// Hands over one piece of data, cut anywhere; blocks while the engine is behind. False: the insert has failed, and
    /// `finish` has the reason.
    pub fn append(&mut self, data: &[u8]) -> bool {
        // SAFETY: the buffer is live for the call, which copies it.
        unsafe { (self.library().chdb_stream_append)(self.raw, data.as_ptr().cast(), data.len()) == 0 }
    }

    /// Ends the data, waits for the commit and returns what was written.
    pub fn finish(self) -> Result<Counters, Failure> {
        // SAFETY: the handle is live; drop destroys it afterwards, as the header requires on every path.
        let result = unsafe { (self.library().chdb_stream_done)(self.raw) };
        Ok(self.library().result(result)?.counters)
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: destroyed once, here; it is not null.
        unsafe { (self.library().chdb_destroy_insert_stream)(self.raw) };
    }
}

/// # Safety
/// `pointer` is null or a NUL-terminated string that lives for the call.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
