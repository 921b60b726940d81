//! Just enough of ClickHouse's lexer to route a statement. Pure: bytes in, positions out.
//!
//! Three questions must be answered before libchdb sees a text: where an INSERT's text ends and its data begins (the data is
//! binary and may be gigabytes, so it must not be read first), where `INTO OUTFILE` can be put into a SELECT, and which
//! format the answer will have. Whether the text is *right* is for ClickHouse's parser alone; when in doubt these functions
//! say `Other` and the text goes to the engine as it came.

use std::ops::Range;

/// How to run a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// Nothing but space and comments.
    Empty,
    /// A SELECT (or WITH, FROM, parenthesised SELECT). `outfile_at` is where an INTO OUTFILE clause goes, `end` is where the
    /// statement ends, before a semicolon.
    Select {
        /// Insertion point of INTO OUTFILE.
        outfile_at: usize,
        /// End of the statement.
        end: usize,
        /// The FORMAT clause.
        format: Option<String>,
    },
    /// `... INTO OUTFILE` by the client.
    IntoOutfile,
    /// `INSERT ... FROM INFILE` by the client.
    FromInfile,
    /// Everything else, INSERT ... SELECT included.
    Other {
        /// The FORMAT clause.
        format: Option<String>,
    },
}

/// Where an INSERT's data begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertHead {
    /// Data in `format` begins at `data_at`; the statement is the text before `sql_end`.
    Data {
        /// End of the statement's own text, before FORMAT or VALUES.
        sql_end: usize,
        /// The input format.
        format: String,
        /// First byte of data.
        data_at: usize,
    },
    /// Not an INSERT, or one without data of its own.
    NoData,
    /// The text seen so far does not tell.
    NeedMore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Open,
    Close,
    Semicolon,
    Other,
    /// A quote or comment that the text does not close.
    Unclosed,
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    at: Range<usize>,
    depth: usize,
}

struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
    depth: usize,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, position: 0, depth: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.position..]
    }

    /// Skips space and comments. False: a comment is not closed.
    fn skip_blank(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let skipped = match rest {
                [first, ..] if first.is_ascii_whitespace() => 1,
                [b'-', b'-', ..] | [b'#', b' ' | b'!', ..] => {
                    rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1)
                }
                [b'/', b'*', ..] => match find(&rest[2..], b"*/") {
                    Some(end) => end + 4,
                    None => return false,
                },
                _ => return true,
            };
            self.position += skipped;
        }
    }

    fn next(&mut self) -> Option<Token> {
        let closed = self.skip_blank();
        let start = self.position;
        if !closed {
            self.position = self.text.len();
            return Some(Token { kind: Kind::Unclosed, at: start..self.text.len(), depth: self.depth });
        }
        let rest = self.rest();
        let &first = rest.first()?;
        let mut depth = self.depth;
        let (kind, length) = match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' => (Kind::Word, word_length(rest)),
            b'\'' | b'"' | b'`' => {
                quoted_length(rest).map_or((Kind::Unclosed, rest.len()), |length| (Kind::Quoted, length))
            }
            b'$' => heredoc_length(rest),
            b'(' | b'[' | b'{' => {
                self.depth += 1;
                (Kind::Open, 1)
            }
            b')' | b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                depth = self.depth;
                (Kind::Close, 1)
            }
            b';' => (Kind::Semicolon, 1),
            _ => (Kind::Other, 1),
        };
        self.position += length;
        Some(Token { kind, at: start..start + length, depth })
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn word_length(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')))
        .unwrap_or(text.len())
}

/// Length of a quoted token, quotes included: backslash escapes, and a doubled quote stands for itself.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let quote = *text.first()?;
    let mut position = 1;
    while position < text.len() {
        match text[position] {
            b'\\' => position += 2,
            byte if byte == quote => {
                if text.get(position + 1) == Some(&quote) {
                    position += 2;
                } else {
                    return Some(position + 1);
                }
            }
            _ => position += 1,
        }
    }
    None
}

/// `$tag$ ... $tag$`, or a lone dollar.
fn heredoc_length(text: &[u8]) -> (Kind, usize) {
    let tag = 1 + text[1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if text.get(tag) != Some(&b'$') {
        return (Kind::Other, 1);
    }
    let marker = &text[..=tag];
    match find(&text[marker.len()..], marker) {
        Some(end) => (Kind::Quoted, end + 2 * marker.len()),
        None => (Kind::Unclosed, text.len()),
    }
}

fn is_word(text: &[u8], token: &Token, word: &str) -> bool {
    token.kind == Kind::Word && text[token.at.clone()].eq_ignore_ascii_case(word.as_bytes())
}

fn word_text(text: &[u8], token: &Token) -> String {
    String::from_utf8_lossy(&text[token.at.clone()]).into_owned()
}

/// Decides how to run a whole text.
pub fn classify(text: &[u8]) -> Statement {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next() {
        tokens.push(token);
    }
    while tokens.last().is_some_and(|token| token.kind == Kind::Semicolon) {
        tokens.pop();
    }
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return Statement::Empty };
    let end = last.at.end;
    let pair = |one: &str, two: &str| {
        tokens
            .windows(2)
            .any(|pair| pair[0].depth == 0 && is_word(text, &pair[0], one) && is_word(text, &pair[1], two))
    };
    if pair("INTO", "OUTFILE") {
        return Statement::IntoOutfile;
    }
    if is_word(text, first, "INSERT") && pair("FROM", "INFILE") {
        return Statement::FromInfile;
    }
    let clause = format_clause(text, &tokens);
    let format = clause.map(|index| word_text(text, &tokens[index + 1]));
    let inserts = tokens.iter().any(|token| token.depth == 0 && is_word(text, token, "INSERT"));
    let selects = first.kind == Kind::Open
        || ["SELECT", "FROM"].iter().any(|word| is_word(text, first, word))
        || is_word(text, first, "WITH") && !inserts;
    if selects {
        let outfile_at = clause.map_or(end, |index| tokens[index].at.start);
        Statement::Select { outfile_at, end, format }
    } else {
        Statement::Other { format }
    }
}

/// The index of `FORMAT` in a trailing `FORMAT name [SETTINGS ...]`.
fn format_clause(text: &[u8], tokens: &[Token]) -> Option<usize> {
    let index = (1..tokens.len().checked_sub(1)?)
        .rev()
        .find(|&index| tokens[index].depth == 0 && is_word(text, &tokens[index], "FORMAT"))?;
    let named = tokens[index + 1].kind == Kind::Word;
    let closes = tokens
        .get(index + 2)
        .is_none_or(|next| is_word(text, next, "SETTINGS") || next.kind == Kind::Semicolon);
    (named && closes).then_some(index)
}

/// True when the text begins like an INSERT, or is too short to tell.
pub fn may_insert(text: &[u8]) -> bool {
    let mut lexer = Lexer::new(text);
    match lexer.next() {
        None => true,
        Some(token) if token.kind == Kind::Unclosed || token.at.end == text.len() => true,
        Some(token) => is_word(text, &token, "INSERT"),
    }
}

/// Finds where the data of an INSERT begins. `complete` says that no more text will come.
pub fn insert_head(text: &[u8], complete: bool) -> InsertHead {
    let undecided = if complete { InsertHead::NoData } else { InsertHead::NeedMore };
    let mut lexer = Lexer::new(text);
    let mut previous: Option<Token> = None;
    let mut names = InsertTarget::default();
    while let Some(token) = lexer.next() {
        // A word that touches the end of the text may go on in the next piece.
        if token.kind == Kind::Unclosed || (token.at.end == text.len() && !complete) {
            return undecided;
        }
        let is_first = previous.is_none();
        if is_first && !is_word(text, &token, "INSERT") {
            return InsertHead::NoData;
        }
        if token.kind == Kind::Semicolon {
            return InsertHead::NoData;
        }
        let first_in_parentheses =
            token.depth == 1 && previous.as_ref().is_some_and(|previous| previous.kind == Kind::Open);
        let selects = ["SELECT", "WITH"].iter().any(|word| is_word(text, &token, word));
        if first_in_parentheses && selects {
            return InsertHead::NoData;
        }
        if token.depth == 0 && !is_first && names.past_target(text, &token) {
            if selects || ["WATCH", "FROM"].iter().any(|word| is_word(text, &token, word)) {
                return InsertHead::NoData;
            }
            if is_word(text, &token, "VALUES") {
                let format = "Values".to_owned();
                return InsertHead::Data { sql_end: token.at.start, format, data_at: token.at.end };
            }
            if is_word(text, &token, "FORMAT") {
                return format_head(text, complete, &mut lexer, token.at.start);
            }
        }
        previous = Some(token);
    }
    undecided
}

/// After FORMAT: the name, spaces, at most one line end; then data.
fn format_head(text: &[u8], complete: bool, lexer: &mut Lexer<'_>, sql_end: usize) -> InsertHead {
    let undecided = if complete { InsertHead::NoData } else { InsertHead::NeedMore };
    let Some(name) = lexer.next() else { return undecided };
    if name.at.end == text.len() && !complete {
        return InsertHead::NeedMore;
    }
    if name.kind != Kind::Word {
        return InsertHead::NoData;
    }
    let mut data_at = name.at.end;
    data_at += text[data_at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0c)).count();
    if text.get(data_at) == Some(&b'\r') {
        data_at += 1;
    }
    if text.get(data_at) == Some(&b'\n') {
        data_at += 1;
    } else if data_at == text.len() && !complete {
        return InsertHead::NeedMore;
    }
    InsertHead::Data { sql_end, format: word_text(text, &name), data_at }
}

/// Steps over `[INTO] [TABLE] [FUNCTION] name[.name]`, so that a table named `format` or `values` is a name.
#[derive(Default)]
struct InsertTarget {
    named: bool,
    after_dot: bool,
}

impl InsertTarget {
    fn past_target(&mut self, text: &[u8], token: &Token) -> bool {
        if !self.named {
            let keyword = ["INTO", "TABLE", "FUNCTION"].iter().any(|word| is_word(text, token, word));
            self.named = !keyword;
            return false;
        }
        if self.after_dot {
            self.after_dot = false;
            return false;
        }
        self.after_dot = &text[token.at.clone()] == b".";
        !self.after_dot
    }
}

#[cfg(test)]
mod tests;
