//! A `.sql` file as its statements. Pure.
//!
//! ClickHouse runs one statement a request, so a file is cut at its semicolons; those within quotes and comments are none.

/// The statements of a file, comments and surrounding space left out.
pub(crate) fn statements(sql: &str) -> Vec<String> {
    let mut list = Vec::new();
    let mut statement = String::new();
    let mut rest = sql;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '\'' | '`' | '"' => quoted(rest, next),
            '-' if rest.starts_with("--") => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '/' if rest.starts_with("/*") => {
                rest = &rest[rest.find("*/").map_or(rest.len(), |end| end + 2)..];
                continue;
            }
            ';' => {
                push(&mut list, &mut statement);
                rest = &rest[1..];
                continue;
            }
            _ => next.len_utf8(),
        };
        statement.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    push(&mut list, &mut statement);
    list
}

/// Bytes of the quoted text that `rest` begins with, quotes included. A doubled or escaped quote does not end it.
fn quoted(rest: &str, quote: char) -> usize {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    rest.len()
}

/// Lines that held nothing but a comment leave no empty line behind.
fn push(list: &mut Vec<String>, statement: &mut String) {
    let lines: Vec<&str> = statement.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if !lines.is_empty() {
        list.push(lines.join("\n"));
    }
    statement.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_end_a_statement() {
        for (sql, expected) in [
            ("", vec![]),
            ("-- only; a comment", vec![]),
            ("SELECT 1", vec!["SELECT 1"]),
            ("SELECT 1;\n\n-- a; b\nSELECT 2;\n", vec!["SELECT 1", "SELECT 2"]),
            ("SELECT 'a;b', 'it''s; fine'; SELECT 3", vec!["SELECT 'a;b', 'it''s; fine'", " SELECT 3"]),
            (r"SELECT 'a\';b'; SELECT `c;d`", vec![r"SELECT 'a\';b'", " SELECT `c;d`"]),
            ("/* x; */SELECT '-- no comment;'", vec!["SELECT '-- no comment;'"]),
            ("SELECT 'unfinished; ", vec!["SELECT 'unfinished;"]),
            (";;", vec![]),
        ] {
            assert_eq!(statements(sql), expected, "{sql}");
        }
    }

    #[test]
    fn a_comment_between_lines_leaves_no_line() {
        assert_eq!(statements("CREATE TABLE t\n-- why\n(a Int8);"), ["CREATE TABLE t\n(a Int8)"]);
    }
}
