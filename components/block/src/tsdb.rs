//! `index.tsdb`: the series of a block, and which of them have which labels.
//!
//! A series has an ordinal, its place in the order of label sets; the table of profiles knows it by that. Inside of the
//! file a series is referred to by the position of its record. Format: blocks.md 2.

mod found;
mod postings;
mod reader;
mod select;
mod series;
mod source;
mod symbols;
mod toc;
mod verify;
mod write;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use phlare_model::labels::{Fingerprint, Labels};

use self::postings::List;
use self::series::{ALIGNMENT, Record};
use self::source::Source;
use self::symbols::Symbols;
use self::toc::Toc;
use crate::error::Error;

pub use self::write::write;

/// A series, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesEntry {
    /// Its labels, in the order in which they are stored.
    pub labels: Labels,
    /// Time of its first profile, in nanoseconds since the epoch.
    pub min_ns: i64,
    /// Time of its last profile, in nanoseconds since the epoch.
    pub max_ns: i64,
}

/// An index in memory, which is decoded as far as it is asked. Beside the file it takes half a byte for each text and an
/// eighth for each label name with value.
///
/// Opening checks the table of contents, the tables and the list of all series; series and other lists are checked
/// whenever they are read, so all methods can find damage: [`Error::Corrupt`]. What nobody reads here (the indices of
/// labels, the order of series) is checked by [`verify`](Self::verify) only.
pub struct Index {
    file: Source,
    toc: Toc,
    symbols: Symbols,
    table: postings::Table,
    /// Where the references to all series are.
    all: Range<usize>,
    series_count: u32,
}

impl Index {
    /// Takes a whole file over; `name` names it in errors. O(texts + labels with values + series), without decoding series.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Unsupported`] for another version of the format.
    pub fn open(bytes: Bytes, name: String) -> Result<Self, Error> {
        let file = Source::new(bytes, name);
        let toc = Toc::read(&file)?;
        let symbols = Symbols::open(&file, &toc)?;
        let table = postings::Table::open(&file, &toc)?;
        file.section_to(
            toc.fingerprints,
            toc.end(&file),
            "the table of fingerprints",
        )?;
        let at = table.all();
        let all = postings::list(&file, &toc, at)?;
        let series_count = all.len() as u32;
        let first = postings::reference(all, 0) as usize;
        let last = all.last().map_or(0, |&last| u32::from_be_bytes(last)) as usize;
        let leads_to_series = all.is_empty()
            || all.is_sorted_by(|a, b| a < b)
                && first.saturating_mul(ALIGNMENT) >= toc.series
                && last.saturating_mul(ALIGNMENT) < toc.label_indices;
        if !leads_to_series {
            return Err(file.corrupt(at, "postings of all series lead elsewhere"));
        }
        // Length of the section and number of references come before them.
        let start = at.saturating_add(8);
        let all = start..start.saturating_add(all.as_flattened().len());
        Ok(Self {
            file,
            toc,
            symbols,
            table,
            all,
            series_count,
        })
    }

    /// Number of series; ordinals are below.
    #[must_use]
    pub fn series_count(&self) -> u32 {
        self.series_count
    }

    /// Bytes of memory held, those of the file included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.file.len() + self.symbols.size_bytes() + self.table.size_bytes()
    }

    /// Times of the first and the last profile of all series, in nanoseconds since the epoch; zeros if there are none.
    #[must_use]
    pub fn bounds_ns(&self) -> (i64, i64) {
        (self.toc.from_ns, self.toc.through_ns)
    }

    /// The labels of a series, in stored order.
    ///
    /// # Errors
    /// [`Error::Corrupt`], also if there is no such series: what asks for it is at odds with the index.
    pub fn labels(&self, ordinal: u32) -> Result<Labels, Error> {
        self.labels_of(&self.record(ordinal)?)
    }

    /// Labels and times of a series.
    ///
    /// # Errors
    /// As [`Self::labels`].
    pub fn entry(&self, ordinal: u32) -> Result<SeriesEntry, Error> {
        let record = self.record(ordinal)?;
        Ok(SeriesEntry {
            labels: self.labels_of(&record)?,
            min_ns: record.min_ns,
            max_ns: record.max_ns,
        })
    }

    /// The fingerprint of a series, as it is stored.
    ///
    /// # Errors
    /// As [`Self::labels`].
    pub fn fingerprint(&self, ordinal: u32) -> Result<Fingerprint, Error> {
        Ok(Fingerprint::from_u64(self.record(ordinal)?.fingerprint))
    }

    /// Times of the first and the last profile of a series, in nanoseconds since the epoch.
    ///
    /// # Errors
    /// As [`Self::labels`].
    pub fn times_ns(&self, ordinal: u32) -> Result<(i64, i64), Error> {
        let record = self.record(ordinal)?;
        Ok((record.min_ns, record.max_ns))
    }

    /// All label names, ascending.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn label_names(&self) -> Result<Vec<&str>, Error> {
        let names = self.table.names(&self.file);
        names
            .map(|entry| self.file.text(entry.name, entry.at))
            .collect()
    }

    /// All values of a label, ascending; none if no series has it.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn label_values(&self, name: &str) -> Result<Vec<&str>, Error> {
        let values = self.table.values(&self.file, name).into_iter().flatten();
        values
            .map(|entry| self.file.text(entry.value, entry.at))
            .collect()
    }

    fn all(&self) -> List<'_> {
        self.file.slice(self.all.clone()).as_chunks().0
    }

    fn record(&self, ordinal: u32) -> Result<Record, Error> {
        let mut record = Record::default();
        self.read(ordinal, &mut record)?;
        Ok(record)
    }

    fn read(&self, ordinal: u32, into: &mut Record) -> Result<(), Error> {
        if ordinal >= self.series_count {
            let problem = format!("series {ordinal} is asked for, {} exist", self.series_count);
            return Err(self.file.corrupt(self.table.all(), problem));
        }
        // A series ends before the next begins, so that reading all of them reads the file once.
        let start_of = |at: usize| {
            let all = self.all();
            (at < all.len()).then(|| postings::reference(all, at) as usize * ALIGNMENT)
        };
        let at = start_of(ordinal as usize).unwrap_or_default();
        let limit = start_of(ordinal as usize + 1).unwrap_or(self.toc.label_indices);
        into.read(&self.file, at, limit, ordinal)
    }

    fn labels_of(&self, record: &Record) -> Result<Labels, Error> {
        let mut pairs = Vec::with_capacity(record.labels.len());
        for &(name, value) in &record.labels {
            pairs.push((self.symbol(name)?, self.symbol(value)?));
        }
        Ok(Labels::in_stored_order(pairs))
    }

    fn symbol(&self, symbol: u32) -> Result<&str, Error> {
        self.symbols.get(&self.file, symbol)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("file", &self.file.name())
            .field("toc", &self.toc)
            .field("series", &self.series_count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
