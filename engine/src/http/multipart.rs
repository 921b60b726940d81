//! Multipart forms: parameters in the body, and external tables.
//!
//! Fields are parameters as in the URL (the `clickhouse` crate sends its `param_*` so); parts with a file name are tables that this
//! request alone sees, described by `NAME_structure` (or `NAME_types`) and `NAME_format`. A form is bounded and read whole.

use std::io::{self, BufRead, Read};

use crate::connection;
use crate::errors::{Kind, QueryError};
use crate::ffi::Connection;
use crate::http::body::{after_query, body_error};
use crate::http::request::Request;
use crate::limits;

/// A table that lives for one request.
pub struct ExternalTable {
    name: String,
    structure: String,
    format: String,
    data: Vec<u8>,
}

/// Adds a form's fields to the request and returns the text to run, and the form's tables. Other bodies pass through.
pub fn expand(
    request: &mut Request,
    body: Box<dyn BufRead + Send>,
) -> Result<(Box<dyn BufRead + Send>, Vec<ExternalTable>), QueryError> {
    let Some(boundary) = request.boundary.take() else {
        return Ok((after_query(&request.query, body), Vec::new()));
    };
    let most = limits::STATEMENT_BYTES_MAX;
    let mut form = Vec::new();
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    body.take(bound).read_to_end(&mut form).map_err(body_error)?;
    if form.len() > most {
        let message = format!("The form is larger than {most} bytes");
        return Err(QueryError::new(Kind::QUERY_IS_TOO_LARGE, message));
    }
    let mut files = Vec::new();
    for part in parts(&form, &boundary)? {
        if part.is_file {
            files.push(part);
        } else {
            request.take_field(part.name, part.data.to_vec())?;
        }
    }
    let tables = files.into_iter().map(|file| describe(request, file)).collect::<Result<_, _>>()?;
    Ok((after_query(&request.query, Box::new(io::empty())), tables))
}

/// Takes the description of a table out of the parameters.
fn describe(request: &mut Request, Part { name, data, .. }: Part<'_>) -> Result<ExternalTable, QueryError> {
    let mut described = |what: &str| {
        let key = format!("{name}_{what}");
        let at = request.settings.iter().position(|(setting, _)| *setting == key)?;
        Some(request.settings.remove(at).1)
    };
    let (structure, types, format) = (described("structure"), described("types"), described("format"));
    // With types alone the columns are _1, _2 and so on.
    let numbered = |types: String| {
        let columns = types.split(',').zip(1..).map(|(kind, number)| format!("_{number} {}", kind.trim()));
        columns.collect::<Vec<_>>().join(", ")
    };
    let structure = structure.or_else(|| types.map(numbered)).ok_or_else(|| {
        let message = format!("The external table {name} has neither {name}_structure nor {name}_types");
        QueryError::new(Kind::BAD_ARGUMENTS, message)
    })?;
    let format = format.unwrap_or_else(|| "TabSeparated".to_owned());
    Ok(ExternalTable { name, structure, format, data: data.to_vec() })
}

impl ExternalTable {
    /// Makes it, with its rows.
    pub fn create(&self, connection: &mut Connection) -> Result<(), QueryError> {
        let name = connection::identifier(&self.name);
        connection::run(connection, &format!("CREATE TEMPORARY TABLE {name} ({})", self.structure))?;
        let mut insert = connection.insert(format!("INSERT INTO {name}").as_bytes(), &self.format, &[])?;
        // A refusal here is reported by finish.
        let _ = insert.append(&self.data);
        insert.finish()?;
        Ok(())
    }

    /// Removes it from a session.
    pub fn remove(&self, connection: &mut Connection) -> Result<(), QueryError> {
        let name = connection::identifier(&self.name);
        connection::run(connection, &format!("DROP TEMPORARY TABLE IF EXISTS {name}"))
    }
}

struct Part<'form> {
    name: String,
    is_file: bool,
    data: &'form [u8],
}

/// Splits a form (RFC 7578). The data of a part is bytes up to the next boundary line.
fn parts<'form>(form: &'form [u8], boundary: &str) -> Result<Vec<Part<'form>>, QueryError> {
    let malformed =
        |what: &str| QueryError::new(Kind::BAD_ARGUMENTS, format!("Malformed multipart form: {what}"));
    let separator = format!("\r\n--{boundary}");
    let mut rest =
        form.strip_prefix(&separator.as_bytes()[2..]).ok_or_else(|| malformed("no boundary at its start"))?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let part = rest.strip_prefix(b"\r\n").ok_or_else(|| malformed("no line end after a boundary"))?;
        let (part, after) = split(part, separator.as_bytes()).ok_or_else(|| malformed("no last boundary"))?;
        rest = after;
        let (head, data) = split(part, b"\r\n\r\n").ok_or_else(|| malformed("a part without a head"))?;
        let head = String::from_utf8_lossy(head);
        let disposition = head
            .split("\r\n")
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))
            .ok_or_else(|| malformed("a part without a disposition"))?;
        let attribute = |name: &str| {
            let items = disposition.split(';').skip(1).map(str::trim);
            items.filter_map(|item| item.split_once('=')).find(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let (_, name) = attribute("name").ok_or_else(|| malformed("a part without a name"))?;
        let is_file = attribute("filename").is_some();
        parts.push(Part { name: name.trim_matches('"').to_owned(), is_file, data });
    }
    Ok(parts)
}

fn split<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = memchr::memmem::find(text, at)?;
    Some((&text[..start], &text[start + at.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT\r\n1\r\n--b\r\n\
        content-disposition: form-data; name=ids; filename=\"x\"\r\nContent-Type: text/plain\r\n\r\n1\n\0\r\n--b--\r\n";

    #[test]
    fn a_cut_form_is_refused_at_every_length() {
        for cut in 0..FORM.len() - 4 {
            assert!(parts(&FORM[..cut], "b").is_err(), "{cut}");
        }
    }

    #[test]
    fn fields_and_files_are_told_apart_and_a_table_takes_its_description_from_the_parameters() {
        let settings = [("ids_types", "UInt8, String"), ("max_threads", "1")];
        let mut request = Request { boundary: Some("b".to_owned()), ..Request::default() };
        request.settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let (mut text, tables) = expand(&mut request, Box::new(FORM)).unwrap();
        let mut query = String::new();
        text.read_to_string(&mut query).unwrap();
        assert_eq!((query.as_str(), request.settings.len()), ("SELECT\r\n1\n", 1));
        let ids = &tables[0];
        assert_eq!((ids.name.as_str(), ids.structure.as_str()), ("ids", "_1 UInt8, _2 String"));
        assert_eq!((tables.len(), ids.data.as_slice()), (1, &b"1\n\0"[..]));
    }
}
