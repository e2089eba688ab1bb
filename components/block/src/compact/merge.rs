//! Rows of all inputs in the order of the result.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::Stage;
use super::duplicates::Duplicates;
use super::error::CompactError;
use super::maps::Maps;
use super::output::{Draft, Drafts, RowWriter, Template};
use super::rows::{Cursor, Key};
use super::symbols::Written;

impl Stage<'_> {
    /// Merges rows and writes them; completes the blocks that have some.
    pub(super) fn rows(
        &self,
        template: &Template,
        made: Vec<Draft>,
        symbols: Vec<Written>,
        maps: &mut Maps,
        drafts: &mut Drafts,
    ) -> Result<(), CompactError> {
        let mut writers = Vec::with_capacity(made.len());
        for (draft, symbols) in made.into_iter().zip(symbols) {
            let writer = RowWriter::create(draft, symbols, template, self.memory.row_group);
            writers.push(writer?);
        }
        self.merge_rows(maps, &mut writers)?;
        for writer in writers {
            writer.finish(template, drafts)?;
        }
        Ok(())
    }

    fn merge_rows(&self, maps: &mut Maps, writers: &mut [RowWriter]) -> Result<(), CompactError> {
        let inputs = 0..self.sources.len();
        let mut cursors: Vec<_> = inputs.map(|number| Cursor::new(self, number)).collect();
        let mut heap = BinaryHeap::with_capacity(cursors.len());
        for (number, cursor) in cursors.iter_mut().enumerate() {
            if let Some(key) = cursor.advance(maps)? {
                heap.push(Reverse((key, number)));
            }
        }
        let mut duplicates = Duplicates::default();
        let mut before: Option<Key> = None;
        while let Some(&Reverse((key, number))) = heap.peek() {
            self.go_on()?;
            let is_same = |other: Key| (other.rank, other.time_ns) == (key.rank, key.time_ns);
            let after_same = before.is_some_and(is_same);
            before = Some(key);
            let mut new = true;
            if !after_same {
                duplicates.clear();
            }
            // Rows that share series and time with no other need not be compared.
            if after_same || second(&heap).is_some_and(is_same) {
                new = duplicates.is_new(number, cursors[number].profile());
            }
            if new && let Some(place) = self.place(key.rank) {
                let labels = self.plan.labels(key.rank);
                writers[place].push(key.rank, labels, cursors[number].profile())?;
            }
            let next = cursors[number].advance(maps)?;
            if let Some(mut top) = heap.peek_mut() {
                match next {
                    Some(key) => *top = Reverse((key, number)),
                    None => drop(PeekMut::pop(top)),
                }
            }
        }
        Ok(())
    }
}

/// The key behind the first. It is one of the children of the root.
fn second(heap: &BinaryHeap<Reverse<(Key, usize)>>) -> Option<Key> {
    let children = heap.as_slice().get(1..)?;
    children.iter().take(2).map(|Reverse((key, _))| *key).min()
}
