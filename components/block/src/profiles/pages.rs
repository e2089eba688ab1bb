//! The compressed pages of a column chunk, kept in memory until its row group is complete: the columns of a row group
//! follow one another in the file, but rows come with all their columns.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnIndexBuilder;
use parquet::file::reader::{ChunkReader, Length};

use super::page_header::{self, Kind, PageHeader};

/// What a column index says of a page.
#[derive(Debug)]
struct PageStatistics {
    /// `None` if all values are null.
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    nulls: u64,
}

#[derive(Debug, Default)]
struct Content {
    /// Headers and bodies, in order.
    parts: Vec<Bytes>,
    statistics: Vec<PageStatistics>,
}

/// Pages of one column chunk. Clones share them: one is given to the column writer, one waits for the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    content: Arc<Mutex<Content>>,
    bytes: Arc<AtomicUsize>,
    values: Arc<AtomicUsize>,
}

impl Pages {
    /// Bytes of all pages so far.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Values of all pages so far, nulls included.
    pub(crate) fn values(&self) -> usize {
        self.values.load(Ordering::Relaxed)
    }

    /// Takes the pages out, to be appended to a row group.
    pub(crate) fn take(&self) -> Parts {
        Parts(std::mem::take(&mut self.content.lock().parts))
    }

    /// Gives a column an index if the column writer gave up, or may be wrong. It tells pages of nulls by comparing the
    /// number of nulls with that of rows. So below a list it gives up at the first page that holds nothing else, and takes
    /// a page for one that has as many nulls as rows, and values too. Upstream wants an index on every column.
    pub(crate) fn complete(&self, close: &mut ColumnCloseResult) -> Result<()> {
        let column = close.metadata.column_descr();
        let (definition, repetition) = (column.max_def_level(), column.max_rep_level());
        let has_nulls_in_lists = repetition > 0 && definition > repetition;
        if close.column_index.is_some() && !has_nulls_in_lists {
            return Ok(());
        }
        let mut index = ColumnIndexBuilder::new(close.metadata.column_type());
        for page in std::mem::take(&mut self.content.lock().statistics) {
            let is_null = page.bounds.is_none();
            let (min, max) = page.bounds.unwrap_or_default();
            index.append(is_null, min, max, page.nulls as i64, None);
        }
        index.set_boundary_order(BoundaryOrder::UNORDERED);
        close.column_index = Some(index.build()?);
        Ok(())
    }
}

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let header = header(&page)?;
        let body = page.compressed_page().buffer().clone();
        let mut head = Vec::with_capacity(48);
        header.write(&mut head);
        let length = head.len() + body.len();
        let mut content = self.content.lock();
        if page.compressed_page().is_data_page() {
            content.statistics.push(statistics(&page));
            let values = page.num_values() as usize;
            self.values.fetch_add(values, Ordering::Relaxed);
        }
        content.parts.push(head.into());
        content.parts.push(body);
        let offset = self.bytes.fetch_add(length, Ordering::Relaxed) as u64;
        Ok(PageWriteSpec {
            page_type: page.page_type(),
            uncompressed_size: length - page.compressed_size() + page.uncompressed_size(),
            compressed_size: length,
            num_values: page.num_values(),
            offset,
            bytes_written: length as u64,
        })
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

fn statistics(page: &CompressedPage) -> PageStatistics {
    let statistics = page.compressed_page().statistics();
    let bounds = statistics.and_then(|s| {
        let (min, max) = (s.min_bytes_opt()?, s.max_bytes_opt()?);
        Some((min.to_vec(), max.to_vec()))
    });
    let nulls = match &bounds {
        Some(_) => statistics.and_then(|s| s.null_count_opt()).unwrap_or(0),
        None => u64::from(page.num_values()),
    };
    PageStatistics { bounds, nulls }
}

/// The header of a page, without its statistics: they are in the column index.
fn header(page: &CompressedPage) -> Result<PageHeader> {
    let too_large = |_| ParquetError::General("a page is larger than 2 GiB".to_owned());
    let kind = match *page.compressed_page() {
        Page::DataPage {
            def_level_encoding,
            rep_level_encoding,
            ..
        } => Kind::V1 {
            level_encodings: [number(def_level_encoding)?, number(rep_level_encoding)?],
        },
        Page::DataPageV2 {
            num_nulls,
            num_rows,
            def_levels_byte_len,
            rep_levels_byte_len,
            is_compressed,
            ..
        } => Kind::V2 {
            nulls: num_nulls as i32,
            rows: num_rows as i32,
            level_bytes: [def_levels_byte_len as i32, rep_levels_byte_len as i32],
            is_compressed,
        },
        Page::DictionaryPage { is_sorted, .. } => Kind::Dictionary { is_sorted },
    };
    Ok(PageHeader {
        kind,
        uncompressed: page.uncompressed_size().try_into().map_err(too_large)?,
        compressed: page.compressed_size().try_into().map_err(too_large)?,
        crc: Some(page_header::crc(page.data())),
        values: page.num_values() as i32,
        encoding: number(page.encoding())?,
    })
}

/// The number that the format gives to an encoding.
pub(crate) fn number(encoding: Encoding) -> Result<i32> {
    Ok(match encoding {
        Encoding::PLAIN => 0,
        Encoding::PLAIN_DICTIONARY => 2,
        Encoding::RLE => 3,
        Encoding::DELTA_BINARY_PACKED => 5,
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 6,
        Encoding::DELTA_BYTE_ARRAY => 7,
        Encoding::RLE_DICTIONARY => 8,
        Encoding::BYTE_STREAM_SPLIT => 9,
        other => {
            return Err(ParquetError::NYI(format!("encoding {other}")));
        }
    })
}

/// Pages as the source of a column chunk that is copied into a file.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Bytes>);

impl Length for Parts {
    fn len(&self) -> u64 {
        self.0.iter().map(|part| part.len() as u64).sum()
    }
}

impl ChunkReader for Parts {
    type T = PartsReader;

    fn get_read(&self, start: u64) -> Result<PartsReader> {
        let mut reader = PartsReader {
            parts: self.0.clone().into_iter(),
            part: Bytes::new(),
        };
        let skipped = io::copy(&mut reader.by_ref().take(start), &mut io::sink())?;
        match skipped == start {
            true => Ok(reader),
            false => Err(ParquetError::EOF(format!("no page at {start}"))),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = Vec::with_capacity(length);
        let reader = self.get_read(start)?;
        reader.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads the pages one after another.
#[derive(Debug)]
pub(crate) struct PartsReader {
    parts: std::vec::IntoIter<Bytes>,
    part: Bytes,
}

impl Read for PartsReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.parts.next() {
                Some(part) => self.part = part,
                None => return Ok(0),
            }
        }
        let length = self.part.len().min(buffer.len());
        self.part.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
