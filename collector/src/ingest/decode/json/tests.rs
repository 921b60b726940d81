//! What senders of OTLP JSON write, and what nobody may.

use super::*;

fn span(json: &str) -> trace::Span {
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{json}]}}]}}]}}"#);
    decode(body.as_bytes()).unwrap().resource_spans[0].scope_spans[0].spans[0].clone()
}

/// The example of opentelemetry-proto, examples/trace.json, with the fields we do not read.
const EXAMPLE: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
"scopeSpans":[{"scope":{"name":"my.library","version":"1.0.0","attributes":[{"key":"my.scope.attribute","value":{"stringValue":"x"}}]},
"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span",
"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000","kind":2,"flags":257,"traceState":"a=b",
"events":[{"name":"e","timeUnixNano":"1"}],"links":[],
"attributes":[{"key":"my.span.attr","value":{"stringValue":"some value"}}]}]}],"schemaUrl":"https://x"}]}"#;

#[test]
fn the_example_of_the_specification_is_read() {
    let request = decode(EXAMPLE.as_bytes()).unwrap();
    let resource = &request.resource_spans[0];
    assert_eq!(resource.resource.as_ref().unwrap().attributes[0].key, "service.name");
    let span = &resource.scope_spans[0].spans[0];
    assert_eq!(span.trace_id[..3], [0x5b, 0x8e, 0xff]);
    assert_eq!(span.span_id.len(), 8);
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 1_000_000_000);
    assert_eq!(resource.scope_spans[0].scope.as_ref().unwrap().name, "my.library");
}

#[test]
fn the_freedoms_of_the_mapping_are_taken() {
    for (json, start, code) in [
        (r#"{"startTimeUnixNano":"5","status":{"code":2}}"#, 5, 2),
        (r#"{"startTimeUnixNano":5,"status":{"code":"STATUS_CODE_ERROR"}}"#, 5, 2),
        (r#"{"start_time_unix_nano":5.0,"status":{"code":"STATUS_CODE_OK","message":"m"}}"#, 5, 1),
        (r#"{"startTimeUnixNano":null,"attributes":null,"status":null,"name":null,"traceId":null}"#, 0, 0),
        (r#"{"startTimeUnixNano":"18446744073709551615","status":{"code":"STATUS_CODE_NEW"}}"#, u64::MAX, 0),
        (r#"{"startTimeUnixNano":-1,"brandNew":{"deep":[1,{"er":null}]}}"#, 0, 0),
    ] {
        let span = span(json);
        assert_eq!(
            (span.start_time_unix_nano, span.status.unwrap_or_default().code),
            (start, code),
            "{json}"
        );
    }
}

#[test]
fn every_kind_of_value_is_read() {
    let value = |json: &str| {
        let span = span(&format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#));
        span.attributes[0].value.clone().unwrap().value
    };
    assert_eq!(value(r#"{"intValue":"-7"}"#), Some(Value::IntValue(-7)));
    assert_eq!(value(r#"{"intValue":7}"#), Some(Value::IntValue(7)));
    assert_eq!(value(r#"{"int_value":7}"#), Some(Value::IntValue(7)));
    assert_eq!(value(r#"{"doubleValue":0.5}"#), Some(Value::DoubleValue(0.5)));
    assert_eq!(value(r#"{"doubleValue":2}"#), Some(Value::DoubleValue(2.0)));
    assert_eq!(value(r#"{"doubleValue":"Infinity"}"#), Some(Value::DoubleValue(f64::INFINITY)));
    assert_eq!(value(r#"{"doubleValue":"-Infinity"}"#), Some(Value::DoubleValue(f64::NEG_INFINITY)));
    for too_large in ["1e400", "-1e400", "\"1e400\""] {
        assert_eq!(value(&format!(r#"{{"doubleValue":{too_large}}}"#)), None, "{too_large}");
    }
    assert_eq!(value(r#"{"boolValue":true}"#), Some(Value::BoolValue(true)));
    assert_eq!(value(r#"{"stringValue":""}"#), Some(Value::StringValue(String::new())));
    assert_eq!(value(r#"{"intValue":"9223372036854775808"}"#), None);
    assert_eq!(value("{}"), None);
    // A fast reader takes 1e23's neighbour for it; Protocol Buffers carry the bits.
    for text in
        ["1e23", "0.1", "5e-324", "2.2250738585072014e-308", "123456789.123456789", "0.30000000000000004"]
    {
        let exact: f64 = text.parse().unwrap();
        let Some(Value::DoubleValue(read)) = value(&format!(r#"{{"doubleValue":{text}}}"#)) else {
            panic!("{text}")
        };
        assert_eq!(read.to_bits(), exact.to_bits(), "{text}");
    }
    for text in ["+/8=", "+/8", "-_8=", "-_8"] {
        assert_eq!(
            value(&format!(r#"{{"bytesValue":"{text}"}}"#)),
            Some(Value::BytesValue(vec![0xfb, 0xff])),
            "{text}"
        );
    }
    assert_eq!(value(r#"{"bytesValue":"no base64!"}"#), None);
    let Some(Value::ArrayValue(list)) = value(r#"{"arrayValue":{"values":[{"stringValue":"stop"}]}}"#) else {
        panic!("not a list")
    };
    assert_eq!(list.values.len(), 1);
    let Some(Value::KvlistValue(list)) = value(r#"{"kvlistValue":{"values":[{"key":"a"}]}}"#) else {
        panic!("not a map")
    };
    assert_eq!(list.values[0].key, "a");
}

#[test]
fn an_id_that_is_none_spoils_its_span_only() {
    for id in ["W47/95gDgQPSabYzgT/GDA==", "5B8", "xx", ""] {
        assert!(span(&format!(r#"{{"traceId":"{id}"}}"#)).trace_id.is_empty(), "{id}");
    }
}

#[test]
fn an_empty_request_is_a_request() {
    for body in ["{}", r#"{"resourceSpans":null}"#, r#"{"resourceSpans":[]}"#, r#"{"brandNew":[1]}"#] {
        assert_eq!(decode(body.as_bytes()).unwrap(), ExportTraceServiceRequest::default(), "{body}");
    }
}

#[test]
fn what_is_not_a_request_says_why() {
    let deep =
        (0..100).fold("{}".to_owned(), |value, _| format!(r#"{{"arrayValue":{{"values":[{value}]}}}}"#));
    for (body, part) in [
        ("", "EOF"),
        ("[]", "expected"),
        (r#"{"resourceLogs":[]}"#, "takes traces"),
        (r#"{"resource_metrics":[]}"#, "takes traces"),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"soon"}]}]}]}"#, "soon"),
        (r#"{"resourceSpans":5}"#, "sequence"),
        (
            &format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"value":{deep}}}]}}}}]}}"#),
            "recursion",
        ),
        ("{\"resourceSpans\":[\u{0}", "line 1"),
    ] {
        let text = decode(body.as_bytes()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains(part), "{body:.60}: {text}");
    }
    assert!(decode(b"{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"\xff\"}]}}]}").is_err());
}

#[test]
fn half_a_character_costs_neither_its_request_nor_its_text() {
    let read = |text: &str| {
        let json = format!(
            r#"{{"name":"{text}","attributes":[{{"key":"k","value":{{"stringValue":"a{text}b"}}}}]}}"#
        );
        let span = span(&json);
        (span.name.clone(), span.attributes[0].value.clone().unwrap().value.unwrap())
    };
    for (text, expected) in [(r"\ud83d", "\u{fffd}"), (r"\ude00", "\u{fffd}"), (r"\ud83d\ude00", "\u{1f600}")]
    {
        assert_eq!(read(text), (expected.to_owned(), Value::StringValue(format!("a{expected}b"))), "{text}");
    }
    let broken = decode(br#"{"a":"\ud83d","resourceSpans":[}"#).unwrap_err();
    assert!(broken.is_syntax() && !broken.to_string().contains("surrogate"), "{broken}");
}
