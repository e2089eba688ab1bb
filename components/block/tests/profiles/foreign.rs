//! Tables as other writers might write them: by the `parquet` crate's own writer, without checksums.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;

use phlare_block::profiles::Options;

use crate::tables::{Owned, open_bytes, row, rows, write};

/// Rows with everything that a row can have.
pub(crate) fn full_rows() -> Vec<Owned> {
    let mut rows = Vec::new();
    for i in 0..60i64 {
        let samples: Vec<_> = (1..=i as u64 % 7)
            .map(|id| (id * 3, i * 1000 + id as i64))
            .collect();
        let mut row = row(
            i as u32 / 8,
            u64::MAX - i as u64 % 3,
            1_000_000 + i,
            &samples,
        );
        row.id = [i as u8; 16];
        row.duration_ns = i % 4 * 1_000_000_000;
        row.period = i % 2;
        row.default_sample_type = i % 3;
        if i % 3 == 0 {
            row.spans = samples.iter().map(|sample| sample.0 << 60).collect();
        }
        if i % 5 == 0 {
            row.traces = samples.iter().map(|sample| [sample.0 as u8; 16]).collect();
        }
        rows.push(row);
    }
    rows
}

fn schema() -> TypePtr {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("profiles.parquet");
    write(&file, Options::default(), &[]);
    let bytes = Bytes::from(std::fs::read(file).unwrap());
    let mut reader = ParquetMetaDataReader::new();
    reader.try_parse(&bytes).unwrap();
    let metadata = reader.finish().unwrap();
    Arc::new(metadata.file_metadata().schema().clone())
}

/// Levels of a leaf of the samples, and whether each has a value, of `rows`.
fn levels(rows: &[Owned], is_set: impl Fn(&Owned) -> Option<bool>) -> (Vec<i16>, Vec<i16>) {
    let (mut definition, mut repetition) = (Vec::new(), Vec::new());
    for row in rows {
        let level = is_set(row).map_or(1, |is_set| 1 + i16::from(is_set));
        match row.values.len() {
            0 => definition.push(0),
            samples => definition.extend(std::iter::repeat_n(level, samples)),
        }
        repetition.push(0);
        repetition.extend(std::iter::repeat_n(1, row.values.len().saturating_sub(1)));
    }
    (definition, repetition)
}

/// Writes rows without annotations; `properties` says how.
pub(crate) fn foreign(rows: &[Owned], properties: WriterPropertiesBuilder) -> Vec<u8> {
    let mut out = Vec::new();
    let properties = Arc::new(properties.build());
    let mut file = SerializedFileWriter::new(&mut out, schema(), properties).unwrap();
    let mut group = file.next_row_group().unwrap();
    let plain = levels(rows, |_| None);
    let nothing = vec![0; rows.len()];
    while let Some(mut column) = group.next_column().unwrap() {
        let path = match column.untyped() {
            ColumnWriter::Int32ColumnWriter(writer) => writer.get_descriptor().path(),
            ColumnWriter::Int64ColumnWriter(writer) => writer.get_descriptor().path(),
            ColumnWriter::ByteArrayColumnWriter(writer) => writer.get_descriptor().path(),
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => writer.get_descriptor().path(),
            _ => panic!("no such column"),
        };
        let path = path.string();
        let flat = |value: fn(&Owned) -> i64| rows.iter().map(value).collect::<Vec<_>>();
        let some = |value: fn(&Owned) -> i64| {
            let values: Vec<i64> = rows.iter().map(value).filter(|&value| value != 0).collect();
            let definition = rows
                .iter()
                .map(|row| i16::from(value(row) != 0))
                .collect::<Vec<_>>();
            (values, definition, vec![])
        };
        let (values, definition, repetition) = match path.as_str() {
            "StacktracePartition" => (flat(|row| row.partition as i64), vec![], vec![]),
            "TotalValue" => (flat(|row| row.total as i64), vec![], vec![]),
            "TimeNanos" => (flat(|row| row.time_ns), vec![], vec![]),
            "DurationNanos" => some(|row| row.duration_ns),
            "Period" => some(|row| row.period),
            "DefaultSampleType" => some(|row| row.default_sample_type),
            "DropFrames" | "KeepFrames" => (vec![], nothing.clone(), vec![]),
            "Samples.list.element.StacktraceID" => {
                let ids = rows
                    .iter()
                    .flat_map(|row| &row.stacktraces)
                    .map(|&id| id as i64);
                (ids.collect(), plain.0.clone(), plain.1.clone())
            }
            "Samples.list.element.Value" => {
                let values = rows.iter().flat_map(|row| row.values.clone());
                (values.collect(), plain.0.clone(), plain.1.clone())
            }
            "Samples.list.element.SpanID" => {
                let spans = rows
                    .iter()
                    .flat_map(|row| &row.spans)
                    .map(|&span| span as i64);
                let (definition, repetition) = levels(rows, |row| Some(!row.spans.is_empty()));
                (spans.collect(), definition, repetition)
            }
            path if path.contains(".Labels.") => (vec![], plain.0.clone(), plain.1.clone()),
            _ => (vec![], nothing.clone(), nothing.clone()),
        };
        let definition = (!definition.is_empty()).then_some(definition);
        let repetition = (!repetition.is_empty()).then_some(repetition);
        let (definition, repetition) = (definition.as_deref(), repetition.as_deref());
        match column.untyped() {
            ColumnWriter::Int32ColumnWriter(writer) => {
                let series: Vec<i32> = rows.iter().map(|row| row.series as i32).collect();
                writer.write_batch(&series, None, None).unwrap();
            }
            ColumnWriter::Int64ColumnWriter(writer) => {
                writer.write_batch(&values, definition, repetition).unwrap();
            }
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) if path == "ID" => {
                let fixed = |row: &Owned| FixedLenByteArray::from(row.id.to_vec());
                let ids: Vec<_> = rows.iter().map(fixed).collect();
                writer.write_batch(&ids, None, None).unwrap();
            }
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
                let fixed = |trace: &[u8; 16]| FixedLenByteArray::from(trace.to_vec());
                let traces: Vec<_> = rows.iter().flat_map(|row| &row.traces).map(fixed).collect();
                let (definition, repetition) = levels(rows, |row| Some(!row.traces.is_empty()));
                writer
                    .write_batch(&traces, Some(&definition), Some(&repetition))
                    .unwrap();
            }
            ColumnWriter::ByteArrayColumnWriter(writer) => {
                let none: [ByteArray; 0] = [];
                writer.write_batch(&none, definition, repetition).unwrap();
            }
            _ => panic!("no such column"),
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
    out
}

/// Codecs, page versions, and an encoding of numbers, `None` for dictionaries.
pub(crate) fn ways() -> Vec<(String, WriterPropertiesBuilder)> {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    let encodings = [
        None,
        Some(Encoding::PLAIN),
        Some(Encoding::DELTA_BINARY_PACKED),
        Some(Encoding::BYTE_STREAM_SPLIT),
    ];
    let mut ways = Vec::new();
    for (i, codec) in codecs.into_iter().enumerate() {
        for (j, encoding) in encodings.into_iter().enumerate() {
            let version = match (i + j) % 2 {
                0 => WriterVersion::PARQUET_1_0,
                _ => WriterVersion::PARQUET_2_0,
            };
            let mut builder = WriterProperties::builder()
                .set_compression(codec)
                .set_writer_version(version)
                .set_data_page_row_count_limit(25)
                .set_write_batch_size(5)
                .set_dictionary_enabled(encoding.is_none());
            if let Some(encoding) = encoding {
                let fixed = ["ID", "Samples.list.element.TraceID"];
                let text = [
                    "Annotations.list.element.Key",
                    "Annotations.list.element.Value",
                ];
                builder = builder.set_encoding(encoding);
                for path in fixed.into_iter().chain(text) {
                    let parts = path.split('.').map(str::to_owned).collect::<Vec<_>>();
                    builder = builder.set_column_encoding(parts.into(), Encoding::PLAIN);
                }
            }
            ways.push((format!("{codec:?} {encoding:?} {version:?}"), builder));
        }
    }
    ways
}

#[test]
fn tables_of_other_writers_are_read_whatever_their_encodings() {
    let expected = full_rows();
    for (name, properties) in ways() {
        let table = open_bytes(foreign(&expected, properties)).unwrap();
        let mut found = rows(&table).unwrap();
        for row in &mut found {
            // A row of nulls has no traces; zeros are what we give samples without one.
            assert!(row.traces.iter().all(|trace| *trace != [0; 16]), "{name}");
        }
        assert!(found == expected, "{name}");
    }
}
