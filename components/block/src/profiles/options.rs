//! How a table is laid out: encodings, pages, row groups.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::schema::Leaf;

/// Encodings of the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// BYTE_STREAM_SPLIT for stack traces and values, deltas for other numbers, all compressed with zstd-1, data pages
    /// of version 1 (levels are compressed, too). Half the size of what upstream writes, and upstream reads it:
    /// parquet-encodings.md.
    #[default]
    Compact,
    /// Upstream's own: data pages of version 2, nothing compressed, DELTA_BINARY_PACKED, dictionaries for spans and
    /// traces.
    Upstream,
}

/// How a table is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Encodings of the columns.
    pub layout: Layout,
    /// Rows of a row group; upstream ends one at 100 000.
    pub row_group_rows: usize,
    /// Encoded bytes of a row group, exceeded by a page per column at most. This is what a writer keeps in memory.
    pub row_group_bytes: usize,
    /// Bytes of a page of samples before they are compressed.
    pub sample_page_bytes: usize,
    /// Rows of a page in the columns that queries choose rows by.
    pub header_page_rows: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            layout: Layout::Compact,
            row_group_rows: 100_000,
            row_group_bytes: 64 << 20,
            sample_page_bytes: 256 << 10,
            header_page_rows: 4096,
        }
    }
}

/// Upstream's buffer for a page.
const UPSTREAM_PAGE_BYTES: usize = 3 << 20;

/// A dictionary that grows beyond this costs more than it saves.
const DICTIONARY_BYTES: usize = 64 << 10;

const CREATED_BY: &str = concat!("phlare version ", env!("CARGO_PKG_VERSION"), " (build )");

impl Options {
    pub(crate) fn properties(&self) -> Result<Arc<WriterProperties>> {
        let compact = self.layout == Layout::Compact;
        let mut builder = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_dictionary_enabled(false)
            // Upstream answers nothing from a table without page statistics. They go into the pages' headers only to
            // pass through `Pages`.
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_write_page_header_statistics(true)
            .set_max_row_group_row_count(None)
            // Pages end where a batch ends.
            .set_write_batch_size(self.header_page_rows.clamp(1, 1024))
            .set_data_page_row_count_limit(usize::MAX);
        builder = match compact {
            true => builder
                .set_writer_version(WriterVersion::PARQUET_1_0)
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .set_data_page_size_limit(self.sample_page_bytes),
            false => builder
                .set_writer_version(WriterVersion::PARQUET_2_0)
                .set_data_page_size_limit(UPSTREAM_PAGE_BYTES),
        };
        for leaf in Leaf::ALL {
            let parts: Vec<String> = leaf.path().split('.').map(str::to_owned).collect();
            let column = || ColumnPath::new(parts.clone());
            builder = match self.encoding(leaf) {
                Some(encoding) => builder.set_column_encoding(column(), encoding),
                None => builder
                    .set_column_dictionary_enabled(column(), true)
                    .set_column_dictionary_page_size_limit(column(), DICTIONARY_BYTES),
            };
            if compact && !leaf.is_of_samples() {
                builder = builder
                    .set_column_data_page_row_count_limit(column(), self.header_page_rows)
                    .set_column_data_page_size_limit(column(), self.sample_page_bytes / 4);
            }
            if leaf == Leaf::Id {
                // Random: zstd would only add a frame.
                builder = builder.set_column_compression(column(), Compression::UNCOMPRESSED);
            }
        }
        Ok(Arc::new(builder.build()))
    }

    /// `None` for a dictionary.
    fn encoding(&self, leaf: Leaf) -> Option<Encoding> {
        let compact = self.layout == Layout::Compact;
        Some(match leaf {
            Leaf::Id => Encoding::PLAIN,
            Leaf::Stacktrace | Leaf::Value if compact => Encoding::BYTE_STREAM_SPLIT,
            Leaf::Span | Leaf::Trace => return None,
            Leaf::AnnotationKey | Leaf::AnnotationValue => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Leaf::Time | Leaf::Duration | Leaf::Period | Leaf::DefaultSampleType if !compact => {
                Encoding::PLAIN
            }
            _ => Encoding::DELTA_BINARY_PACKED,
        })
    }
}
