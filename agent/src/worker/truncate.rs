//! Keeps of a JSON response what accounting needs, while it arrives. Pure.
//!
//! Such a response states its usage at the end, so it has to be kept until then, and a batch of embeddings is tens of
//! megabytes. This leaves out the tail of every long text, which is measured, and of every long run of numbers. What remains
//! is the same JSON with shorter values. Behind a fault nothing is kept: what cannot be read needs no room.

use memchr::memchr;

use crate::wire::json::{Kind, Token, Tokenizer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncateLimits {
    /// Bytes of one text; a little more where a character or an escape would be cut in two.
    pub text_bytes_max: usize,
    /// Bytes of consecutive numbers and the commas between them.
    pub numbers_bytes_max: usize,
}

impl Default for TruncateLimits {
    fn default() -> Self {
        Self { text_bytes_max: 1_024, numbers_bytes_max: 256 }
    }
}

#[derive(Default)]
pub struct Truncate {
    limits: TruncateLimits,
    pub kept: Vec<u8>,
    tokenizer: Tokenizer,
    leaving_out: LeavingOut,
    text_bytes: usize,
    /// Bytes of the numbers in a row.
    run_bytes: usize,
    /// Bytes of texts that were left out, escapes as written.
    pub text_bytes_left_out: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LeavingOut {
    #[default]
    Nothing,
    Text,
    Numbers,
    /// It is not JSON.
    Rest,
}

impl Truncate {
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.leaving_out == LeavingOut::Rest {
            self.text_bytes_left_out += bytes.len() as u64;
            return;
        }
        let mut at = 0;
        // `bytes[keep_from..at]` is to be kept and not yet in `kept`.
        let mut keep_from = 0;
        let mut escape = bytes.first().map_or(0, |first| self.tokenizer.escape_bytes_left(*first));
        loop {
            match self.tokenizer.next(bytes, &mut at) {
                Ok(Some(token)) => self.take(bytes, token, std::mem::take(&mut escape), &mut keep_from),
                Ok(None) => break,
                Err(_) => {
                    // With the fault in it, so that it stays one.
                    let end = (at + 1).min(bytes.len()).max(keep_from);
                    self.kept.extend_from_slice(&bytes[keep_from..end]);
                    self.text_bytes_left_out += (bytes.len() - end) as u64;
                    self.leaving_out = LeavingOut::Rest;
                    return;
                }
            }
        }
        if self.leaving_out == LeavingOut::Nothing {
            self.kept.extend_from_slice(&bytes[keep_from..]);
        }
    }

    fn take(&mut self, bytes: &[u8], token: Token, escape: usize, keep_from: &mut usize) {
        if self.leaving_out == LeavingOut::Numbers {
            match token.kind {
                Kind::Number | Kind::Comma => return,
                Kind::Close => {}
                // The comma before the next value was left out.
                _ => self.kept.push(b','),
            }
            self.leaving_out = LeavingOut::Nothing;
            *keep_from = token.from;
        }
        match token.kind {
            Kind::Number => self.run_bytes += token.to - token.from,
            Kind::Comma if self.run_bytes > self.limits.numbers_bytes_max => {
                self.kept.extend_from_slice(&bytes[*keep_from..token.from]);
                self.leaving_out = LeavingOut::Numbers;
                self.run_bytes = 0;
            }
            Kind::Comma if self.run_bytes > 0 => self.run_bytes += 1,
            Kind::Text => {
                self.run_bytes = 0;
                self.text(bytes, token, escape, keep_from);
            }
            _ => self.run_bytes = 0,
        }
    }

    fn text(&mut self, bytes: &[u8], token: Token, escape: usize, keep_from: &mut usize) {
        let from = token.from + usize::from(token.begins);
        let to = token.to - usize::from(token.ends);
        if token.begins {
            self.text_bytes = 0;
        }
        let mut cut = from;
        if self.leaving_out == LeavingOut::Nothing {
            let room = self.limits.text_bytes_max.saturating_sub(self.text_bytes);
            self.text_bytes += to - from;
            if to - from <= room {
                return;
            }
            cut = end_of_character(&bytes[..to], from, from + room, escape);
            if cut == to {
                return;
            }
            self.kept.extend_from_slice(&bytes[*keep_from..cut]);
        }
        self.text_bytes_left_out += (to - cut) as u64;
        // The closing quote is kept.
        *keep_from = to;
        self.leaving_out = if token.ends { LeavingOut::Nothing } else { LeavingOut::Text };
    }
}

/// The first place from `wanted` on that cuts no character and no escape; the text begins with the rest of an escape.
fn end_of_character(text: &[u8], from: usize, wanted: usize, escape: usize) -> usize {
    let mut behind_escape = (from + escape).min(text.len());
    while let Some(backslash) = memchr(b'\\', &text[behind_escape..]).map(|at| behind_escape + at)
        && backslash < wanted
    {
        let length = if text.get(backslash + 1) == Some(&b'u') { 6 } else { 2 };
        behind_escape = (backslash + length).min(text.len());
    }
    let mut place = wanted.max(behind_escape);
    while text.get(place).is_some_and(|byte| byte & 0xC0 == 0x80) {
        place += 1;
    }
    place
}

#[cfg(test)]
mod tests;
