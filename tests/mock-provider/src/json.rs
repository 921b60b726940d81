//! Pure. The two things the wire needs and serde_json does not give together: fields in exactly the order they are
//! written, and the indentation that OpenAI uses for bodies that are not streamed.

/// A JSON string literal with its quotes; text beyond ASCII stays raw UTF-8, as both APIs send it.
pub fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always valid JSON")
}

/// `quote`, or `null`.
pub fn quote_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), quote)
}

/// Lays compact JSON out over lines with `width` spaces a level. Empty arrays and objects stay closed, field order
/// is kept, and there is no line feed at the end.
pub fn indent(compact: &str, width: usize) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut previous = ' ';
    for symbol in compact.chars() {
        if in_string {
            out.push(symbol);
            in_string = escaped || symbol != '"';
            escaped = !escaped && symbol == '\\';
            previous = symbol;
            continue;
        }
        let opened = matches!(previous, '{' | '[');
        let closing = matches!(symbol, '}' | ']');
        if closing {
            depth -= 1;
        }
        if opened != closing || (closing && !opened) {
            new_line(&mut out, depth * width);
        }
        match symbol {
            '"' => in_string = true,
            '{' | '[' => depth += 1,
            _ => {}
        }
        out.push(symbol);
        previous = symbol;
        if symbol == ',' {
            new_line(&mut out, depth * width);
        } else if symbol == ':' {
            out.push(' ');
        }
    }
    out
}

fn new_line(out: &mut String, spaces: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', spaces));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(compact: &str, laid_out: &str) {
        assert_eq!(indent(compact, 2), laid_out);
    }

    #[test]
    fn indentation_keeps_order_and_empty_containers() {
        check(r#"{"b":1,"a":[]}"#, "{\n  \"b\": 1,\n  \"a\": []\n}");
        check(r#"{"a":[{"x":{}},2]}"#, "{\n  \"a\": [\n    {\n      \"x\": {}\n    },\n    2\n  ]\n}");
        check("[]", "[]");
    }

    #[test]
    fn structural_characters_inside_strings_are_text() {
        check(r#"{"a":"{,:\"[\\"}"#, "{\n  \"a\": \"{,:\\\"[\\\\\"\n}");
    }
}
