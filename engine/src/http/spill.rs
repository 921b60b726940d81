//! An answer that waits for the end of its query: in memory while it is small, then in a file without a name.
//!
//! clickhouse-connect asks for `wait_end_of_query` with every query, so large results must be held without holding memory.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::limits;

/// Bytes that wait, in order.
#[derive(Default)]
pub struct SpillBuffer {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

impl SpillBuffer {
    /// Bytes in it.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes; those that do not fit into memory go into a file in `directory`.
    pub fn push(&mut self, bytes: &[u8], directory: &Path) -> io::Result<()> {
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.file.is_none() && self.memory.len() + bytes.len() <= limits::RESPONSE_MEMORY_BYTES_MAX {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile_in(directory)?);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// All of it, when it is in memory.
    pub fn whole(&self) -> Option<&[u8]> {
        self.file.is_none().then_some(&self.memory)
    }

    /// Gives all of it back in pieces, and forgets it.
    pub fn replay<E: From<io::Error>>(self, mut give: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        give(&self.memory)?;
        let Some(mut file) = self.file else { return Ok(()) };
        file.rewind()?;
        let mut buffer = vec![0; limits::DECODE_BUFFER_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                length => give(&buffer[..length])?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_from_memory_and_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut buffer = SpillBuffer::default();
        let mut expected = Vec::new();
        for number in 0..70_u8 {
            let bytes = vec![number; 300_000];
            buffer.push(&bytes, directory.path()).unwrap();
            expected.extend(bytes);
        }
        assert!(buffer.whole().is_none() && buffer.memory.len() <= limits::RESPONSE_MEMORY_BYTES_MAX);
        assert_eq!(buffer.length(), 21_000_000);
        let mut found = Vec::new();
        buffer
            .replay(|bytes| {
                found.extend_from_slice(bytes);
                Ok::<_, io::Error>(())
            })
            .unwrap();
        assert!(found == expected);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the file has a name");
    }
}
