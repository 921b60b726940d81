//! Errors and their causes. Pure.
//!
//! Two traps of the standard library are handled here once: `std::io::Error::source` skips the error that it wraps, and
//! libraries wrap errors that print their cause, so that a plain join of a chain says everything two or three times.

use std::error::Error;

/// The error, its cause, the cause of that, to the first one.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map_or_else(|| error.source(), |inner| Some(inner));
        Some(error)
    })
}

/// The error of this type among the causes.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref::<E>())
}

/// The first cause, which is the one a person understands: `Connection refused (os error 111)`.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

/// The error and its causes on one line. A cause that is quoted by the text before it is not said again.
pub fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for part in chain(error).map(ToString::to_string) {
        if text.is_empty() {
            text = part;
        } else if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot send")]
    struct Outer(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("no route")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("wrapped: {0}")]
    struct Quoting(#[source] Inner);

    #[test]
    fn a_wrapped_error_is_found_through_io_errors_and_every_cause_is_said_once() {
        let error = Outer(io::Error::other(io::Error::new(io::ErrorKind::InvalidData, Inner)));
        assert!(find::<Inner>(&error).is_some());
        assert!(find::<Quoting>(&error).is_none());
        assert_eq!(text(&error), "cannot send: no route");
        assert_eq!(innermost(&error), "no route");
        assert_eq!(text(&Quoting(Inner)), "wrapped: no route");
    }
}
