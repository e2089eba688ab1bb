//! Functions of scripting languages are named after their file, too, so that flame graphs show it.

use hashbrown::HashTable;

use crate::hash::Seed;
use crate::options::ScriptNames;
use crate::reuse::{reset, reset_table, reset_text};
use crate::tables::Tables;

/// New names are written as long as they take at most this many times the bytes of the profile:
/// a hostile one pairs each of its long names with each of its long files.
const GROWTH: usize = 4;

/// Names as they are written; reused.
#[derive(Debug, Default)]
pub(crate) struct ScriptNameBuffers {
    written: String,
    /// End of each name in `written`.
    ends: Vec<usize>,
    /// Functions with a distinct pair of name and file, by that pair.
    known: HashTable<((u32, u32), u32)>,
}

impl ScriptNameBuffers {
    /// Renames functions to `<file> <name>`; the new names are added to `strings`.
    pub(crate) fn rename<'a>(
        &'a mut self,
        which: ScriptNames,
        seed: Seed,
        bytes: usize,
        tables: &mut Tables,
        strings: &mut Vec<&'a str>,
    ) {
        let Self {
            written,
            ends,
            known,
        } = self;
        reset_text(written);
        reset(ends);
        reset_table(known);
        let budget = bytes.saturating_mul(GROWTH);
        let hash = |&(pair, _): &((u32, u32), u32)| {
            seed.number(u64::from(pair.0) << 32 | u64::from(pair.1))
        };
        let first = strings.len();
        for function in &mut tables.functions {
            let pair = (function.name, function.filename);
            let (Some(&name), Some(&file)) =
                (strings.get(pair.0 as usize), strings.get(pair.1 as usize))
            else {
                continue;
            };
            if file.is_empty() || (which == ScriptNames::RelativeFiles && file.starts_with('/')) {
                continue;
            }
            if let Some(&(_, renamed)) = known.find(hash(&(pair, 0)), |&(other, _)| other == pair) {
                function.name = renamed;
                continue;
            }
            if written.len() + file.len() + name.len() >= budget {
                continue;
            }
            written.push_str(file);
            written.push(' ');
            written.push_str(name);
            function.name = (first + ends.len()) as u32;
            ends.push(written.len());
            known.insert_unique(hash(&(pair, 0)), (pair, function.name), hash);
        }
        let mut start = 0;
        for &end in ends.iter() {
            strings.push(written.get(start..end).unwrap_or_default());
            start = end;
        }
    }
}
