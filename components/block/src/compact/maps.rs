//! New ids of stack traces, by input and partition.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::error::CompactError;

/// By old id, the new one, or [`UNUSED`](crate::symdb::merge::UNUSED).
pub(super) type Map = Arc<[u32]>;

/// An input and a partition.
type Key = (usize, u64);

/// Dense arrays of new ids. As many as fit are in memory, the others in a file that has no name; rows of one series are
/// of one partition nearly always, so that each of them is read a few times.
#[derive(Debug)]
pub(super) struct Maps {
    directory: PathBuf,
    budget: usize,
    resident: FxHashMap<Key, Map>,
    resident_bytes: usize,
    file: Option<File>,
    spilled: FxHashMap<Key, Spilled>,
    end: u64,
    /// Of the spilled ones those that were read last, oldest first.
    loaded: VecDeque<(Key, Map)>,
    loaded_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Spilled {
    offset: u64,
    ids: usize,
}

impl Maps {
    /// The file, if there is need for one, lies in `directory`.
    pub(super) fn new(directory: &Path, budget: usize) -> Self {
        Self {
            directory: directory.to_owned(),
            budget,
            resident: FxHashMap::default(),
            resident_bytes: 0,
            file: None,
            spilled: FxHashMap::default(),
            end: 0,
            loaded: VecDeque::new(),
            loaded_bytes: 0,
        }
    }

    pub(super) fn insert(
        &mut self,
        input: usize,
        partition: u64,
        ids: Vec<u32>,
    ) -> Result<(), CompactError> {
        let key = (input, partition);
        let bytes = size_of_val(&*ids);
        if self.resident_bytes + bytes <= self.budget / 4 * 3 {
            self.resident_bytes += bytes;
            self.resident.insert(key, ids.into());
            return Ok(());
        }
        let path = self.directory.join("stacktraces.tmp");
        let failed = || CompactError::io(&path);
        let file = match self.file.take() {
            Some(file) => file,
            None => create(&path).map_err(failed())?,
        };
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        file.write_all_at(&bytes, self.end).map_err(failed())?;
        self.file = Some(file);
        let offset = self.end;
        self.spilled.insert(
            key,
            Spilled {
                offset,
                ids: ids.len(),
            },
        );
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// `None` if nothing was inserted.
    pub(super) fn get(
        &mut self,
        input: usize,
        partition: u64,
    ) -> Result<Option<Map>, CompactError> {
        let key = (input, partition);
        if let Some(map) = self.resident.get(&key) {
            return Ok(Some(Arc::clone(map)));
        }
        if let Some(at) = self.loaded.iter().position(|(known, _)| *known == key) {
            let found = self.loaded.remove(at);
            self.loaded.extend(found);
            return Ok(self.loaded.back().map(|(_, map)| Arc::clone(map)));
        }
        let (Some(file), Some(spilled)) = (&self.file, self.spilled.get(&key)) else {
            return Ok(None);
        };
        let mut bytes = vec![0; spilled.ids * size_of::<u32>()];
        let read = file.read_exact_at(&mut bytes, spilled.offset);
        read.map_err(CompactError::io(&self.directory))?;
        let words = bytes.as_chunks().0.iter();
        let map: Map = words.map(|&bytes| u32::from_le_bytes(bytes)).collect();
        self.loaded_bytes += bytes.len();
        while self.loaded_bytes > self.budget / 4
            && let Some((_, oldest)) = self.loaded.pop_front()
        {
            self.loaded_bytes -= size_of_val(&*oldest);
        }
        self.loaded.push_back((key, Arc::clone(&map)));
        Ok(Some(map))
    }
}

/// A file that is gone when it is closed.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(true);
    let file = file.open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_come_back_from_memory_and_from_the_file() {
        let directory = tempfile::tempdir().unwrap();
        for budget in [0, 1000, 4000, 1 << 20] {
            let mut maps = Maps::new(directory.path(), budget);
            let ids = |input: usize, partition: u64| -> Vec<u32> {
                let count = 100 + partition as u32 % 7;
                (0..count).map(|id| id * input as u32).collect()
            };
            for partition in [5, u64::MAX] {
                for input in 0..5 {
                    maps.insert(input, partition, ids(input, partition))
                        .unwrap();
                }
            }
            assert!(maps.resident_bytes <= budget, "{budget}");
            for round in 0..3 {
                for partition in [u64::MAX, 5] {
                    for input in 0..5 {
                        let map = maps.get(input, partition).unwrap().unwrap();
                        let expected = ids(input, partition);
                        assert_eq!(*map, *expected, "{budget}, {round}: {input}, {partition}");
                        let bound = (budget / 4).max(size_of_val(&*map));
                        assert!(maps.loaded_bytes <= bound, "{budget}");
                    }
                }
            }
            assert_eq!(maps.get(5, 5).unwrap(), None);
            assert_eq!(maps.get(0, 6).unwrap(), None);
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }
}
