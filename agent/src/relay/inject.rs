//! Injects a request for usage into a stream whose client left it open. Pure.
//!
//! Without `stream_options.include_usage` such a stream carries no token counts, and a bill that guesses is not a bill. The
//! member is spliced into the client's bytes; every other byte stays as it is. A client that said yes or no is respected.
//! Must never touch a body it does not understand to the last byte: whatever is doubtful (not JSON, the field given twice,
//! an escape in a name) is forwarded as it came, and costs an estimate instead of a count.

use std::ops::Range;

use crate::wire::json::unique_members;

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

/// The body of a chat completion that asks for usage; [`super::strip`] undoes in the response what comes of it.
pub fn inject_usage(body: &[u8]) -> Result<Vec<u8>, NotInjected> {
    let (place, insert) = find_place(body)?;
    let mut injected = Vec::with_capacity(body.len() + insert.len());
    injected.extend_from_slice(&body[..place.start]);
    injected.extend_from_slice(insert.as_bytes());
    injected.extend_from_slice(&body[place.end..]);
    Ok(injected)
}

fn find_place(body: &[u8]) -> Result<(Range<usize>, &'static str), NotInjected> {
    // Most of a body is text; checking all of it at once is faster than string by string.
    std::str::from_utf8(body).map_err(|_| NotInjected::NotUnderstood)?;
    let [stream, options] =
        unique_members(body, ["stream", "stream_options"]).ok_or(NotInjected::NotUnderstood)?;
    if stream.is_none_or(|member| &body[member.value] != b"true") {
        return Err(NotInjected::NotAStream);
    }
    let Some(options) = options.map(|member| member.value) else {
        // `stream` follows, so the comma is right.
        let behind_bracket = body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
        return Ok((behind_bracket..behind_bracket, r#""stream_options":{"include_usage":true},"#));
    };
    if &body[options.clone()] == b"null" {
        return Ok((options, r#"{"include_usage":true}"#));
    }
    let [decision] =
        unique_members(&body[options.clone()], ["include_usage"]).ok_or(NotInjected::NotUnderstood)?;
    if decision.is_some() {
        return Err(NotInjected::ClientDecided);
    }
    let is_empty = body[options.start + 1..options.end - 1].trim_ascii().is_empty();
    let place = options.start + 1..options.start + 1;
    Ok((place, if is_empty { r#""include_usage":true"# } else { r#""include_usage":true,"# }))
}

#[cfg(test)]
mod tests;
