//! Just enough of ClickHouse's lexer to route a statement. Pure: bytes in, positions out.
//!
//! Three questions come before libchdb sees a text: where an INSERT's data begins (it is binary and may be gigabytes), where
//! `INTO OUTFILE` can be put into a SELECT, and which format the answer will have. Whether the text is *right* is for
//! ClickHouse's parser alone; when in doubt the text goes to the engine as it came.

use memchr::memmem;

/// How to run a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// Nothing but space and comments.
    Empty,
    /// A SELECT (or WITH, FROM, parenthesised SELECT). INTO OUTFILE goes to `outfile_at`; at `end` the statement ends, before a
    /// semicolon.
    Select { outfile_at: usize, end: usize, format: Option<String> },
    /// `... INTO OUTFILE` by the client.
    IntoOutfile,
    /// `INSERT ... FROM INFILE` by the client.
    FromInfile,
    /// Everything else, INSERT ... SELECT included.
    Other { format: Option<String> },
}

/// Where an INSERT's data begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertHead {
    /// Data in `format` begins at `data_at`; the statement's own text ends at `sql_end`, before FORMAT or VALUES.
    Data { sql_end: usize, format: String, data_at: usize },
    /// Not an INSERT, or one without data of its own.
    NoData,
    /// The text seen so far does not tell.
    NeedMore,
}

#[derive(Clone, Copy, PartialEq, Eq)]
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

#[derive(Clone)]
struct Token<'a> {
    kind: Kind,
    text: &'a [u8],
    start: usize,
    depth: usize,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is(&self, words: &[&str]) -> bool {
        self.kind == Kind::Word && words.iter().any(|word| self.text.eq_ignore_ascii_case(word.as_bytes()))
    }

    fn name(&self) -> String {
        String::from_utf8_lossy(self.text).into_owned()
    }
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

    /// Skips space and comments. False: a comment is not closed.
    fn skip_blank(&mut self) -> bool {
        loop {
            let rest = &self.text[self.position..];
            self.position += match rest {
                [first, ..] if first.is_ascii_whitespace() => 1,
                [b'-', b'-', ..] | [b'#', b' ' | b'!', ..] => {
                    rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1)
                }
                [b'/', b'*', ..] => match memmem::find(&rest[2..], b"*/") {
                    Some(end) => end + 4,
                    None => return false,
                },
                _ => return true,
            };
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let closed = self.skip_blank();
        let start = self.position;
        let rest = &self.text[start..];
        let &first = rest.first()?;
        let mut depth = self.depth;
        let (kind, length) = match first {
            _ if !closed => (Kind::Unclosed, rest.len()),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' => {
                let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
                (Kind::Word, rest.iter().position(|byte| !goes_on(byte)).unwrap_or(rest.len()))
            }
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
        Some(Token { kind, text: &rest[..length], start, depth })
    }
}

/// Length of a quoted token, quotes included: backslash escapes, and a doubled quote stands for itself.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let quote = *text.first()?;
    let mut position = 1;
    loop {
        position += match *text.get(position)? {
            b'\\' => 2,
            byte if byte != quote => 1,
            _ if text.get(position + 1) == Some(&quote) => 2,
            _ => return Some(position + 1),
        };
    }
}

/// `$tag$ ... $tag$`, or a lone dollar.
fn heredoc_length(text: &[u8]) -> (Kind, usize) {
    let tag = 1 + text[1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if text.get(tag) != Some(&b'$') {
        return (Kind::Other, 1);
    }
    let marker = &text[..=tag];
    match memmem::find(&text[marker.len()..], marker) {
        Some(end) => (Kind::Quoted, end + 2 * marker.len()),
        None => (Kind::Unclosed, text.len()),
    }
}

/// Decides how to run a whole text.
pub fn classify(text: &[u8]) -> Statement {
    let mut tokens: Vec<Token<'_>> = Lexer::new(text).collect();
    while tokens.pop_if(|token| token.kind == Kind::Semicolon).is_some() {}
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return Statement::Empty };
    let end = last.end();
    let pair = |one: &str, two: &str| {
        tokens.windows(2).any(|pair| pair[0].depth == 0 && pair[0].is(&[one]) && pair[1].is(&[two]))
    };
    if pair("INTO", "OUTFILE") {
        return Statement::IntoOutfile;
    }
    if first.is(&["INSERT"]) && pair("FROM", "INFILE") {
        return Statement::FromInfile;
    }
    let clause = format_clause(&tokens);
    let format = clause.map(|index| tokens[index + 1].name());
    let inserts = || tokens.iter().any(|token| token.depth == 0 && token.is(&["INSERT"]));
    if first.kind == Kind::Open || first.is(&["SELECT", "FROM"]) || first.is(&["WITH"]) && !inserts() {
        let outfile_at = clause.map_or(end, |index| tokens[index].start);
        Statement::Select { outfile_at, end, format }
    } else {
        Statement::Other { format }
    }
}

/// The index of `FORMAT` in a trailing `FORMAT name [SETTINGS ...]`.
fn format_clause(tokens: &[Token<'_>]) -> Option<usize> {
    let index = (1..tokens.len().checked_sub(1)?)
        .rev()
        .find(|&index| tokens[index].depth == 0 && tokens[index].is(&["FORMAT"]))?;
    let named = tokens[index + 1].kind == Kind::Word;
    let closes =
        tokens.get(index + 2).is_none_or(|next| next.is(&["SETTINGS"]) || next.kind == Kind::Semicolon);
    (named && closes).then_some(index)
}

/// Finds where the data of an INSERT begins. `complete` says that no more text will come.
pub fn insert_head(text: &[u8], complete: bool) -> InsertHead {
    let undecided = if complete { InsertHead::NoData } else { InsertHead::NeedMore };
    let mut lexer = Lexer::new(text);
    let mut previous: Option<Kind> = None;
    let mut target = InsertTarget::default();
    while let Some(token) = lexer.next() {
        // A word that touches the end of the text may go on in the next piece.
        if token.kind == Kind::Unclosed || (token.end() == text.len() && !complete) {
            return undecided;
        }
        let is_first = previous.is_none();
        let opens = token.depth == 1 && previous == Some(Kind::Open);
        previous = Some(token.kind);
        let selects = token.is(&["SELECT", "WITH"]);
        if is_first && !token.is(&["INSERT"]) || token.kind == Kind::Semicolon || opens && selects {
            return InsertHead::NoData;
        }
        if token.depth > 0 || is_first || !target.is_past(&token) {
            continue;
        }
        if selects || token.is(&["WATCH", "FROM"]) {
            return InsertHead::NoData;
        }
        if token.is(&["VALUES"]) {
            let format = "Values".to_owned();
            return InsertHead::Data { sql_end: token.start, format, data_at: token.end() };
        }
        if token.is(&["FORMAT"]) {
            return format_head(text, complete, lexer.next(), token.start);
        }
    }
    undecided
}

/// After FORMAT: the name, spaces, at most one line end; then data.
fn format_head(text: &[u8], complete: bool, name: Option<Token<'_>>, sql_end: usize) -> InsertHead {
    let Some(name) = name.filter(|name| complete || name.end() < text.len()) else {
        return if complete { InsertHead::NoData } else { InsertHead::NeedMore };
    };
    if name.kind != Kind::Word {
        return InsertHead::NoData;
    }
    let mut data_at = name.end();
    data_at += text[data_at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0c)).count();
    data_at += usize::from(text.get(data_at) == Some(&b'\r'));
    match text.get(data_at) {
        Some(b'\n') => data_at += 1,
        None if !complete => return InsertHead::NeedMore,
        _ => {}
    }
    InsertHead::Data { sql_end, format: name.name(), data_at }
}

/// Steps over `[INTO] [TABLE] [FUNCTION] name[.name]`, so that a table named `format` or `values` is a name.
#[derive(Default)]
struct InsertTarget {
    named: bool,
    after_dot: bool,
}

impl InsertTarget {
    fn is_past(&mut self, token: &Token<'_>) -> bool {
        if !self.named {
            self.named = !token.is(&["INTO", "TABLE", "FUNCTION"]);
            return false;
        }
        let was_dot = std::mem::replace(&mut self.after_dot, token.text == b".");
        !was_dot && !self.after_dot
    }
}

#[cfg(test)]
mod tests;
