//! Columns of lines, which upstream's tables have no place for.
//!
//! They are kept in key-value metadata of the table of locations, an entry for each partition that has any: key
//! `phlare.columns.` and the partition in hex; value base64 of zstd of pairs of varints, for each line with a column:
//! how many lines without one lie before it, and the column in zigzag. Upstream ignores them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::fields::{Fields, put_varint, unzigzag, zigzag};
use crate::symbols::Line;

const KEY: &str = "phlare.columns.";
/// Most bytes that a pair takes.
const LONGEST: usize = 10;

/// The columns of all partitions, packed.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns(BTreeMap<u64, Box<[u8]>>);

impl Columns {
    /// Finds them among the metadata of a file. What isn't well formed is left out: a column is decoration.
    pub(super) fn find(key_values: &[(String, String)]) -> Self {
        let parse = |(key, value): &(String, String)| {
            let partition = u64::from_str_radix(key.strip_prefix(KEY)?, 16).ok()?;
            Some((partition, STANDARD.decode(value).ok()?.into()))
        };
        Self(key_values.iter().filter_map(parse).collect())
    }

    /// Puts the columns of a partition into its lines; leaves them alone if they do not fit to each other.
    pub(super) fn put(&self, partition: u64, lines: &mut [Line]) {
        let Some(columns) = self.unpack(partition, lines.len()) else {
            return;
        };
        for (line, column) in columns {
            if let Some(line) = lines.get_mut(line) {
                line.column = column;
            }
        }
    }

    /// Positions of lines, and their columns.
    fn unpack(&self, partition: u64, lines: usize) -> Option<Vec<(usize, i32)>> {
        let longest = lines.saturating_mul(LONGEST);
        let packed = self.0.get(&partition)?;
        let plain = zstd::bulk::decompress(packed, longest).ok()?;
        let mut fields = Fields::new(&plain);
        let mut columns = Vec::new();
        let mut next = 0_usize;
        while fields.left() > 0 {
            let line = next.checked_add(usize::try_from(fields.varint()?).ok()?)?;
            let column = i32::try_from(unzigzag(fields.varint()?)).ok()?;
            if line >= lines {
                return None;
            }
            columns.push((line, column));
            next = line.saturating_add(1);
        }
        Some(columns)
    }

    /// Bytes of memory held.
    pub(super) fn size_bytes(&self) -> usize {
        let of = |packed: &[u8]| packed.len().saturating_add(size_of::<(u64, Box<[u8]>)>());
        self.0.values().map(|packed| of(packed)).sum()
    }
}

/// The entry of a partition, whose lines are in the order of its locations; `None` if no line has a column.
pub(super) fn entry<'a>(
    partition: u64,
    lines: impl Iterator<Item = &'a Line>,
) -> Option<(String, String)> {
    let mut plain = Vec::new();
    let mut without = 0;
    for line in lines {
        if line.column == 0 {
            without += 1;
            continue;
        }
        put_varint(&mut plain, std::mem::take(&mut without));
        put_varint(&mut plain, zigzag(i64::from(line.column)));
    }
    if plain.is_empty() {
        return None;
    }
    let packed = zstd::bulk::compress(&plain, 3).ok()?;
    Some((format!("{KEY}{partition:016x}"), STANDARD.encode(packed)))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn lines(columns: &[i32]) -> Vec<Line> {
        let line = |&column| Line {
            column,
            ..Line::default()
        };
        columns.iter().map(line).collect()
    }

    #[test]
    fn lines_without_columns_have_no_entry() {
        assert_eq!(entry(7, lines(&[0, 0]).iter()), None);
    }

    #[test]
    fn what_is_damaged_is_ignored() {
        let (key, value) = entry(7, lines(&[0, 5, 0, 9]).iter()).unwrap();
        let check = |key: &str, value: &str, lines_there: usize| {
            let mut bare = lines(&vec![0; lines_there]);
            Columns::find(&[(key.to_owned(), value.to_owned())]).put(7, &mut bare);
            bare == lines(&vec![0; lines_there])
        };
        assert!(!check(&key, &value, 4));
        assert!(check(&key, &value, 3), "a line is missing");
        assert!(check(&key, "", 4));
        assert!(check(&key, "no base64", 4));
        assert!(check(&key, &value[4..], 4));
        assert!(check("phlare.columns.", &value, 4));
        assert!(check("phlare.columns.8", &value, 4));
        assert!(check("other", &value, 4));
        let huge = STANDARD.encode(zstd::bulk::compress(&[0; 1 << 20], 3).unwrap());
        assert!(check(&key, &huge, 4));
    }

    proptest! {
        #[test]
        fn columns_come_back(
            columns in vec(prop_oneof![4 => Just(0), 1 => any::<i32>()], 0..300),
            partition: u64,
        ) {
            let with = lines(&columns);
            let found = Columns::find(&Vec::from_iter(entry(partition, with.iter())));
            let mut bare = lines(&vec![0; columns.len()]);
            found.put(partition, &mut bare);
            prop_assert_eq!(bare, with);
        }
    }
}
