//! `LowCardinality(String)`: each distinct value once, and a number per row. Pure.

use foldhash::HashMap;

use super::write_text;

/// `KeysSerializationVersion`: the dictionary follows with the data, none is shared between blocks.
const SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS: u64 = 1;
/// Flags of a part of the column: it brings its own keys, and they replace whatever was there.
const HAS_ADDITIONAL_KEYS: u64 = 1 << 9;
const NEED_UPDATE_DICTIONARY: u64 = 1 << 10;

/// Up to here a search through the list is faster than a hash.
const LIST_MAX: usize = 8;

/// The distinct values of one column of one block, and which of them each cell is.
pub(super) struct Dictionary<'a> {
    keys: Vec<&'a str>,
    indexes: Vec<u32>,
}

impl<'a> Dictionary<'a> {
    pub(super) fn of(cells: impl Iterator<Item = &'a str>) -> Self {
        let mut keys: Vec<&str> = Vec::new();
        let mut places = HashMap::<&str, u32>::default();
        let mut indexes: Vec<u32> = Vec::with_capacity(cells.size_hint().0);
        for cell in cells {
            // Neighbours are mostly equal: spans of one request come from one service.
            if let Some(&last) = indexes.last()
                && keys.get(last as usize) == Some(&cell)
            {
                indexes.push(last);
                continue;
            }
            let found = if keys.len() <= LIST_MAX {
                keys.iter().position(|key| *key == cell).map(|place| place as u32)
            } else {
                places.get(cell).copied()
            };
            let index = found.unwrap_or_else(|| {
                let place = keys.len() as u32;
                keys.push(cell);
                if keys.len() > LIST_MAX {
                    // All of them when the list has just become too long, then each as it comes.
                    places.extend(keys.iter().copied().zip(0..).skip(places.len()));
                }
                place
            });
            indexes.push(index);
        }
        Self { keys, indexes }
    }

    /// The column's data. Nothing at all for no cells, as the reader expects of the inside of empty arrays.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.indexes.is_empty() {
            return;
        }
        let (width, code) = match self.keys.len() {
            0..=0x100 => (1, 0_u64),
            0x101..=0x1_0000 => (2, 1),
            _ => (4, 2),
        };
        out.extend_from_slice(&(code | HAS_ADDITIONAL_KEYS | NEED_UPDATE_DICTIONARY).to_le_bytes());
        out.extend_from_slice(&(self.keys.len() as u64).to_le_bytes());
        self.keys.iter().for_each(|key| write_text(out, key));
        out.extend_from_slice(&(self.indexes.len() as u64).to_le_bytes());
        for index in &self.indexes {
            out.extend_from_slice(&index.to_le_bytes()[..width]);
        }
    }
}

/// The column's prefix, which comes before any data, the offsets of an array around it included.
pub(super) fn write_version(out: &mut Vec<u8>) {
    out.extend_from_slice(&SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS.to_le_bytes());
}
