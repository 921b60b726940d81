//! The call's place in the caller's trace (W3C Trace Context). Pure but for the random ids.
//!
//! A valid `traceparent` of a recorded call passes on with our span as the parent, so that what the upstream adds hangs below
//! it; `tracestate` passes untouched. A request without one gets none: the upstream sees it exactly as the client made it.
//! An invalid one passes untouched and is not used, as the specification asks of those who cannot read it.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use ledgerline_proto::{SpanId, TraceId};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The caller's trace, or a new one.
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub parent_span_id: Option<SpanId>,
}

impl TraceContext {
    pub fn of(headers: &HeaderMap) -> Self {
        let caller = single(headers).and_then(parse);
        Self {
            trace_id: caller.map_or_else(|| random(TraceId::from_bytes), |(trace_id, _)| trace_id),
            span_id: random(SpanId::from_bytes),
            parent_span_id: caller.map(|(_, span_id)| span_id),
        }
    }

    /// Puts our span into the headers this was read from. Only for a call that is recorded.
    pub fn pass_on(&self, headers: &mut HeaderMap) {
        if self.parent_span_id.is_some()
            && let Some(value) = single(headers)
            // Version, trace, flags and what may follow are kept.
            && let Ok(value) = HeaderValue::try_from(format!("{}{}{}", &value[..36], self.span_id, &value[52..]))
        {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// The one value; two of them contradict each other.
fn single(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

/// `00-{32 hex}-{16 hex}-{2 hex}`, lower case. A later version may append fields after another dash.
fn parse(value: &str) -> Option<(TraceId, SpanId)> {
    let mut fields = value.splitn(5, '-');
    let mut next = |length| {
        let is_lower_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fields.next().filter(|field| field.len() == length && is_lower_hex(field))
    };
    let (version, trace, parent, _flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    if version == "ff" || (version == "00" && fields.next().is_some()) {
        return None;
    }
    Some((TraceId::from_hex(trace)?, SpanId::from_hex(parent)?))
}

/// An id of random bytes; all zeros are none.
fn random<const N: usize, Id>(id: fn([u8; N]) -> Option<Id>) -> Id {
    loop {
        let mut bytes = [0; N];
        rand::fill(&mut bytes[..]);
        if let Some(id) = id(bytes) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continue_trace(headers: &mut HeaderMap) -> TraceContext {
        let context = TraceContext::of(headers);
        context.pass_on(headers);
        context
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_callers_trace_goes_on_with_our_span_as_parent() {
        for (version, rest) in [("00", ""), ("01", "-future")] {
            let mut headers = with(&format!("{version}-{TRACE}-{PARENT}-01{rest}"));
            let context = continue_trace(&mut headers);
            assert_eq!(context.trace_id.to_string(), TRACE);
            assert_eq!(context.parent_span_id.unwrap().to_string(), PARENT);
            let passed_on = headers[TRACEPARENT].to_str().unwrap();
            assert_eq!(passed_on, format!("{version}-{TRACE}-{}-01{rest}", context.span_id));
        }
    }

    #[test]
    fn without_a_valid_header_nothing_is_added_or_changed() {
        let mut none = HeaderMap::new();
        let first = continue_trace(&mut none);
        let second = continue_trace(&mut none);
        assert!(none.is_empty() && first.parent_span_id.is_none());
        assert!(first.trace_id != second.trace_id && first.span_id != second.span_id);
        let zero = "0".repeat(32);
        for bad in [
            "",
            "garbage",
            &format!("ff-{TRACE}-{PARENT}-01"),
            &format!("00-{TRACE}-{PARENT}-01-more"),
            &format!("00-{zero}-{PARENT}-01"),
            &format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-{PARENT}-0"),
        ] {
            let mut headers = with(bad);
            assert_eq!(continue_trace(&mut headers).parent_span_id, None, "{bad}");
            assert_eq!(headers, with(bad));
        }
        let mut twice = with(&format!("00-{TRACE}-{PARENT}-01"));
        twice.append(TRACEPARENT, HeaderValue::from_str(&format!("00-{TRACE}-{PARENT}-00")).unwrap());
        assert_eq!(continue_trace(&mut twice).parent_span_id, None);
        assert_eq!(twice.get_all(TRACEPARENT).iter().count(), 2);
    }
}
