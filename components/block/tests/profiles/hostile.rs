//! Tables that are damaged: the right answer, or an error that names file and byte; never a panic.

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};
use phlare_block::profiles::{Columns, Layout, Options, Profiles};
use phlare_block::{Error, MemoryFiles};

use crate::foreign::{foreign, full_rows, ways};
use crate::tables::{Owned, open_bytes, real, rows, write};

/// Everything that can be read of a table.
fn read_all(table: &Profiles) -> Result<Vec<Owned>, Error> {
    let want = Columns {
        spans: true,
        traces: true,
    };
    for (group, range) in table.row_groups().enumerate() {
        let rows = 0..u32::try_from(range.end - range.start).unwrap();
        let rows = std::slice::from_ref(&rows);
        let headers = table.headers(group)?;
        let _ = (headers.find(1, 0..=i64::MAX), headers.rows_at(0..9));
        let pages = table.header_pages(group, &[1, 5], &(0..=i64::MAX))?;
        table.headers_of(group, &pages)?;
        table.samples(group, rows, want, &mut |_| ControlFlow::Continue(()))?;
        table.totals(group, rows)?;
        table.ids(group, rows)?;
        table.details(group, rows)?;
    }
    rows(table)
}

/// What is wrong must be said with the file's name; the place is in the error itself.
#[track_caller]
fn check_error(error: &Error) {
    assert!(error.is_corruption(), "{error:?}");
    assert!(
        error.to_string().contains("memory/profiles.parquet"),
        "{error}"
    );
}

/// A small real table of each age.
fn small() -> Vec<(String, Vec<u8>)> {
    let names = [
        "blocks/v1/",
        "blocks/v2/",
        "blocks/v3/",
        "v2arch/01JKT426996H1XWCX1M1ZQFRJ6",
    ];
    let small = |name: &String| names.iter().any(|start| name.starts_with(start));
    let tables = real().into_iter().filter(|(name, _)| small(name));
    tables
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

/// Bytes of the first column, which has one page.
fn first_column(bytes: &[u8]) -> usize {
    let mut reader = ParquetMetaDataReader::new();
    reader.try_parse(&Bytes::copy_from_slice(bytes)).unwrap();
    let metadata = reader.finish().unwrap();
    metadata.row_group(0).column(0).compressed_size() as usize
}

/// Where pages end and indexes begin.
fn pages_end(bytes: &[u8]) -> usize {
    let mut reader = ParquetMetaDataReader::new();
    reader.try_parse(&Bytes::copy_from_slice(bytes)).unwrap();
    let metadata = reader.finish().unwrap();
    let columns = metadata
        .row_groups()
        .iter()
        .flat_map(|group| group.columns());
    let end = |column: &ColumnChunkMetaData| {
        let (start, length) = column.byte_range();
        (start + length) as usize
    };
    columns.map(end).max().unwrap()
}

/// Flips a bit of one byte after another; the right answer and errors are fine, another answer is up to `wrong`.
fn flip(bytes: &[u8], expected: &[Owned], mut wrong: impl FnMut(usize)) -> usize {
    let mut refused = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        match open_bytes(damaged).and_then(|table| read_all(&table)) {
            Err(error) => {
                check_error(&error);
                refused += 1;
            }
            Ok(found) if found == expected => {}
            Ok(_) => wrong(at),
        }
    }
    refused
}

#[test]
fn flipped_bits_are_found_or_harmless() {
    for (name, bytes) in small() {
        let expected = read_all(&open_bytes(bytes.clone()).unwrap()).unwrap();
        // All bytes of pages count: a body has a checksum, and a wrong header is noticed. Of the footer and indexes,
        // much is for others: types that mean the same, statistics, who wrote it.
        let pages = pages_end(&bytes);
        let refused = flip(&bytes, &expected, |at| {
            panic!("{name}: byte {at} of {pages}")
        });
        assert!(refused > pages * 9 / 10, "{name}: {refused} of {pages}");
    }
}

/// Tables without checksums: damage reaches the decoders, and some of it is only another value.
#[test]
fn damage_that_no_checksum_finds_does_not_panic() {
    let rows = full_rows();
    for (_, properties) in ways().into_iter().step_by(5) {
        let bytes = foreign(&rows, properties);
        let refused = flip(&bytes, &rows, |_| {});
        assert!(refused > bytes.len() / 4, "{refused} of {}", bytes.len());
    }
}

#[test]
fn truncated_tables_are_refused() {
    for (name, bytes) in small() {
        for length in 0..bytes.len() {
            match open_bytes(bytes[..length].to_vec()) {
                Err(error) => check_error(&error),
                Ok(_) => panic!("{name}: {length} of {} bytes", bytes.len()),
            }
        }
    }
}

/// A file that ends before its size says so is noticed by whoever reads it.
#[test]
fn a_table_that_is_shorter_than_it_was_is_refused() {
    for (name, bytes) in small() {
        let size = bytes.len() as u64;
        let mut files = MemoryFiles::default();
        files.insert("profiles.parquet", bytes[..bytes.len() - 1].to_vec());
        let error = Profiles::open(Arc::new(files), "profiles.parquet", size).unwrap_err();
        assert!(error.to_string().contains("byte"), "{name}: {error}");
    }
}

/// What is wrong with a byte of a page is said with the place of the page.
#[test]
fn errors_say_where() {
    for (name, mut bytes) in small() {
        // The last byte of the first page, which begins at byte 4.
        let end = 4 + first_column(&bytes);
        bytes[end - 1] ^= 1;
        let table = open_bytes(bytes).unwrap();
        let error = table.verify().unwrap_err().to_string();
        let start = "memory/profiles.parquet is damaged at byte 4: page of column ID: ";
        assert!(error.starts_with(start), "{name}: {error}");
    }
}

/// Tables to be damaged: of ours, and without checksums.
static BASES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("profiles.parquet");
    let rows = full_rows();
    let mut bases = Vec::new();
    for layout in [Layout::Compact, Layout::Upstream] {
        let options = Options {
            layout,
            row_group_rows: 40,
            ..Options::default()
        };
        write(&file, options, &rows);
        bases.push(std::fs::read(&file).unwrap());
    }
    bases.extend(
        ways()
            .into_iter()
            .map(|(_, properties)| foreign(&rows, properties)),
    );
    bases
});

/// The first byte chooses a table; three bytes each change one of it. Or, if there is no such table, the rest is one.
#[test]
fn hostile_tables_never_panic() {
    bolero::check!(name = "table").for_each(|bytes: &[u8]| {
        let Some((&base, rest)) = bytes.split_first() else {
            return;
        };
        let table = match BASES.get(usize::from(base)) {
            None => rest.to_vec(),
            Some(base) => {
                let mut table = base.clone();
                for change in rest.chunks_exact(3) {
                    let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
                    let at = at % table.len();
                    table[at] = change[2];
                }
                table
            }
        };
        if let Err(error) = open_bytes(table).and_then(|table| read_all(&table).and(table.verify()))
        {
            check_error(&error);
        }
    });
}
