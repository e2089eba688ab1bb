//! Reads a table.

use std::fmt;
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::Arc;

use super::details::{self, Details};
use super::fetch::fetch;
use super::footer::{Footer, Group};
use super::headers::{self, Headers};
use super::samples::{self, Columns, SampleRow};
use super::scan::Scan;
use super::schema::Leaf;
use super::source::Source;
use super::verify::{self, Verified};
use crate::error::Error;
use crate::files::Files;

/// A table of profiles, or its downsampled form. Holds where pages are, no page; cheap to keep open.
///
/// Rows are named by row group and place in it. Errors of all methods that read: what [`Files::read`] says,
/// [`Error::Corrupt`] with the byte of the page at fault, [`Error::Unsupported`].
pub struct Profiles {
    pub(crate) source: Source,
    pub(crate) footer: Arc<Footer>,
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiles")
            .field("source", &self.source)
            .field("rows", &self.footer.rows)
            .finish_non_exhaustive()
    }
}

impl Profiles {
    /// Opens a file of a block. Reads the end of the file: once, or twice if the page indexes are large.
    ///
    /// # Errors
    /// As all methods.
    pub fn open(files: Arc<dyn Files>, file: &str, size: u64) -> Result<Self, Error> {
        let source = Source::new(files, file, size);
        let footer = Arc::new(Footer::read(&source)?);
        Ok(Self { source, footer })
    }

    /// The same table, read through other files: what is known of it is shared. Reads nothing.
    #[must_use]
    pub fn through(&self, files: Arc<dyn Files>) -> Self {
        Self {
            source: self.source.through(files),
            footer: Arc::clone(&self.footer),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.footer.rows
    }

    /// Number of samples, as the footer says.
    #[must_use]
    pub fn samples_stored(&self) -> u64 {
        let groups = self.footer.groups.iter();
        groups
            .filter_map(|group| group.chunk(Leaf::Value))
            .map(|chunk| chunk.values)
            .sum()
    }

    /// The rows of each row group, counted in the file.
    pub fn row_groups(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        let rows = |group: &Group| group.first_row..group.first_row + u64::from(group.rows);
        self.footer.groups.iter().map(rows)
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.footer.size_bytes()
    }

    /// Whether some sample may have a span.
    #[must_use]
    pub fn has_spans(&self) -> bool {
        self.may_have(Leaf::Span)
    }

    /// Whether some sample may have a trace.
    #[must_use]
    pub fn has_traces(&self) -> bool {
        self.may_have(Leaf::Trace)
    }

    /// Whether rows hold their totals. If not, [`Self::totals`] adds samples up.
    #[must_use]
    pub fn has_totals(&self) -> bool {
        self.footer
            .groups
            .iter()
            .all(|group| group.chunk(Leaf::Total).is_some())
    }

    /// Whether rows hold the partition of their symbols; if not, it is 0.
    #[must_use]
    pub fn has_partitions(&self) -> bool {
        self.footer
            .groups
            .iter()
            .all(|group| group.chunk(Leaf::Partition).is_some())
    }

    fn may_have(&self, leaf: Leaf) -> bool {
        let chunks = self
            .footer
            .groups
            .iter()
            .filter_map(|group| group.chunk(leaf));
        chunks.into_iter().any(|chunk| chunk.may_have_values)
    }

    /// The headers of a row group. One read.
    ///
    /// # Errors
    /// As all methods.
    pub fn headers(&self, row_group: usize) -> Result<Headers, Error> {
        let group = self.group(row_group)?;
        headers::headers(&self.source, group, all(group))
    }

    /// How many pages of headers a row group has. In our tables a page has about 4096 rows; in those of upstream it
    /// mostly has all. No read.
    ///
    /// # Errors
    /// As all methods.
    pub fn header_page_count(&self, row_group: usize) -> Result<usize, Error> {
        let chunk = self.group(row_group)?.chunk(Leaf::Series);
        Ok(chunk.map_or(0, |chunk| chunk.pages.len()))
    }

    /// The pages of headers that may hold rows of one of these series, which ascend, in a time range, as the page
    /// index says. No read.
    ///
    /// # Errors
    /// As all methods.
    pub fn header_pages(
        &self,
        row_group: usize,
        series: &[u32],
        time_ns: &RangeInclusive<i64>,
    ) -> Result<Vec<usize>, Error> {
        Ok(headers::pages_of(self.group(row_group)?, series, time_ns))
    }

    /// The headers of pages, which ascend; each apart, to be kept and joined: [`Headers::join`]. One read.
    ///
    /// # Errors
    /// As all methods.
    pub fn headers_of(&self, row_group: usize, pages: &[usize]) -> Result<Vec<Headers>, Error> {
        headers::of_pages(&self.source, self.group(row_group)?, pages)
    }

    /// Calls `each` for rows of a row group, given as ranges that ascend, until it breaks. One read of all pages that
    /// are needed; samples are decoded some ten thousand at a time.
    ///
    /// # Errors
    /// As all methods.
    pub fn samples(
        &self,
        row_group: usize,
        rows: &[Range<u32>],
        want: Columns,
        each: &mut dyn FnMut(SampleRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let group = self.group(row_group)?;
        self.check(group, rows)?;
        samples::samples(&self.source, group, rows, want, each)
    }

    /// Sums of the values of rows. One read; of the samples if the file has no totals.
    ///
    /// # Errors
    /// As all methods.
    pub fn totals(&self, row_group: usize, rows: &[Range<u32>]) -> Result<Vec<u64>, Error> {
        let group = self.group(row_group)?;
        self.check(group, rows)?;
        if group.chunk(Leaf::Total).is_some() {
            return headers::totals(&self.source, group, rows);
        }
        let mut totals = Vec::new();
        samples::samples(&self.source, group, rows, Columns::default(), &mut |row| {
            totals.push(total(row.values));
            ControlFlow::Continue(())
        })?;
        Ok(totals)
    }

    /// Ids of the pushed profiles that rows were made of; empty for a downsampled table. One read.
    ///
    /// # Errors
    /// As all methods.
    pub fn ids(&self, row_group: usize, rows: &[Range<u32>]) -> Result<Vec<[u8; 16]>, Error> {
        let group = self.group(row_group)?;
        self.check(group, rows)?;
        let fetched = fetch(&self.source, group, &[Leaf::Id], rows)?;
        details::ids(&self.source, group, rows, &fetched)
    }

    /// What else is known of rows. One read.
    ///
    /// # Errors
    /// As all methods.
    pub fn details(&self, row_group: usize, rows: &[Range<u32>]) -> Result<Vec<Details>, Error> {
        let group = self.group(row_group)?;
        self.check(group, rows)?;
        let fetched = fetch(&self.source, group, &details::LEAVES, rows)?;
        let mut details = details::read(&self.source, group, rows, &fetched)?;
        let numbers = rows.iter().flat_map(Clone::clone);
        for (one, row) in details.iter_mut().zip(numbers) {
            let text = self.footer.doc_urls.get(group.first_row + u64::from(row));
            one.doc_url.push_str(text);
        }
        Ok(details)
    }

    /// The documentation link of a row; empty if there is none. No read.
    #[must_use]
    pub fn doc_url(&self, row_group: usize, row: u32) -> &str {
        let group = self.footer.groups.get(row_group);
        group.map_or("", |group| {
            let row = group.first_row.saturating_add(u64::from(row));
            self.footer.doc_urls.get(row)
        })
    }

    /// All of the rows of a range of the file, one after another. About `window_bytes` of pages are in memory at once;
    /// more if a page is larger.
    #[must_use]
    pub fn scan(&self, rows: Range<u64>, window_bytes: usize) -> Scan<'_> {
        Scan::new(self, rows, window_bytes)
    }

    /// Reads everything and checks that it fits together: each page decodes and has the rows and bounds that the page
    /// index says, rows are sorted by series and time, values are greater than 0 and add up to the totals.
    ///
    /// # Errors
    /// As all methods.
    pub fn verify(&self) -> Result<Verified, Error> {
        verify::verify(self)
    }

    pub(crate) fn group(&self, row_group: usize) -> Result<&Group, Error> {
        let missing = || {
            let problem = format!("it has no row group {row_group}");
            self.source.corrupt(self.source.size(), problem)
        };
        self.footer.groups.get(row_group).ok_or_else(missing)
    }

    fn check(&self, group: &Group, rows: &[Range<u32>]) -> Result<(), Error> {
        let ascend = rows.windows(2).all(|pair| pair[0].end <= pair[1].start);
        let end = rows.last().map_or(0, |last| last.end);
        match ascend && end <= group.rows && rows.iter().all(|range| range.start <= range.end) {
            true => Ok(()),
            false => Err(self.source.corrupt(
                self.source.size(),
                format!(
                    "rows up to {end} are not in a row group of {} rows",
                    group.rows
                ),
            )),
        }
    }
}

fn all(group: &Group) -> Vec<Range<u32>> {
    std::iter::once(0..group.rows).collect()
}

/// Sum of values, as totals wrap.
pub(crate) fn total(values: &[i64]) -> u64 {
    values
        .iter()
        .fold(0, |sum, &value| sum.wrapping_add(value as u64))
}
