//! Pure: cuts a text into tokens. Follows Prometheus's lexer state by state, because what is a word depends on where it stands: in
//! braces every word is a label, in brackets only durations and their arithmetic are read.

use super::ast::{Aggregation, Operator, Span};
use super::quoted::{quote, quote_char, read_string};
use super::token::{Keyword, Token, TokenKind, word};

/// The tokens of a text, whose length is bounded by the caller. The last one is [`TokenKind::End`] or [`TokenKind::Error`]; with
/// what it says if it is an error.
pub(super) fn lex(text: &str) -> (Vec<Token>, String) {
    let mut lexer =
        Lexer { text, start: 0, at: 0, parens: 0, place: Place::Statement, colon: false, duration: false };
    let (mut tokens, mut error) = (Vec::new(), String::new());
    loop {
        lexer.skip_blank();
        let kind = lexer.token().unwrap_or_else(|message| {
            error = message;
            TokenKind::Error
        });
        // A text that cannot be read is at fault from there to its end.
        let end = if kind == TokenKind::Error { text.len() } else { lexer.at };
        tokens.push(Token { kind, span: Span { start: lexer.start, end } });
        if matches!(kind, TokenKind::End | TokenKind::Error) {
            return (tokens, error);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Statement,
    Braces,
    /// In brackets, before the first number.
    Duration,
    /// In brackets, after a number.
    Brackets,
}

struct Lexer<'a> {
    text: &'a str,
    start: usize,
    at: usize,
    parens: usize,
    place: Place,
    /// Whether a colon has been seen in these brackets.
    colon: bool,
    /// Whether any brackets so far held a number.
    duration: bool,
}

type Lexing = Result<TokenKind, String>;

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        self.at += usize::from(found);
        found
    }

    fn accept_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }

    fn so_far(&self) -> &str {
        self.text.get(self.start..self.at).unwrap_or_default()
    }

    /// An error about what follows the token just read, as opposed to the token itself.
    fn fail_after(&mut self, message: String) -> Lexing {
        self.start = self.at;
        Err(message)
    }

    fn skip_blank(&mut self) {
        loop {
            self.accept_while(is_space);
            if self.place == Place::Duration || !self.accept("#") {
                break;
            }
            self.accept_while(|c| !matches!(c, '\n' | '\r'));
        }
        self.start = self.at;
    }

    fn token(&mut self) -> Lexing {
        match self.place {
            Place::Statement | Place::Brackets => self.statement(),
            Place::Braces => self.braces(),
            Place::Duration => self.bracketed_duration(),
        }
    }

    fn statement(&mut self) -> Lexing {
        let bracketed = self.place == Place::Brackets;
        let Some(c) = self.next() else {
            return match (self.parens, bracketed) {
                (0, false) => Ok(TokenKind::End),
                (0, true) => Err("unclosed left bracket".to_owned()),
                _ => Err("unclosed left parenthesis".to_owned()),
            };
        };
        if let Some(operator) = self.operator(c)? {
            return Ok(operator);
        }
        match c {
            ',' => Ok(TokenKind::Comma),
            '@' => Ok(TokenKind::At),
            '"' | '\'' | '`' => self.string(),
            '(' | ')' => self.paren(c),
            '{' => self.enter(Place::Braces, TokenKind::LeftBrace),
            '[' if bracketed => Err("unexpected left bracket '['".to_owned()),
            '[' => self.enter(Place::Duration, TokenKind::LeftBracket),
            ']' if !bracketed => Err("unexpected right bracket ']'".to_owned()),
            ']' => self.enter(Place::Statement, TokenKind::RightBracket),
            _ if self.starts_number(c) => self.number_or_duration(c),
            ':' if bracketed && self.colon => Err("unexpected colon ':'".to_owned()),
            ':' if bracketed => {
                self.colon = true;
                Ok(TokenKind::Colon)
            }
            _ if is_alpha(c) && bracketed => self
                .duration_word()
                .ok_or_else(|| format!("unexpected character: {}, expected ':'", quote_char(Some(c)))),
            _ if is_alpha(c) || c == ':' => Ok(self.name()),
            _ => Err(format!("unexpected character: {}", quote_char(Some(c)))),
        }
    }

    /// An operator, or `=` alone, that begins with `c`.
    fn operator(&mut self, c: char) -> Result<Option<TokenKind>, String> {
        let text = self.text.get(self.start..).unwrap_or_default();
        let signs = Operator::NAMES.iter().filter(|(name, _)| !is_alpha(c) && text.starts_with(name));
        match (signs.max_by_key(|(name, _)| name.len()), c) {
            (Some((name, operator)), _) => {
                self.at = self.start + name.len();
                Ok(Some(TokenKind::Operator(*operator)))
            }
            (None, '=') if self.peek() == Some('~') => Err("unexpected character after '=': '~'".to_owned()),
            (None, '=') => Ok(Some(TokenKind::Assign)),
            (None, '!') => Err(format!("unexpected character after '!': {}", quote_char(self.peek()))),
            (None, _) => Ok(None),
        }
    }

    fn enter(&mut self, place: Place, bracket: TokenKind) -> Lexing {
        (self.place, self.colon) = (place, false);
        Ok(bracket)
    }

    fn paren(&mut self, c: char) -> Lexing {
        if c == '(' {
            self.parens += 1;
            return Ok(TokenKind::LeftParen);
        }
        match self.parens.checked_sub(1) {
            Some(left) => self.parens = left,
            None => return self.fail_after("unexpected right parenthesis ')'".to_owned()),
        }
        Ok(TokenKind::RightParen)
    }

    fn braces(&mut self) -> Lexing {
        let Some(c) = self.next() else { return Err("unexpected end of input inside braces".to_owned()) };
        match c {
            ',' => Ok(TokenKind::Comma),
            '"' | '\'' | '`' => self.string(),
            '=' if self.accept("~") => Ok(TokenKind::MatchRegex),
            '=' => Ok(TokenKind::Assign),
            '!' if self.accept("~") => Ok(TokenKind::NotMatchRegex),
            '!' if self.accept("=") => Ok(TokenKind::Operator(Operator::NotEqual)),
            '!' => Err(format!("unexpected character after '!' inside braces: {}", quote_char(self.peek()))),
            '{' => Err("unexpected left brace '{'".to_owned()),
            '}' => self.enter(Place::Statement, TokenKind::RightBrace),
            _ if is_alpha(c) => {
                self.accept_while(is_alphanumeric);
                Ok(TokenKind::Identifier)
            }
            _ => Err(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        }
    }

    fn bracketed_duration(&mut self) -> Lexing {
        let unexpected = |c| format!("unexpected character in duration expression: {}", quote_char(Some(c)));
        let Some(c) = self.next() else {
            return Err("unexpected end of input in duration expression".to_owned());
        };
        match c {
            ']' => self.enter(Place::Statement, TokenKind::RightBracket),
            ':' if !self.duration => {
                self.fail_after("unexpected colon before duration in duration expression".to_owned())
            }
            ':' if self.colon => {
                self.fail_after("unexpected repeated colon in duration expression".to_owned())
            }
            ':' => {
                self.colon = true;
                Ok(TokenKind::Colon)
            }
            '(' | ')' => self.paren(c),
            ',' => Ok(TokenKind::Comma),
            '+' | '-' | '*' | '/' | '%' | '^' => Ok(self.operator(c)?.unwrap_or(TokenKind::Error)),
            _ if self.starts_number(c) => {
                (self.duration, self.place) = (true, Place::Brackets);
                self.number_or_duration(c)
            }
            _ if is_alpha(c) => self.duration_word().ok_or_else(|| unexpected(c)),
            _ => Err(unexpected(c)),
        }
    }

    /// One of the functions of durations, whose first letter has been read.
    fn duration_word(&mut self) -> Option<TokenKind> {
        self.accept_while(is_alpha);
        let text = self.so_far();
        let is_name = ["min_of", "max_of"].iter().any(|known| known.eq_ignore_ascii_case(text));
        word(text).or(is_name.then_some(TokenKind::Identifier)).filter(|kind| {
            use TokenKind::{Aggregation as Fold, Identifier, Keyword as Word};
            matches!(kind, Identifier | Word(Keyword::Step | Keyword::Range))
                || matches!(kind, Fold(Aggregation::Minimum | Aggregation::Maximum))
        })
    }

    /// A keyword or a name, whose first character has been read.
    fn name(&mut self) -> TokenKind {
        self.accept_while(|c| is_alphanumeric(c) || c == ':');
        match word(self.so_far()) {
            // These became keywords late, so they are ordinary names except before a bracket.
            Some(TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight))
                if !self.rest().trim_start_matches(is_space).starts_with('(') =>
            {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if self.so_far().contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        }
    }

    /// A string, whose first quote has been read.
    fn string(&mut self) -> Lexing {
        let (length, _) = read_string(self.text.get(self.start..).unwrap_or_default())?;
        self.at = self.start + length;
        Ok(TokenKind::String)
    }

    fn starts_number(&self, c: char) -> bool {
        c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|c| c.is_ascii_digit()))
    }

    /// A number or a duration, whose first character has been read.
    fn number_or_duration(&mut self, first: char) -> Lexing {
        self.at -= first.len_utf8();
        if self.scan_number() {
            return Ok(TokenKind::Number);
        }
        if self.scan_duration() {
            return Ok(TokenKind::Duration);
        }
        Err(format!("bad number or duration syntax: {}", quote(self.so_far())))
    }

    /// Reads on through what may be a number; what it lets through, the parser still has to convert.
    fn scan_number(&mut self) -> bool {
        let hex = self.accept("0") && self.accept("xX");
        let digits = if hex { "0123456789abcdefABCDEF" } else { "0123456789" };
        if hex {
            self.accept("_");
        }
        self.accept(".");
        self.accept(digits);
        let (mut point, mut exponent) = (false, false);
        while let Some(c) = self.peek() {
            match c {
                '.' => {
                    self.at += 1;
                    if std::mem::replace(&mut point, true) || self.accept("_.") || hex {
                        return false;
                    }
                }
                'e' | 'E' => {
                    self.at += 1;
                    if std::mem::replace(&mut exponent, true) {
                        return false;
                    }
                    self.accept("+-");
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.at += 1;
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                _ if digits.contains(c) => self.at += 1,
                _ => break,
            }
        }
        self.at > self.start && !self.peek().is_some_and(is_alphanumeric)
    }

    /// Reads the units of a duration after its first digits.
    fn scan_duration(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        // The second letter of ms; units that do not exist, such as hs, are found when the duration is converted.
        self.accept("s");
        while self.accept("0123456789") {
            self.accept_while(|c| c.is_ascii_digit());
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}
