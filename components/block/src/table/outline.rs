//! What the footer of a Parquet file says, for people.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::TableFile;
use super::footer::{Chunk, Codec, Physical};
use crate::error::Error;
use crate::files::Files;

/// A table of a block: how many rows, and how its columns are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOutline {
    /// The program that wrote it, as it calls itself.
    pub writer: String,
    /// Rows.
    pub rows: u64,
    /// Rows of each row group.
    pub row_groups: Vec<u64>,
    /// Columns, in the order of the file.
    pub columns: Vec<ColumnOutline>,
}

/// A column of a table, all row groups together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnOutline {
    /// Names from below the root to the leaf, with dots between.
    pub path: String,
    /// Physical type, as Parquet calls it.
    pub physical: &'static str,
    /// Encodings of its pages, levels and dictionary included, as Parquet calls them.
    pub encodings: Vec<&'static str>,
    /// How its pages are compressed, as Parquet calls it; several if row groups differ.
    pub codecs: Vec<&'static str>,
    /// Data pages; 0 if the file has no index of pages.
    pub pages: u64,
    /// Values, nulls included.
    pub values: u64,
    /// Bytes in the file, page headers included.
    pub stored_bytes: u64,
    /// The same before compression.
    pub plain_bytes: u64,
}

impl TableOutline {
    /// Reads the footer of a Parquet file of a block; `size` is 0 if it isn't known. One or two reads of the file's end.
    ///
    /// # Errors
    /// As [`Files::read`]; [`Error::Corrupt`].
    pub fn read(files: &dyn Files, file: &str, size: u64) -> Result<Self, Error> {
        let footer = TableFile::open(files, file, size)?.footer;
        let row_groups: Vec<u64> = footer.row_groups.iter().map(|group| group.rows).collect();
        let outline = |(at, column): (usize, &super::Column)| {
            let mut outline = ColumnOutline {
                path: column.path.clone(),
                physical: physical(column.physical),
                encodings: Vec::new(),
                codecs: Vec::new(),
                pages: 0,
                values: 0,
                stored_bytes: 0,
                plain_bytes: 0,
            };
            let chunks = footer.row_groups.iter();
            let chunks = chunks.filter_map(|group| group.chunks.get(at));
            chunks.for_each(|chunk| outline.add(chunk));
            outline
        };
        Ok(Self {
            rows: row_groups
                .iter()
                .fold(0, |sum, &rows| sum.saturating_add(rows)),
            row_groups,
            columns: footer.columns.iter().enumerate().map(outline).collect(),
            writer: footer.created_by,
        })
    }

    /// Bytes of all columns in the file.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        let bytes = self.columns.iter().map(|column| column.stored_bytes);
        bytes.fold(0, u64::saturating_add)
    }
}

impl ColumnOutline {
    fn add(&mut self, chunk: &Chunk) {
        let codec = codec(chunk.codec);
        if !self.codecs.contains(&codec) {
            self.codecs.push(codec);
        }
        for (number, name) in ENCODINGS {
            let has = chunk.encodings & 1_u32.wrapping_shl(number) != 0;
            if has && !self.encodings.contains(&name) {
                self.encodings.push(name);
            }
        }
        let pages = chunk.pages.len() as u64;
        self.pages = self.pages.saturating_add(pages);
        self.values = self.values.saturating_add(chunk.values);
        let stored = chunk.bytes.end.saturating_sub(chunk.bytes.start);
        self.stored_bytes = self.stored_bytes.saturating_add(stored);
        self.plain_bytes = self.plain_bytes.saturating_add(chunk.uncompressed);
    }
}

/// Numbers and names of encodings. The old name of dictionaries comes with the new one.
const ENCODINGS: [(u32, &str); 9] = [
    (0, "PLAIN"),
    (2, "PLAIN_DICTIONARY"),
    (3, "RLE"),
    (4, "BIT_PACKED"),
    (5, "DELTA_BINARY_PACKED"),
    (6, "DELTA_LENGTH_BYTE_ARRAY"),
    (7, "DELTA_BYTE_ARRAY"),
    (8, "RLE_DICTIONARY"),
    (9, "BYTE_STREAM_SPLIT"),
];

fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::None => "UNCOMPRESSED",
        Codec::Zstd => "ZSTD",
        Codec::Other(1) => "SNAPPY",
        Codec::Other(2) => "GZIP",
        Codec::Other(3) => "LZO",
        Codec::Other(4) => "BROTLI",
        Codec::Other(5) => "LZ4",
        Codec::Other(7) => "LZ4_RAW",
        Codec::Other(_) => "unknown",
    }
}

fn physical(physical: Physical) -> &'static str {
    match physical {
        Physical::Boolean | Physical::Other(0) => "BOOLEAN",
        Physical::Int64 | Physical::Other(2) => "INT64",
        Physical::ByteArray | Physical::Other(6) => "BYTE_ARRAY",
        Physical::Other(1) => "INT32",
        Physical::Other(3) => "INT96",
        Physical::Other(4) => "FLOAT",
        Physical::Other(5) => "DOUBLE",
        Physical::Other(7) => "FIXED_LEN_BYTE_ARRAY",
        Physical::Other(_) => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::MemoryFiles;
    use crate::testdata;

    fn outline(bytes: Vec<u8>) -> TableOutline {
        let size = bytes.len() as u64;
        let mut files = MemoryFiles::default();
        files.insert("t.parquet", bytes);
        TableOutline::read(&files, "t.parquet", size).unwrap()
    }

    #[test]
    fn a_real_table_of_strings_is_outlined() {
        let strings = testdata::file("v3/01HD3X85G9BGAG4S3TKPNMFG4Z/symbols/strings.parquet");
        let size = strings.len() as u64;
        let outline = outline(strings);
        assert!(
            outline.writer.starts_with("github.com/grafana/"),
            "{}",
            outline.writer
        );
        assert_eq!((outline.rows, outline.row_groups.len()), (6, 1));
        let [id, string] = &*outline.columns else {
            panic!("{outline:?}");
        };
        assert_eq!((id.path.as_str(), id.physical), ("ID", "INT64"));
        assert_eq!(id.encodings, ["DELTA_BINARY_PACKED"]);
        assert_eq!(
            (string.path.as_str(), string.physical),
            ("String", "BYTE_ARRAY")
        );
        assert_eq!(string.encodings, ["PLAIN", "RLE_DICTIONARY"]);
        assert_eq!((string.values, string.pages), (6, 1));
        assert_eq!(string.codecs, ["UNCOMPRESSED"]);
        assert_eq!(string.stored_bytes, string.plain_bytes);
        assert!(outline.stored_bytes() < size);
    }

    #[test]
    fn every_real_table_is_outlined() {
        let names = [
            "profiles.parquet",
            "strings.parquet",
            "functions.parquet",
            "mappings.parquet",
            "locations.parquet",
            "stacktraces.parquet",
        ];
        let files = names.iter().flat_map(|name| testdata::files_named(name));
        let mut seen = 0;
        for file in files {
            let size = file.bytes.len() as u64;
            let outline = outline(file.bytes);
            assert!(outline.stored_bytes() > 0 && outline.stored_bytes() < size);
            for column in &outline.columns {
                let lists = column.path.contains("list") || column.path.contains("Line");
                assert!(
                    lists || column.values == outline.rows,
                    "{} {column:?}",
                    file.name
                );
                assert!(
                    column.pages > 0 && !column.encodings.is_empty(),
                    "{column:?}"
                );
            }
            seen += 1;
        }
        assert!(seen >= 9, "{seen} tables");
    }
}
