//! Tells from the JSON of one event whether it is the usage chunk, byte by byte. Pure.
//!
//! Looks at the outermost object only: `choices` must be an empty list and `usage` an object, each named once. Gives up
//! at the first byte that rules it out, because until then the event waits.

/// Reads the JSON of an event just far enough to tell whether it is the usage chunk.
#[derive(Debug, Default)]
pub(super) struct Payload {
    state: State,
    /// Open brackets.
    depth: u32,
    in_string: bool,
    after_backslash: bool,
    /// The name of the current member of the outermost object.
    name: Name,
    has_empty_choices: bool,
    has_usage: bool,
}

/// What the next byte of the outermost object is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The object has not begun.
    #[default]
    Before,
    Name,
    Colon,
    Value,
    /// The first byte within `choices`.
    Choices,
    Comma,
    /// The object is closed.
    After,
    /// It is not the usage chunk, whatever follows.
    NotIt,
}

/// The beginning of a member's name, as long as it can be one that matters.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    bytes: [u8; 8],
    len: usize,
}

impl Name {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
        }
        self.len += 1;
    }

    fn is(&self, name: &[u8]) -> bool {
        self.bytes.get(..self.len) == Some(name)
    }
}

impl Payload {
    /// It is not the usage chunk, whatever follows.
    pub(super) fn is_refuted(&self) -> bool {
        self.state == State::NotIt
    }

    /// It is the usage chunk, if nothing follows.
    pub(super) fn is_usage_chunk(&self) -> bool {
        self.state == State::After && self.has_empty_choices && self.has_usage
    }

    /// Takes the next byte; lines of data are joined by LF.
    pub(super) fn take(&mut self, byte: u8) {
        if self.in_string {
            self.take_in_string(byte);
        } else if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            self.take_token(byte);
        }
    }

    fn take_in_string(&mut self, byte: u8) {
        let is_name = self.depth == 1 && self.state == State::Name;
        if byte < 0x20 {
            self.state = State::NotIt;
        } else if self.after_backslash {
            self.after_backslash = false;
        } else if byte == b'\\' {
            self.after_backslash = true;
            if is_name {
                // A name spelled with escapes: not a chunk that OpenAI or its kin send.
                self.state = State::NotIt;
            }
        } else if byte == b'"' {
            self.in_string = false;
            if self.depth == 1 {
                self.state = if is_name { State::Colon } else { State::Comma };
            }
        } else if is_name {
            self.name.push(byte);
        }
    }

    fn take_token(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Before, b'{') => {
                self.depth = 1;
                State::Name
            }
            (State::Name, b'"') => {
                self.name = Name::default();
                self.in_string = true;
                State::Name
            }
            (State::Colon, b':') => State::Value,
            (State::Value, _) => self.begin_value(byte),
            (State::Choices, b']') => {
                self.depth = 1;
                self.has_empty_choices = true;
                State::Comma
            }
            (State::Comma, _) => self.within_value(byte),
            _ => State::NotIt,
        };
    }

    fn begin_value(&mut self, byte: u8) -> State {
        if self.name.is(b"choices") {
            self.depth = 2;
            return if byte == b'[' && !self.has_empty_choices { State::Choices } else { State::NotIt };
        }
        if self.name.is(b"usage") {
            if byte != b'{' || self.has_usage {
                return State::NotIt;
            }
            self.has_usage = true;
        }
        self.within_value(byte)
    }

    /// Bytes of a value, and what follows it: the state stays `Comma` while brackets are open.
    fn within_value(&mut self, byte: u8) -> State {
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    return State::After;
                }
            }
            b',' if self.depth == 1 => return State::Name,
            _ => {}
        }
        State::Comma
    }
}
