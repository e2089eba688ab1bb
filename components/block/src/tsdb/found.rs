//! Sets of series while a selector is worked out.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use super::Index;
use super::postings::{self, List, Values, reference, seek};
use crate::error::Error;

/// What it costs, in units of a posting (10 ns, measured), to decode a series …
const SERIES: usize = 40;
/// … and to try a value of a label and read its list.
const VALUE: usize = 15;

/// The lists of some values of one label.
#[derive(Default)]
pub(super) struct Lists<'a> {
    lists: Vec<List<'a>>,
    total: usize,
}

impl<'a> Lists<'a> {
    /// Adds the list at a place. A series has one value of a label, so that all lists together are no longer than that of
    /// all series; this bounds what a file can make of few bytes.
    pub(super) fn push(&mut self, index: &'a Index, at: usize) -> Result<(), Error> {
        let list = postings::list(&index.file, &index.toc, at)?;
        self.total = self.total.saturating_add(list.len());
        if self.total > index.series_count as usize {
            let problem = "a label has more postings than there are series";
            return Err(index.file.corrupt(at, problem));
        }
        self.lists.push(list);
        Ok(())
    }

    /// Number of series.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// The series of all lists, ascending. O(postings), or O(postings log postings) for few.
    fn union(&self, index: &Index) -> Result<Cow<'a, [[u8; 4]]>, Error> {
        let (first, span) = index.span();
        match self.lists.as_slice() {
            [] => return Ok(Cow::Borrowed(&[])),
            [only] => return Ok(Cow::Borrowed(only)),
            _ => {}
        }
        // A bit for each place where a series can be: an eighth of a byte for 16 of the file.
        let words = span.div_ceil(64);
        if self.total < words / 16 {
            let mut union: Vec<_> = self.lists.iter().copied().flatten().copied().collect();
            union.sort_unstable();
            return Ok(Cow::Owned(union));
        }
        let mut bits = vec![0_u64; words];
        for bytes in self.lists.iter().copied().flatten() {
            let place = u32::from_be_bytes(*bytes);
            let bit = place.wrapping_sub(first) as usize;
            match bits.get_mut(bit / 64) {
                Some(word) => *word |= 1 << (bit % 64),
                None => return Err(index.leads_nowhere(place)),
            }
        }
        let mut union = Vec::with_capacity(self.total.min(span));
        for (at, mut word) in bits.into_iter().enumerate() {
            let base = first.wrapping_add((at as u32).wrapping_mul(64));
            while word != 0 {
                let place = base.wrapping_add(word.trailing_zeros());
                union.push(place.to_be_bytes());
                word &= word.wrapping_sub(1);
            }
        }
        Ok(Cow::Owned(union))
    }
}

/// References to the series found so far, ascending; at first all series.
pub(super) struct Found<'a> {
    index: &'a Index,
    references: Option<Vec<u32>>,
}

impl<'a> Found<'a> {
    pub(super) fn new(index: &'a Index) -> Self {
        Self {
            index,
            references: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.references.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether decoding the series found is less work than trying these values.
    pub(super) fn is_worth_filtering(&self, values: &Values<'_>) -> bool {
        let series = self.index.series_count as usize;
        let by_values = values.len().saturating_mul(VALUE).saturating_add(series);
        match &self.references {
            Some(found) => found.len().saturating_mul(SERIES) < by_values,
            None => false,
        }
    }

    /// Only those that are in one of the lists.
    pub(super) fn keep(&mut self, lists: &Lists<'_>) -> Result<(), Error> {
        let union = lists.union(self.index)?;
        match &mut self.references {
            Some(found) => retain(found, &union, true),
            None => self.references = Some(numbers(&union)),
        }
        Ok(())
    }

    /// Only those that are in none of the lists.
    pub(super) fn remove(&mut self, lists: &Lists<'_>) -> Result<(), Error> {
        let union = lists.union(self.index)?;
        let found = self
            .references
            .get_or_insert_with(|| numbers(self.index.all()));
        retain(found, &union, false);
        Ok(())
    }

    pub(super) fn into_ordinals(self) -> Result<Vec<u32>, Error> {
        let Some(mut found) = self.references else {
            return Ok((0..self.index.series_count).collect());
        };
        let all = self.index.all();
        let mut at = 0;
        for place in &mut found {
            at = seek(all, at, *place);
            if !is_at(all, at, *place) {
                return Err(self.index.leads_nowhere(*place));
            }
            *place = at as u32;
            at = at.saturating_add(1);
        }
        Ok(found)
    }
}

impl Index {
    /// The reference of the first series, and how many there are from it to the last.
    fn span(&self) -> (u32, usize) {
        let all = self.all();
        let first = reference(all, 0);
        let last = reference(all, all.len().saturating_sub(1));
        (
            first,
            (last.saturating_sub(first) as usize).saturating_add(1),
        )
    }

    #[cold]
    fn leads_nowhere(&self, place: u32) -> Error {
        let problem = format!("postings lead to {place}, where no series is");
        self.file.corrupt(self.toc.postings, problem)
    }
}

fn numbers(list: List<'_>) -> Vec<u32> {
    list.iter()
        .map(|&bytes| u32::from_be_bytes(bytes))
        .collect()
}

fn is_at(list: List<'_>, at: usize, place: u32) -> bool {
    list.get(at) == Some(&place.to_be_bytes())
}

/// Keeps those that are in a list, or those that are not. O(found × log(list / found)).
fn retain(found: &mut Vec<u32>, list: List<'_>, wanted: bool) {
    let mut at = 0;
    found.retain(|&place| {
        at = seek(list, at, place);
        is_at(list, at, place) == wanted
    });
}
