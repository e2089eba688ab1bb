//! The `parquet` crate writes, we read.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::files::MemoryFiles;

const SCHEMA: &str = "message Test {
    required int64 integer;
    required binary text;
    required boolean boolean;
    required group list { repeated group inner { required int64 element; } }
}";

#[derive(Clone, Debug, PartialEq)]
struct Row {
    integer: i64,
    text: Vec<u8>,
    boolean: bool,
    list: Vec<i64>,
}

/// How a file is written.
#[derive(Clone, Debug)]
struct Style {
    version: WriterVersion,
    compression: Compression,
    integers: Option<Encoding>,
    texts: Option<Encoding>,
    page_rows: usize,
    group_rows: usize,
    has_index: bool,
}

fn write(rows: &[Row], style: &Style) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut properties = WriterProperties::builder()
        .set_writer_version(style.version)
        .set_compression(style.compression)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_offset_index_disabled(!style.has_index)
        .set_data_page_row_count_limit(style.page_rows)
        .set_write_batch_size(1)
        .set_dictionary_enabled(false);
    if !style.has_index {
        properties = properties.set_statistics_enabled(EnabledStatistics::None);
    }
    let columns = [
        ("integer", style.integers),
        ("text", style.texts),
        ("list.inner.element", style.integers),
    ];
    for (column, encoding) in columns {
        let path = parquet::schema::types::ColumnPath::from(
            column.split('.').map(str::to_owned).collect::<Vec<_>>(),
        );
        properties = match encoding {
            Some(encoding) => properties.set_column_encoding(path, encoding),
            None => properties.set_column_dictionary_enabled(path, true),
        };
    }
    let properties = Arc::new(properties.build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for rows in rows.chunks(style.group_rows) {
        let mut group = writer.next_row_group().unwrap();
        let mut integers = rows.iter().map(|row| row.integer).collect::<Vec<_>>();
        let texts: Vec<ByteArray> = rows.iter().map(|row| row.text.clone().into()).collect();
        let booleans: Vec<bool> = rows.iter().map(|row| row.boolean).collect();
        let (mut definition, mut repetition) = (Vec::new(), Vec::new());
        for row in rows {
            for index in 0..row.list.len().max(1) {
                definition.push(i16::from(!row.list.is_empty()));
                repetition.push(i16::from(index > 0));
            }
        }
        let mut first = true;
        while let Some(mut column) = group.next_column().unwrap() {
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(writer) if first => {
                    writer.write_batch(&integers, None, None).unwrap();
                    integers = rows.iter().flat_map(|row| row.list.clone()).collect();
                    first = false;
                }
                ColumnWriter::Int64ColumnWriter(writer) => {
                    let levels = (Some(&*definition), Some(&*repetition));
                    writer.write_batch(&integers, levels.0, levels.1).unwrap();
                }
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    writer.write_batch(&texts, None, None).unwrap();
                }
                ColumnWriter::BoolColumnWriter(writer) => {
                    writer.write_batch(&booleans, None, None).unwrap();
                }
                _ => unreachable!(),
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn memory(bytes: &[u8]) -> MemoryFiles {
    let mut files = MemoryFiles::default();
    files.insert("t", bytes.to_vec());
    files
}

/// Reads some rows of a file; all if there are none.
fn read(bytes: &[u8], wanted: Option<&[Rows]>) -> Result<Vec<Row>, Error> {
    let files = memory(bytes);
    let table = TableFile::open(&files, "t", 0)?;
    let integer = table.column("integer", Physical::Int64)?;
    let text = table.column("text", Physical::ByteArray)?;
    let boolean = table.column("boolean", Physical::Boolean)?;
    let list = table.column("list.inner.element", Physical::Int64)?;
    let all = table.all_rows();
    let columns = [integer, text, boolean, list];
    let fetched = table.fetch(&files, &columns, wanted.unwrap_or(&all))?;
    let mut texts = Vec::new();
    fetched.byte_arrays(text, |text| {
        texts.push(text.to_vec());
        Ok(())
    })?;
    let (counts, elements) = fetched.lists(list)?;
    let mut elements = elements.into_iter();
    let rows = fetched.integers(integer)?.into_iter().zip(texts);
    let rows = rows.zip(fetched.booleans(boolean)?).zip(counts);
    Ok(rows
        .map(|(((integer, text), boolean), count)| Row {
            integer,
            text,
            boolean,
            list: elements.by_ref().take(count as usize).collect(),
        })
        .collect())
}

fn row() -> impl Strategy<Value = Row> {
    let integer = prop_oneof![0..10_i64, any::<i64>()];
    let text = prop_oneof![vec(97..100_u8, 0..3), vec(any::<u8>(), 0..300)];
    (integer, text, any::<bool>(), vec(any::<i64>(), 0..4)).prop_map(
        |(integer, text, boolean, list)| Row {
            integer,
            text,
            boolean,
            list,
        },
    )
}

fn style() -> impl Strategy<Value = Style> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    let integers = [
        Some(Encoding::PLAIN),
        Some(Encoding::DELTA_BINARY_PACKED),
        Some(Encoding::BYTE_STREAM_SPLIT),
        None,
    ];
    let texts = [
        Some(Encoding::PLAIN),
        Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        Some(Encoding::DELTA_BYTE_ARRAY),
        None,
    ];
    (
        proptest::sample::select(vec![WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]),
        proptest::sample::select(vec![Compression::UNCOMPRESSED, zstd]),
        proptest::sample::select(integers.to_vec()),
        proptest::sample::select(texts.to_vec()),
        1..40_usize,
        1..60_usize,
        any::<bool>(),
    )
        .prop_map(
            |(version, compression, integers, texts, page_rows, group_rows, has_index)| Style {
                version,
                compression,
                integers,
                texts,
                page_rows,
                group_rows,
                has_index,
            },
        )
}

proptest! {
    #[test]
    fn whatever_the_crate_writes_is_read(rows in vec(row(), 1..150), style in style()) {
        prop_assert_eq!(read(&write(&rows, &style), None).unwrap(), rows);
    }

    #[test]
    fn any_rows_can_be_read_alone(
        rows in vec(row(), 1..150),
        style in style(),
        cuts in vec(0.0..1.0_f64, 4),
    ) {
        let bytes = write(&rows, &style);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| (cut * rows.len() as f64) as usize).collect();
        cuts.sort_unstable();
        let (mut wanted, mut expected) = (Vec::new(), Vec::new());
        for range in [cuts[0]..cuts[1], cuts[2]..cuts[3]] {
            expected.extend_from_slice(&rows[range.clone()]);
            let mut first = range.start;
            while first < range.end {
                let row_group = first / style.group_rows;
                let end = range.end.min((row_group + 1) * style.group_rows);
                wanted.push(Rows {
                    row_group,
                    first: (first % style.group_rows) as u64,
                    count: (end - first) as u64,
                });
                first = end;
            }
        }
        prop_assert_eq!(read(&bytes, Some(&wanted)).unwrap(), expected);
    }

    #[test]
    fn damage_never_panics(
        rows in vec(row(), 1..40),
        style in style(),
        flips in vec((0.0..1.0_f64, any::<u8>()), 1..4),
    ) {
        let mut bytes = write(&rows, &style);
        for (at, value) in flips {
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] = value;
        }
        drop(read(&bytes, None));
    }
}

fn plain(page_rows: usize) -> Style {
    Style {
        version: WriterVersion::PARQUET_2_0,
        compression: Compression::UNCOMPRESSED,
        integers: Some(Encoding::PLAIN),
        texts: Some(Encoding::PLAIN),
        page_rows,
        group_rows: 1000,
        has_index: true,
    }
}

fn some_rows(count: usize) -> Vec<Row> {
    let row = |index: usize| Row {
        integer: index as i64,
        text: format!("text {index}").into_bytes(),
        boolean: index.is_multiple_of(3),
        list: (0..index as i64 % 3).collect(),
    };
    (0..count).map(row).collect()
}

#[test]
fn truncated_files_are_refused() {
    let bytes = write(&some_rows(30), &plain(10));
    for length in 0..bytes.len() {
        let error = read(&bytes[..length], None).unwrap_err();
        assert!(error.is_corruption(), "{length}: {error}");
    }
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let bytes = write(&some_rows(30), &plain(10));
    let rows = |row_group, first, count| Rows {
        row_group,
        first,
        count,
    };
    let wrong: [&[Rows]; 5] = [
        &[rows(0, 0, 31)],
        &[rows(0, 30, 1)],
        &[rows(1, 0, 1)],
        &[rows(0, u64::MAX, 2)],
        &[rows(0, 5, 5), rows(0, 9, 1)],
    ];
    for wanted in wrong {
        assert!(read(&bytes, Some(wanted)).unwrap_err().is_corruption());
    }
    assert_eq!(read(&bytes, Some(&[rows(0, 30, 0)])).unwrap(), []);
}

#[test]
fn only_pages_with_the_rows_are_read() {
    let rows = some_rows(1000);
    let bytes = write(&rows, &plain(10));
    let files = memory(&bytes);
    let table = TableFile::open(&files, "t", 0).unwrap();
    let wanted = [Rows {
        row_group: 0,
        first: 500,
        count: 10,
    }];
    let fetched = table.fetch(&files, &[0], &wanted).unwrap();
    assert_eq!(
        fetched.integers(0).unwrap(),
        (500..510).collect::<Vec<i64>>()
    );
    assert!(fetched.bytes_read() < 200, "{}", fetched.bytes_read());
}

#[test]
fn columns_are_found_by_path_and_type() {
    let bytes = write(&some_rows(3), &plain(10));
    let table = TableFile::open(&memory(&bytes), "t", 0).unwrap();
    assert!(table.column("text", Physical::ByteArray).is_ok());
    for (path, physical) in [("text", Physical::Int64), ("list", Physical::Int64)] {
        assert!(table.column(path, physical).unwrap_err().is_corruption());
    }
}
