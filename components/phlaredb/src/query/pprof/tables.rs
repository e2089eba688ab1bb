//! The tables of one pprof that grows out of several sources: everything once, by content.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use phlare_proto::google::v1::{Function, Line, Location, Mapping, Profile, Sample};
use rustc_hash::{FxBuildHasher, FxHashMap};

/// A pprof whose ids are positions + 1, and what is in it already.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) out: Profile,
    strings: HashTable<u32>,
    functions: FxHashMap<(i64, i64, i64, i64), u64>,
    /// By pages, offset and file.
    mappings: FxHashMap<(u64, u64, i64), u64>,
    locations: HashTable<u32>,
    samples: HashTable<u32>,
}

impl Default for Tables {
    fn default() -> Self {
        let mut tables = Self {
            out: Profile::default(),
            strings: HashTable::new(),
            functions: FxHashMap::default(),
            mappings: FxHashMap::default(),
            locations: HashTable::new(),
            samples: HashTable::new(),
        };
        tables.string("");
        tables
    }
}

impl Tables {
    pub(super) fn string(&mut self, text: &str) -> i64 {
        let known = &self.out.string_table;
        let hash = FxBuildHasher.hash_one(text);
        if let Some(&id) = self.strings.find(hash, |&id| known[id as usize] == text) {
            return i64::from(id);
        }
        let id = known.len() as u32;
        self.strings.insert_unique(hash, id, |&id| {
            FxBuildHasher.hash_one(known.get(id as usize).map_or("", String::as_str))
        });
        self.out.string_table.push(text.to_owned());
        i64::from(id)
    }

    /// The id of a function; its own is ignored.
    pub(super) fn function(&mut self, function: Function) -> u64 {
        let Function {
            name,
            system_name,
            filename,
            start_line,
            ..
        } = function;
        let out = &mut self.out.function;
        *self
            .functions
            .entry((name, system_name, filename, start_line))
            .or_insert_with(|| {
                let id = out.len() as u64 + 1;
                out.push(Function { id, ..function });
                id
            })
    }

    /// Mappings that differ only in their place or their flags are one, and so are all without build id
    /// and file (api.md 8.4).
    pub(super) fn mapping(&mut self, mapping: Mapping) -> u64 {
        let size = mapping.memory_limit.saturating_sub(mapping.memory_start);
        let file = match mapping.build_id {
            0 => mapping.filename,
            build_id => build_id,
        };
        let key = match file {
            0 => (0, 0, 0),
            file => (size.div_ceil(4096), mapping.file_offset, file),
        };
        let out = &mut self.out.mapping;
        *self.mappings.entry(key).or_insert_with(|| {
            let id = out.len() as u64 + 1;
            out.push(Mapping { id, ..mapping });
            id
        })
    }

    pub(super) fn location(&mut self, location: Location) -> u64 {
        let out = &mut self.out.location;
        let hash = hash_of_location(&location);
        let same = |&index: &u32| {
            let known = &out[index as usize];
            (known.mapping_id, known.address, known.is_folded)
                == (location.mapping_id, location.address, location.is_folded)
                && known.line == location.line
        };
        if let Some(&index) = self.locations.find(hash, same) {
            return u64::from(index) + 1;
        }
        let index = out.len() as u32;
        let id = u64::from(index) + 1;
        out.push(Location { id, ..location });
        self.locations
            .insert_unique(hash, index, |&index| hash_of_location(&out[index as usize]));
        id
    }

    /// Adds to the value of a stack, leaf first.
    pub(super) fn sample(&mut self, frames: &[u64], value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        let out = &mut self.out.sample;
        let hash = FxBuildHasher.hash_one(frames);
        let same = |&index: &u32| out[index as usize].location_id == frames;
        if let Some(&index) = self.samples.find(hash, same) {
            let sum = &mut out[index as usize].value[0];
            *sum = sum.saturating_add(value);
            return;
        }
        let index = out.len() as u32;
        out.push(Sample {
            location_id: frames.to_vec(),
            value: vec![value],
            label: Vec::new(),
        });
        self.samples.insert_unique(hash, index, |&index| {
            FxBuildHasher.hash_one(out[index as usize].location_id.as_slice())
        });
    }
}

fn hash_of_location(location: &Location) -> u64 {
    let line = |line: &Line| (line.function_id, line.line, line.column);
    let lines: Vec<_> = location.line.iter().map(line).collect();
    FxBuildHasher.hash_one((
        location.mapping_id,
        location.address,
        location.is_folded,
        lines,
    ))
}
