//! Pages in memory, each with a checksum in its header.

use super::{Arc, Bytes, Mutex, ParquetError, ParquetResult, PoisonError};
use crate::fields::{put_varint, zigzag};
use crate::table::page::crc32;

use parquet::basic::Encoding;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};

/// The pages of a column; clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages(Arc<Mutex<Vec<u8>>>);

impl Pages {
    pub(super) fn size(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All bytes; none are left.
    pub(super) fn take(&self) -> Bytes {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *pages).into()
    }
}

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> ParquetResult<PageWriteSpec> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = pages.len();
        put_header(&mut pages, &page)?;
        let header = pages.len() - start;
        pages.extend_from_slice(page.data());
        Ok(PageWriteSpec {
            page_type: page.page_type(),
            uncompressed_size: page.uncompressed_size() + header,
            compressed_size: page.compressed_size() + header,
            num_values: page.num_values(),
            offset: start as u64,
            bytes_written: (pages.len() - start) as u64,
        })
    }

    fn close(&mut self) -> ParquetResult<()> {
        Ok(())
    }
}

/// A header in Thrift's compact protocol: for each field a byte with the distance to the number of the field before
/// and the type, then the value.
fn put_header(out: &mut Vec<u8>, page: &CompressedPage) -> ParquetResult<()> {
    const INTEGER: u8 = 0x15;
    const END: u8 = 0;
    let Page::DataPage {
        num_values,
        encoding,
        def_level_encoding,
        rep_level_encoding,
        ..
    } = page.compressed_page()
    else {
        return Err(ParquetError::NYI("pages of other types".to_owned()));
    };
    let integer = |out: &mut Vec<u8>, value: i64| {
        out.push(INTEGER);
        put_varint(out, zigzag(value));
    };
    integer(out, 0); // a data page
    for size in [page.uncompressed_size(), page.compressed_size()] {
        let size = i32::try_from(size)
            .map_err(|_| ParquetError::General("a page of 2 GiB or more".to_owned()))?;
        integer(out, size.into());
    }
    integer(out, i64::from(crc32(page.data()) as i32));
    out.push(0x1c); // a structure
    integer(out, i64::from(*num_values));
    for encoding in [encoding, def_level_encoding, rep_level_encoding] {
        integer(out, number(*encoding)?);
    }
    out.extend([END, END]);
    Ok(())
}

fn number(encoding: Encoding) -> ParquetResult<i64> {
    match encoding {
        Encoding::PLAIN => Ok(0),
        Encoding::RLE => Ok(3),
        Encoding::DELTA_BINARY_PACKED => Ok(5),
        Encoding::DELTA_LENGTH_BYTE_ARRAY => Ok(6),
        other => Err(ParquetError::NYI(format!("encoding {other}"))),
    }
}
