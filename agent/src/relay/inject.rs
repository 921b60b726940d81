//! Injects a request for usage into a stream whose client left it open. Pure.
//!
//! Without `stream_options.include_usage` such a stream carries no token counts at all. The member is spliced into the
//! client's bytes; every other byte stays as it is, so nothing is reordered, reformatted or rounded. A client that
//! said yes or no is respected. Must never touch a body it does not understand to the last byte: whatever is
//! doubtful (not JSON, the field given twice, an escape in a name) is forwarded as it came, and costs an estimate
//! instead of a count.

use std::ops::Range;

use crate::wire::json::members;

/// Why a body is sent as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInjected {
    /// No stream is asked for.
    NotAStream,
    /// The client itself said whether it wants usage.
    ClientDecided,
    /// The body is not understood to the last byte.
    NotUnderstood,
}

/// The body of a chat completion that asks for usage; its response has one chunk, and perhaps a `"usage":null` in every
/// other, that the client must not see.
///
/// # Errors
/// When the body is to be sent as it came.
pub fn inject_usage(body: &[u8]) -> Result<Vec<u8>, NotInjected> {
    let (place, insert) = find_place(body)?;
    let mut injected = Vec::with_capacity(body.len() + insert.len());
    injected.extend_from_slice(&body[..place.start]);
    injected.extend_from_slice(insert.as_bytes());
    injected.extend_from_slice(&body[place.end..]);
    Ok(injected)
}

/// What is to be replaced, and by what.
fn find_place(body: &[u8]) -> Result<(Range<usize>, &'static str), NotInjected> {
    // Most of a body is text; checking all of it at once is faster than string by string.
    std::str::from_utf8(body).map_err(|_| NotInjected::NotUnderstood)?;
    let [stream, options] = unique_members(body, ["stream", "stream_options"])?;
    if stream.is_none_or(|value| &body[value] != b"true") {
        return Err(NotInjected::NotAStream);
    }
    let Some(options) = options else {
        // `stream` follows, so the comma is right.
        let behind_bracket = body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
        return Ok((behind_bracket..behind_bracket, r#""stream_options":{"include_usage":true},"#));
    };
    if &body[options.clone()] == b"null" {
        return Ok((options, r#"{"include_usage":true}"#));
    }
    if let [Some(_)] = unique_members(&body[options.clone()], ["include_usage"])? {
        return Err(NotInjected::ClientDecided);
    }
    let is_empty = body[options.start + 1..options.end - 1].trim_ascii().is_empty();
    let place = options.start + 1..options.start + 1;
    Ok((place, if is_empty { r#""include_usage":true"# } else { r#""include_usage":true,"# }))
}

/// Where the values of these members of an object are, each of which may be there once.
fn unique_members<const N: usize>(
    object: &[u8],
    names: [&str; N],
) -> Result<[Option<Range<usize>>; N], NotInjected> {
    let mut found = [const { None }; N];
    let mut is_doubtful = false;
    members(object, |member| {
        is_doubtful |= member.has_escapes;
        if let Some(at) = names.iter().position(|name| name.as_bytes() == member.name) {
            is_doubtful |= found[at].replace(member.value).is_some();
        }
    })
    .map_err(|_| NotInjected::NotUnderstood)?;
    if is_doubtful { Err(NotInjected::NotUnderstood) } else { Ok(found) }
}

#[cfg(test)]
mod tests;
