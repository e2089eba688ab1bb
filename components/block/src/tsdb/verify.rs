//! All that can be wrong with an index: each byte of it is looked at.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::Index;
use super::postings::{self, reference, seek};
use super::series::{ALIGNMENT, Record};
use super::toc::HEADER;
use super::write::FINGERPRINT_STEP;
use crate::error::Error;

/// Postings and label indices begin at multiples of this.
const LIST_ALIGNMENT: usize = 4;

/// A series has a label: symbols of its name and value, and the ordinal.
type Posting = (u32, u32, u32);

impl Index {
    /// Checks all: every checksum and byte, that symbols, labels and series are in order, that fingerprints are those of
    /// the labels and ordinals count the series, that postings are complete and lead to nothing else, and that the indices
    /// of labels list all values. O(labels of all series × log); 12 bytes of memory for each of these labels.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the first that is wrong.
    pub fn verify(&self) -> Result<(), Error> {
        debug_assert_eq!(self.toc.symbols, HEADER.len());
        self.symbols.verify(&self.file)?;
        let mut labels = self.verify_series()?;
        labels.sort_unstable();
        self.verify_postings(&labels)?;
        labels.dedup_by_key(|&mut (name, value, _)| (name, value));
        self.verify_label_indices(&labels)
    }

    fn verify_series(&self) -> Result<Vec<Posting>, Error> {
        let (file, toc) = (&self.file, &self.toc);
        let mut labels = Vec::new();
        let (mut record, mut before) = (Record::default(), Record::default());
        let mut bounds = Bounds::default();
        let mut fingerprints = self.fingerprints();
        let mut end = toc.series;
        for ordinal in 0..self.series_count {
            let at = file.aligned(end, ALIGNMENT, toc.label_indices)?;
            let place = reference(self.all(), ordinal as usize) as usize;
            if place.saturating_mul(ALIGNMENT) != at {
                return Err(file.corrupt(at, format!("series {ordinal} is not here")));
            }
            record.read(file, at, toc.label_indices, ordinal)?;
            if ordinal > 0 && record.labels <= before.labels {
                return Err(file.corrupt(at, "series do not ascend"));
            }
            let found = self.labels_of(&record)?.fingerprint().get();
            if found != record.fingerprint {
                return Err(file.corrupt(at, "the fingerprint is not that of the labels"));
            }
            if ordinal.is_multiple_of(FINGERPRINT_STEP)
                && fingerprints.next() != Some((place as u64, found))
            {
                let problem =
                    format!("the fingerprint of series {ordinal} is not where it should be");
                return Err(file.corrupt(toc.fingerprints, problem));
            }
            let mut names: Vec<_> = record.labels.iter().map(|&(name, _)| name).collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair.first() == pair.last()) {
                return Err(file.corrupt(at, "a series has a label twice"));
            }
            let pairs = record.labels.iter();
            labels.extend(pairs.map(|&(name, value)| (name, value, ordinal)));
            bounds.add(record.min_ns, record.max_ns);
            end = record.end;
            std::mem::swap(&mut record, &mut before);
        }
        if end != toc.label_indices {
            return Err(file.corrupt(end, "bytes behind the last series"));
        }
        if fingerprints.next().is_some() {
            return Err(file.corrupt(toc.fingerprints, "fingerprints of series that do not exist"));
        }
        if !bounds.are((toc.from_ns, toc.through_ns)) {
            let problem = "the times are not those of the series";
            return Err(file.corrupt(toc.end(file), problem));
        }
        Ok(labels)
    }

    /// References and fingerprints of the table of fingerprints, whose checksum `open` has seen.
    fn fingerprints(&self) -> impl Iterator<Item = (u64, u64)> {
        let at = self.toc.fingerprints;
        let section = self.file.section(at, self.toc.end(&self.file), "");
        let mut body = section.map_or(self.file.reader(at, at), |section| section.body);
        let count = body.u32().map_or(0, |count| count as usize);
        // A table of another length than it says gives one entry too many.
        let wrong = body.left() != count.saturating_mul(16);
        std::iter::from_fn(move || Some((body.u64()?, body.u64()?)))
            .chain(wrong.then_some((u64::MAX, 0)))
    }

    /// Walks the table in step with what the series have: both are in the same order.
    fn verify_postings(&self, labels: &[Posting]) -> Result<(), Error> {
        let (file, toc, all) = (&self.file, &self.toc, self.all());
        let mut expected = labels.iter();
        let mut end = toc.postings;
        for (index, entry) in self.table.entries(file).enumerate() {
            let start = file.aligned(end, LIST_ALIGNMENT, toc.label_table)?;
            if entry.list != start {
                return Err(file.corrupt(entry.at, format!("its postings are not at {start}")));
            }
            let (list, list_end) = postings::list_and_end(file, toc, start)?;
            end = list_end;
            if index == 0 {
                continue;
            }
            if list.is_empty() {
                return Err(file.corrupt(start, "no series has this label"));
            }
            let mut ordinal = 0;
            for &bytes in list {
                let place = u32::from_be_bytes(bytes);
                ordinal = seek(all, ordinal, place);
                let is_next = match expected.next() {
                    Some(&(name, value, series)) => {
                        self.symbol(name)?.as_bytes() == entry.name
                            && self.symbol(value)?.as_bytes() == entry.value
                            && series as usize == ordinal
                            && reference(all, ordinal) == place
                    }
                    None => false,
                };
                if !is_next {
                    return Err(file.corrupt(start, "postings are not those of the series"));
                }
            }
        }
        if expected.next().is_some() {
            return Err(file.corrupt(toc.postings_table, "postings are missing"));
        }
        if end != toc.label_table {
            return Err(file.corrupt(end, "bytes behind the last postings"));
        }
        Ok(())
    }

    /// Given each label with its value once, in order.
    fn verify_label_indices(&self, labels: &[Posting]) -> Result<(), Error> {
        let (file, toc) = (&self.file, &self.toc);
        let what = "the table of label indices";
        let mut table = file.section_to(toc.label_table, toc.postings_table, what)?;
        let groups = labels.chunk_by(|(a, _, _), (b, _, _)| a == b);
        let mut left = table.u32();
        let mut end = toc.label_indices;
        for group in groups {
            let start = file.aligned(end, LIST_ALIGNMENT, toc.postings)?;
            let at = table.at();
            let entry = (table.uvarint(), table.text(), table.uvarint());
            let name = group
                .first()
                .map_or(Ok(""), |&(name, _, _)| self.symbol(name))?;
            if entry != (Some(1), Some(name.as_bytes()), Some(start as u64)) {
                let problem = format!("the index of label {name:.100} is not at {start}");
                return Err(file.corrupt(at, problem));
            }
            left = left.and_then(|left| left.checked_sub(1));
            let mut section = file.section(start, toc.postings, "a label index")?;
            end = section.end;
            let head = (section.body.u32(), section.body.u32());
            let values = group.iter().map(|&(_, value, _)| Some(value));
            if head != (Some(1), Some(group.len() as u32))
                || !values.eq(std::iter::from_fn(|| section.body.u32().map(Some)))
                || section.body.left() > 0
            {
                return Err(file.corrupt(start, "a label index has other values than the series"));
            }
        }
        if left != Some(0) || table.left() > 0 {
            return Err(file.corrupt(
                toc.label_table,
                "label indices of labels that no series has",
            ));
        }
        if end != toc.postings {
            return Err(file.corrupt(end, "bytes behind the last label index"));
        }
        Ok(())
    }
}

/// Times of all series.
#[derive(Default)]
struct Bounds {
    exact: Option<(i64, i64)>,
    upstream: (i64, i64),
}

impl Bounds {
    fn add(&mut self, min: i64, max: i64) {
        self.exact = Some(match self.exact {
            None => (min, max),
            Some((from, through)) => (from.min(min), through.max(max)),
        });
        // QUIRK: 0 counts as not yet set.
        let (from, through) = &mut self.upstream;
        if *from == 0 || min < *from {
            *from = min;
        }
        if *through == 0 || max > *through {
            *through = max;
        }
    }

    fn are(&self, stored: (i64, i64)) -> bool {
        stored == self.exact.unwrap_or_default() || stored == self.upstream
    }
}
