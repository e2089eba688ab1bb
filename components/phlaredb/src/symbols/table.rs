//! A hash-consed table: rows with dense ids, found by the hash of their content.

use hashbrown::HashTable;

/// A table has no id left: 2³² − 1 rows or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Rows of one kind. O(1) look-up; `size_of::<T>() + 13` bytes a row.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: Vec<T>,
    hashes: Vec<u64>,
    index: HashTable<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            hashes: Vec::new(),
            index: HashTable::new(),
        }
    }
}

impl<T> Table<T> {
    pub(crate) fn rows(&self) -> &[T] {
        &self.rows
    }

    /// Hash of a row. Panics if the id is not of this table: ids come from it alone.
    pub(crate) fn hash(&self, id: u32) -> u64 {
        self.hashes[id as usize]
    }

    pub(crate) fn find(&self, hash: u64, same: impl Fn(&T) -> bool) -> Option<u32> {
        let Self {
            rows,
            hashes,
            index,
            ..
        } = self;
        index
            .find(hash, |&id| {
                hashes[id as usize] == hash && same(&rows[id as usize])
            })
            .copied()
    }

    /// Adds a row that [`Table::find`] did not find.
    pub(crate) fn insert(&mut self, hash: u64, row: T) -> Result<u32, Full> {
        let id = next_id(self.rows.len())?;
        self.rows.push(row);
        self.hashes.push(hash);
        let hashes = &self.hashes;
        self.index
            .insert_unique(hash, id, |&id| hashes[id as usize]);
        Ok(id)
    }

    pub(crate) fn intern(
        &mut self,
        hash: u64,
        same: impl Fn(&T) -> bool,
        row: impl FnOnce() -> T,
    ) -> Result<u32, Full> {
        match self.find(hash, same) {
            Some(id) => Ok(id),
            None => self.insert(hash, row()),
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<T>()
            + self.hashes.capacity() * size_of::<u64>()
            + self.index.allocation_size()
    }
}

/// The id of a row to be added to a table of `len` rows. `u32::MAX` stays free for "none".
pub(crate) fn next_id(len: usize) -> Result<u32, Full> {
    u32::try_from(len)
        .ok()
        .filter(|&id| id < u32::MAX)
        .ok_or(Full)
}
