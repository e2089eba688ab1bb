//! Reading parts of tables: the same rows as reading all of it, and not more bytes than needed.

use std::ops::{ControlFlow, Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use phlare_block::profiles::{Columns, Headers, Options, Profiles};
use phlare_block::{Error, Files, LocalFiles};

use crate::tables::{Owned, open, real, rows, write};

/// Counts what is read.
#[derive(Debug)]
struct Counting {
    files: LocalFiles,
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Files for Counting {
    fn location(&self) -> String {
        self.files.location()
    }

    fn size(&self, file: &str) -> Result<u64, Error> {
        self.files.size(file)
    }

    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let bytes = ranges.iter().map(|range| range.end - range.start).sum();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        assert!(
            ranges.windows(2).all(|pair| pair[0].end <= pair[1].start),
            "ranges ascend and do not overlap"
        );
        self.files.read(file, ranges)
    }
}

impl Counting {
    fn open(path: &Path) -> (Arc<Self>, Profiles) {
        let files = Arc::new(Self {
            files: LocalFiles::new(path.parent().unwrap()),
            reads: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let size = path.metadata().unwrap().len();
        let file = path.file_name().unwrap().to_str().unwrap();
        let table = Profiles::open(Arc::clone(&files) as Arc<dyn Files>, file, size).unwrap();
        (files, table)
    }

    /// Reads and bytes since the last call.
    fn take(&self) -> (u64, u64) {
        let reads = self.reads.swap(0, Ordering::Relaxed);
        (reads, self.bytes.swap(0, Ordering::Relaxed))
    }
}

/// Ranges of rows, some next to each other, some of one row.
fn some_ranges(rows: u32) -> Vec<Vec<Range<u32>>> {
    let every = |step: u32, length: u32| {
        let starts = (0..rows).step_by(step as usize);
        starts
            .map(|start| start..(start + length).min(rows))
            .collect()
    };
    vec![
        every(rows.max(1), rows),
        every(2, 1),
        every(3, 3),
        every(7, 2),
        every(50, 1),
        Vec::new(),
    ]
}

fn samples(table: &Profiles, group: usize, ranges: &[Range<u32>]) -> Vec<Owned> {
    let want = Columns {
        spans: true,
        traces: true,
    };
    let mut found = Vec::new();
    table
        .samples(group, ranges, want, &mut |row| {
            found.push(Owned {
                series: row.row,
                stacktraces: row.stacktraces.to_vec(),
                values: row.values.to_vec(),
                spans: row.spans.to_vec(),
                traces: row.traces.to_vec(),
                ..Owned::default()
            });
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

/// Tables as upstream wrote them, and the same rows on many small pages.
fn tables(directory: &Path) -> Vec<(String, Profiles)> {
    let mut tables = Vec::new();
    for (i, (name, path)) in real().into_iter().enumerate() {
        let file = directory.join(format!("{i}.parquet"));
        let options = Options {
            sample_page_bytes: 1 << 10,
            header_page_rows: 7,
            row_group_rows: 60,
            ..Options::default()
        };
        let table = open(&path);
        let rows: Vec<_> = rows(&table)
            .unwrap()
            .into_iter()
            .map(Owned::without_zeros)
            .collect();
        write(&file, options, &rows);
        tables.push((format!("{name}, small pages"), open(&file)));
        tables.push((name, table));
    }
    tables
}

#[test]
fn row_ranges_have_the_samples_of_their_rows() {
    let directory = tempfile::tempdir().unwrap();
    for (name, table) in tables(directory.path()) {
        let all = rows(&table).unwrap();
        for (group, range) in table.row_groups().enumerate() {
            for ranges in some_ranges((range.end - range.start) as u32) {
                let found = samples(&table, group, &ranges);
                let wanted: Vec<u32> = ranges.iter().flat_map(Clone::clone).collect();
                let numbers: Vec<u32> = found.iter().map(|row| row.series).collect();
                assert_eq!(numbers, wanted, "{name}");
                for row in found {
                    let expected = &all[range.start as usize + row.series as usize];
                    assert_eq!(
                        row.stacktraces, expected.stacktraces,
                        "{name} row {}",
                        row.series
                    );
                    assert_eq!(row.values, expected.values, "{name} row {}", row.series);
                    assert_eq!(row.spans, expected.spans, "{name} row {}", row.series);
                    assert_eq!(row.traces, expected.traces, "{name} row {}", row.series);
                }
            }
        }
    }
}

#[test]
fn details_and_ids_are_those_of_the_rows() {
    let directory = tempfile::tempdir().unwrap();
    for (name, table) in tables(directory.path()) {
        let all = rows(&table).unwrap();
        for (group, range) in table.row_groups().enumerate() {
            for ranges in some_ranges((range.end - range.start) as u32) {
                let ids = table.ids(group, &ranges).unwrap();
                let details = table.details(group, &ranges).unwrap();
                let wanted: Vec<u32> = ranges.iter().flat_map(Clone::clone).collect();
                assert_eq!(
                    (ids.len(), details.len()),
                    (wanted.len(), wanted.len()),
                    "{name}"
                );
                for ((id, one), row) in ids.iter().zip(details).zip(wanted) {
                    let expected = &all[range.start as usize + row as usize];
                    assert_eq!(*id, expected.id, "{name} row {row}");
                    assert_eq!(one.duration_ns, expected.duration_ns, "{name} row {row}");
                    assert_eq!(one.period, expected.period, "{name} row {row}");
                    assert_eq!(one.annotations, expected.annotations, "{name} row {row}");
                    assert_eq!(one.doc_url, expected.doc_url, "{name} row {row}");
                    let default = one.default_sample_type;
                    assert_eq!(default, expected.default_sample_type, "{name} row {row}");
                }
            }
        }
    }
}

/// Rows of the file that a series has in a time range, found through headers.
/// The headers of the pages that may hold rows of series in a time range.
fn headers_for(
    table: &Profiles,
    group: usize,
    series: &[u32],
    time_ns: RangeInclusive<i64>,
) -> Headers {
    let pages = table.header_pages(group, series, &time_ns).unwrap();
    assert!(pages.len() <= table.header_page_count(group).unwrap());
    let headers = Headers::join(&table.headers_of(group, &pages).unwrap());
    for (place, row) in headers.rows.iter().flat_map(Clone::clone).enumerate() {
        assert_eq!(headers.place(row), Some(place));
    }
    headers
}

fn found(headers: &Headers, first: u64, series: u32, from: i64, to: i64) -> Vec<u64> {
    let places = headers.find(series, from..=to);
    let ranges = headers.rows_at(places);
    ranges
        .into_iter()
        .flatten()
        .map(|row| first + u64::from(row))
        .collect()
}

#[test]
fn headers_find_the_rows_of_a_series() {
    let directory = tempfile::tempdir().unwrap();
    for (name, table) in tables(directory.path()) {
        let all = rows(&table).unwrap();
        let last = all.iter().map(|row| row.series).max().unwrap();
        for (group, range) in table.row_groups().enumerate() {
            let headers = table.headers(group).unwrap();
            assert_eq!(headers.len() as u64, range.end - range.start, "{name}");
            for series in 0..=last + 1 {
                let always = i64::MIN..=i64::MAX;
                let few = headers_for(&table, group, &[series], always.clone());
                let some = headers_for(&table, group, &[series, last, last + 7], always);
                let times = all
                    .iter()
                    .filter(|row| row.series == series)
                    .map(|row| row.time_ns);
                let times: Vec<_> = times.collect();
                let middle = times.get(times.len() / 2).copied().unwrap_or(0);
                for (from, to) in [
                    (i64::MIN, i64::MAX),
                    (middle, middle),
                    (middle, i64::MAX),
                    (1, 0),
                ] {
                    let is_in = |&row: &u64| {
                        let row = &all[row as usize];
                        row.series == series && (from..=to).contains(&row.time_ns)
                    };
                    let expected: Vec<u64> = range.clone().filter(is_in).collect();
                    let narrow = headers_for(&table, group, &[series], from..=to);
                    for headers in [&headers, &few, &some, &narrow] {
                        let rows = found(headers, range.start, series, from, to);
                        assert_eq!(rows, expected, "{name}: series {series} in {from}..={to}");
                    }
                }
            }
        }
    }
}

#[test]
fn parts_of_a_table_cost_one_read_of_their_pages() {
    let directory = tempfile::tempdir().unwrap();
    let golden = |(name, _): &(String, _)| name.contains("v3-golden");
    let Some((_, path)) = real().into_iter().find(golden) else {
        return;
    };
    let file = directory.path().join("profiles.parquet");
    let options = Options {
        sample_page_bytes: 2 << 10,
        header_page_rows: 10,
        ..Options::default()
    };
    write(&file, options, &rows(&open(&path)).unwrap());
    let size = file.metadata().unwrap().len();

    let (files, table) = Counting::open(&file);
    assert_eq!(files.take(), (1, size.min(64 << 10)), "one read opens it");
    let headers = table.headers(0).unwrap();
    let (reads, all) = files.take();
    assert_eq!(reads, 1);
    let always = i64::MIN..=i64::MAX;
    let few = headers_for(&table, 0, &[20], always.clone());
    let (reads, bytes) = files.take();
    assert!(reads == 1 && bytes * 3 < all, "{bytes} of {all}");
    assert!(few.len() < 40 && few.size_bytes() * 3 < headers.size_bytes());
    assert_eq!(few.place(u32::MAX), None);
    assert!(headers_for(&table, 0, &[9999], always).is_empty());
    assert_eq!(files.take().0, 0, "no page may hold that series");
    let newest = headers.time_ns.iter().copied().max().unwrap();
    let later = newest + 1..=i64::MAX;
    assert!(headers_for(&table, 0, &[20], later).is_empty());
    assert_eq!(files.take().0, 0, "no page may hold that time");

    let each = &mut |_: phlare_block::profiles::SampleRow<'_>| ControlFlow::Continue(());
    let rows = 0..142;
    table
        .samples(0, std::slice::from_ref(&rows), Columns::default(), each)
        .unwrap();
    let (reads, all) = files.take();
    assert_eq!(reads, 1);
    table
        .samples(0, &[20..23, 100..101], Columns::default(), each)
        .unwrap();
    let (reads, bytes) = files.take();
    assert!(reads == 1 && bytes * 3 < all, "{bytes} of {all}");
    table.samples(0, &[], Columns::default(), each).unwrap();
    assert_eq!(files.take().0, 0);
}

#[test]
fn reading_stops_where_the_caller_wants() {
    for (_, path) in real() {
        let mut rows = 0;
        let table = open(&path);
        table
            .samples(0, &[0..1, 1..2], Columns::default(), &mut |_| {
                rows += 1;
                ControlFlow::Break(())
            })
            .unwrap();
        assert_eq!(rows, 1);
    }
}

#[test]
fn rows_that_are_not_there_are_refused() {
    for (name, path) in real() {
        let table = open(&path);
        let rows = table.rows() as u32;
        let each = &mut |_: phlare_block::profiles::SampleRow<'_>| ControlFlow::Continue(());
        for ranges in [vec![0..1, 1..rows + 1], vec![2..3, 0..1], vec![1..2, 1..2]] {
            assert!(
                table.samples(0, &ranges, Columns::default(), each).is_err(),
                "{name}"
            );
            assert!(table.ids(0, &ranges).is_err(), "{name}");
        }
        assert!(table.headers(9).is_err(), "{name}");
    }
}
