//! Asks an OpenAI stream for its usage where the client left that open. Pure.
//!
//! Without `stream_options.include_usage` such a stream carries no token counts at all. The member is spliced into the
//! client's bytes; every other byte stays as it is, so nothing is reordered, reformatted or rounded. A client that
//! said yes or no is respected. Must never touch a body it does not understand to the last byte: whatever is
//! doubtful (not JSON, a name given twice, an escape in a name, deep nesting) is forwarded as it came, and costs an
//! estimate instead of a count.

/// Nesting of a body that is followed.
pub const DEPTH_MAX: usize = 64;

/// Members of an object whose names are compared.
pub const MEMBERS_MAX: usize = 128;

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amendment {
    /// These bytes in place of the client's; the answer has one chunk that the client must not see.
    Amended(Vec<u8>),
    /// The client's bytes.
    Untouched(Untouched),
}

/// Why a body is sent as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untouched {
    /// No stream is asked for.
    NotAStream,
    /// The client itself said whether it wants usage.
    ClientDecided,
    /// The body is not understood to the last byte.
    Doubtful,
}

/// Decides what to send for the request body of a chat completion.
#[must_use]
pub fn ask_for_usage(body: &[u8]) -> Amendment {
    match find_place(body) {
        Ok(splice) => Amendment::Amended(splice.apply(body)),
        Err(reason) => Amendment::Untouched(reason),
    }
}

/// Bytes to put in the place of `body[from..to]`.
struct Splice {
    from: usize,
    to: usize,
    insert: &'static str,
}

impl Splice {
    fn apply(&self, body: &[u8]) -> Vec<u8> {
        let mut amended = Vec::with_capacity(body.len() + self.insert.len());
        amended.extend_from_slice(&body[..self.from]);
        amended.extend_from_slice(self.insert.as_bytes());
        amended.extend_from_slice(&body[self.to..]);
        amended
    }
}

fn find_place(body: &[u8]) -> Result<Splice, Untouched> {
    let text = std::str::from_utf8(body).map_err(|_| Untouched::Doubtful)?;
    let mut stream = None;
    let mut options = None;
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.skip_space();
    let first_member = scanner.at + 1;
    scanner
        .object(0, |name, value| match name {
            b"stream" => stream = Some(value),
            b"stream_options" => options = Some(value),
            _ => {}
        })
        .ok_or(Untouched::Doubtful)?;
    scanner.skip_space();
    if scanner.at != body.len() {
        return Err(Untouched::Doubtful);
    }
    if stream.is_none_or(|value| value.of(body) != b"true") {
        return Err(Untouched::NotAStream);
    }
    let Some(options) = options else {
        // `stream` follows, so the comma is right.
        let insert = r#""stream_options":{"include_usage":true},"#;
        return Ok(Splice { from: first_member, to: first_member, insert });
    };
    place_in_options(body, options)
}

fn place_in_options(body: &[u8], options: Value) -> Result<Splice, Untouched> {
    if options.of(body) == b"null" {
        let insert = r#"{"include_usage":true}"#;
        return Ok(Splice { from: options.from, to: options.to, insert });
    }
    let mut is_empty = true;
    let mut is_decided = false;
    let mut scanner = Scanner { bytes: body, at: options.from };
    scanner
        .object(1, |name, _| {
            is_empty = false;
            is_decided |= name == b"include_usage";
        })
        .ok_or(Untouched::Doubtful)?;
    if is_decided {
        return Err(Untouched::ClientDecided);
    }
    let insert = if is_empty { r#""include_usage":true"# } else { r#""include_usage":true,"# };
    Ok(Splice { from: options.from + 1, to: options.from + 1, insert })
}

/// Where a value stands in the body.
#[derive(Clone, Copy)]
struct Value {
    from: usize,
    to: usize,
}

impl Value {
    fn of(self, body: &[u8]) -> &[u8] {
        &body[self.from..self.to]
    }
}

/// Walks over JSON (RFC 8259) and checks it on the way. `None` means: not JSON, or not JSON that we vouch for.
struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Scanner<'b> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        if self.peek()? == byte {
            self.at += 1;
            Some(())
        } else {
            None
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// An object whose member names are compared: without escapes, each once.
    fn object(&mut self, depth: usize, mut on_member: impl FnMut(&'b [u8], Value)) -> Option<()> {
        let mut names: Vec<&[u8]> = Vec::new();
        self.members(depth, |name, value| {
            if name.contains(&b'\\') || names.contains(&name) || names.len() == MEMBERS_MAX {
                return None;
            }
            names.push(name);
            on_member(name, value);
            Some(())
        })
    }

    fn members(
        &mut self,
        depth: usize,
        mut on_member: impl FnMut(&'b [u8], Value) -> Option<()>,
    ) -> Option<()> {
        self.eat(b'{')?;
        self.skip_space();
        if self.eat(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.skip_space();
            self.eat(b':')?;
            self.skip_space();
            let from = self.at;
            self.value(depth + 1)?;
            on_member(name, Value { from, to: self.at })?;
            self.skip_space();
            if self.eat(b',').is_none() {
                return self.eat(b'}');
            }
            self.skip_space();
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            b'{' => self.members(depth, |_, _| Some(())),
            b'[' => self.array(depth),
            b'"' => self.string().map(|_| ()),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.eat(b'[')?;
        self.skip_space();
        if self.eat(b']').is_some() {
            return Some(());
        }
        loop {
            self.value(depth + 1)?;
            self.skip_space();
            if self.eat(b',').is_none() {
                return self.eat(b']');
            }
            self.skip_space();
        }
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        let matches = self.bytes[self.at..].starts_with(word);
        self.at += word.len();
        matches.then_some(())
    }

    fn number(&mut self) -> Option<()> {
        self.eat(b'-');
        if self.eat(b'0').is_none() {
            self.digits()?;
        }
        if self.eat(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    /// A string; yields what stands between the quotes, escapes as written.
    fn string(&mut self) -> Option<&'b [u8]> {
        self.eat(b'"')?;
        let from = self.at;
        loop {
            match self.peek()? {
                b'"' => {
                    let text = &self.bytes[from..self.at];
                    self.at += 1;
                    return Some(text);
                }
                b'\\' => {
                    self.at += 1;
                    self.escape()?;
                }
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let kind = self.peek()?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.bytes.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
