//! Strings in one arena.

use hashbrown::HashTable;

use super::StringId;
use super::table::{Full, next_id};

/// Interned strings; 17 bytes and their text each.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    hashes: Vec<u64>,
    index: HashTable<u32>,
}

impl Strings {
    pub(crate) fn find(&self, hash: u64, text: &[u8]) -> Option<StringId> {
        let same = |&id: &StringId| {
            self.hashes[id as usize] == hash && get(&self.bytes, &self.ends, id) == text
        };
        self.index.find(hash, same).copied()
    }

    pub(crate) fn intern(&mut self, hash: u64, text: &[u8]) -> Result<StringId, Full> {
        if let Some(id) = self.find(hash, text) {
            return Ok(id);
        }
        let Self {
            bytes,
            ends,
            hashes,
            index,
        } = self;
        let id = next_id(ends.len())?;
        let end = next_id(bytes.len() + text.len())?;
        bytes.extend_from_slice(text);
        ends.push(end);
        hashes.push(hash);
        index.insert_unique(hash, id, |&id| hashes[id as usize]);
        Ok(id)
    }

    /// The text of a string. Panics if the id is not of this table: ids come from it alone.
    pub(crate) fn text(&self, id: StringId) -> &str {
        std::str::from_utf8(get(&self.bytes, &self.ends, id)).unwrap_or_default()
    }

    pub(crate) fn hash(&self, id: StringId) -> u64 {
        self.hashes[id as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.hashes.capacity() * size_of::<u64>()
            + self.index.allocation_size()
    }
}

fn get<'a>(bytes: &'a [u8], ends: &[u32], id: StringId) -> &'a [u8] {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] as usize };
    &bytes[start..ends[id] as usize]
}
