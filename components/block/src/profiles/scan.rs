//! All columns of all rows, one after another: what compaction reads.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Row;
use super::details::{self, Details};
use super::fetch::{Fetched, fetch};
use super::footer::Group;
use super::headers::{self, Headers};
use super::reader::{Profiles, total};
use super::samples::{Columns, SampleBatch, SampleReader};
use super::schema::Leaf;
use crate::error::Error;

/// Rows of a window are decoded together, samples in batches of it.
const WINDOW_ROWS: u32 = 16 << 10;

/// Walks over rows. What a row holds is valid until the next one is asked for.
pub struct Scan<'a> {
    profiles: &'a Profiles,
    /// What has not been loaded.
    rest: Range<u64>,
    window_bytes: u64,
    window: Option<Window<'a>>,
    batch: SampleBatch,
}

/// Successive rows of a row group whose pages are in memory.
struct Window<'a> {
    group: &'a Group,
    rows: Range<u32>,
    headers: Headers,
    ids: Vec<[u8; 16]>,
    details: Vec<Details>,
    samples: SampleReader<'a>,
    fetched: Arc<Fetched>,
    /// Rows of the window whose samples are in the batch.
    batch: Range<u32>,
    /// The row to be given out next.
    next: u32,
}

impl fmt::Debug for Scan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

impl<'a> Scan<'a> {
    pub(crate) fn new(profiles: &'a Profiles, rows: Range<u64>, window_bytes: usize) -> Self {
        Self {
            profiles,
            rest: rows.start..rows.end.min(profiles.rows()),
            window_bytes: window_bytes as u64,
            window: None,
            batch: SampleBatch::default(),
        }
    }

    /// The next row; `None` behind the last.
    ///
    /// # Errors
    /// As all methods of [`Profiles`]. There is no going on after one.
    #[expect(clippy::should_implement_trait, reason = "rows borrow from the scan")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>, Error> {
        if self
            .window
            .as_ref()
            .is_none_or(|window| window.next >= window.rows.end)
        {
            self.window = None;
            if !self.load()? {
                return Ok(None);
            }
        }
        let Some(window) = &mut self.window else {
            return Ok(None);
        };
        let row = window.next;
        if row >= window.batch.end {
            let behind = row..window.rows.end;
            window.batch = window.samples.batches(behind).next().unwrap_or(row..row);
            window.samples.read(window.batch.clone(), &mut self.batch)?;
        }
        window.next = row.saturating_add(1);
        Ok(Some(window.row(row, self.profiles, &self.batch)))
    }

    /// Bytes of memory in use.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let window = self.window.as_ref().map_or(0, |window| {
            let details = window
                .details
                .capacity()
                .saturating_mul(size_of::<Details>());
            let ids = window.ids.capacity().saturating_mul(16);
            let headers = window.headers.size_bytes();
            let rows = details.saturating_add(ids).saturating_add(headers);
            rows.saturating_add(window.fetched.len_bytes())
        });
        window.saturating_add(self.batch.size_bytes())
    }

    /// Reads the next window; `false` if there is none.
    fn load(&mut self) -> Result<bool, Error> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        let Profiles { source, footer } = self.profiles;
        let behind = footer
            .groups
            .partition_point(|group| group.first_row <= self.rest.start);
        let group = self.profiles.group(behind.saturating_sub(1))?;
        let start = self.rest.start.saturating_sub(group.first_row) as u32;
        let end = self.rest.end.saturating_sub(group.first_row);
        let end = end.min(u64::from(group.rows)) as u32;
        let rows = start..self.window_end(group, start).min(end);
        self.rest.start = group.first_row.saturating_add(u64::from(rows.end));
        let want = Columns {
            spans: true,
            traces: true,
        };
        let of_samples = want.leaves(group);
        let mut leaves = vec![
            Leaf::Id,
            Leaf::Series,
            Leaf::Time,
            Leaf::Total,
            Leaf::Partition,
        ];
        leaves.extend(details::LEAVES);
        leaves.extend(&of_samples);
        let range = std::slice::from_ref(&rows);
        let fetched = fetch(source, group, &leaves, range)?;
        self.window = Some(Window {
            group,
            headers: headers::decode(source, group, range.to_vec(), &fetched)?,
            ids: details::ids(source, group, range, &fetched)?,
            details: details::read(source, group, range, &fetched)?,
            samples: SampleReader::new(source, group, &of_samples, &fetched)?,
            fetched,
            batch: rows.start..rows.start,
            next: rows.start,
            rows,
        });
        Ok(true)
    }

    /// Where a window that begins at a row ends: at the end of a page of values, the largest column.
    fn window_end(&self, group: &Group, start: u32) -> u32 {
        let mut end = start;
        let Some(chunk) = group.chunk(Leaf::Value) else {
            return group.rows;
        };
        let mut bytes = 0u64;
        for page in chunk.pages_of(std::slice::from_ref(&(start..group.rows))) {
            let span = chunk.page_span(page);
            // As much again for the other columns.
            bytes = bytes.saturating_add(span.end.saturating_sub(span.start).saturating_mul(2));
            let rows = chunk.page_rows(page, group.rows);
            if end > start && bytes > self.window_bytes {
                break;
            }
            end = rows.end;
        }
        end.min(start.saturating_add(WINDOW_ROWS))
    }
}

impl Window<'_> {
    fn row<'b>(&'b self, row: u32, profiles: &'b Profiles, batch: &'b SampleBatch) -> Row<'b> {
        let i = row.saturating_sub(self.rows.start) as usize;
        let samples = batch.row(row.saturating_sub(self.batch.start) as usize);
        let headers = &self.headers;
        let file_row = self.group.first_row.saturating_add(u64::from(row));
        let sum = || total(samples.values);
        let details = self.details.get(i);
        Row {
            id: self.ids.get(i).copied().unwrap_or_default(),
            series: headers.series.get(i).copied().unwrap_or_default(),
            partition: headers.partition.get(i).copied().unwrap_or_default(),
            total: headers.total.get(i).copied().unwrap_or_else(sum),
            time_ns: headers.time_ns.get(i).copied().unwrap_or_default(),
            duration_ns: details.map_or(0, |details| details.duration_ns),
            period: details.map_or(0, |details| details.period),
            default_sample_type: details.map_or(0, |details| details.default_sample_type),
            stacktraces: samples.stacktraces,
            values: samples.values,
            spans: samples.spans,
            traces: samples.traces,
            annotations: details.map_or(&[], |details| &details.annotations),
            doc_url: profiles.footer.doc_urls.get(file_row),
        }
    }
}
