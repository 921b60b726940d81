//! A `BufRead` over pieces of bytes that a function gives, one at a time and in order.

use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};

/// Asks `next` for a piece when the last one is read; `None` is the end.
pub struct Pieces<F> {
    next: F,
    current: Bytes,
}

impl<F: FnMut() -> io::Result<Option<Bytes>>> Pieces<F> {
    pub fn new(next: F) -> Self {
        Self { next, current: Bytes::new() }
    }
}

impl<F: FnMut() -> io::Result<Option<Bytes>>> BufRead for Pieces<F> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // A piece may hold nothing; only `None` ends the stream.
        while self.current.is_empty() {
            match (self.next)()? {
                Some(piece) => self.current = piece,
                None => break,
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl<F: FnMut() -> io::Result<Option<Bytes>>> Read for Pieces<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}
