//! The table of all label names and values; a symbol is a position in it.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::reader::Reader;
use super::source::Source;
use super::toc::Toc;
use crate::error::Error;

/// Every how many symbols a place is remembered. A look-up passes half as many lengths; 4 bytes of memory each.
const STEP: usize = 8;

/// Where symbols are. Half a byte of memory for each.
pub(super) struct Symbols {
    count: u32,
    /// Of every [`STEP`]th, counted from `start`: the section is no longer than 4 GiB.
    places: Vec<u32>,
    start: usize,
    end: usize,
}

impl Symbols {
    /// Reads all lengths. O(symbols).
    pub(super) fn open(file: &Source, toc: &Toc) -> Result<Self, Error> {
        let mut body = file.section_to(toc.symbols, toc.series, "the table of symbols")?;
        let end = body.at().saturating_add(body.left());
        let cut = |at| file.corrupt(at, "the table of symbols is cut");
        let count = body.u32().ok_or_else(|| cut(toc.symbols))?;
        let start = body.at();
        let mut places = Vec::new();
        for symbol in 0..count as usize {
            let at = body.at();
            if symbol.is_multiple_of(STEP) {
                places.push(at.wrapping_sub(start) as u32);
            }
            body.text().ok_or_else(|| cut(at))?;
        }
        if body.left() > 0 {
            return Err(file.corrupt(body.at(), "bytes behind the last symbol"));
        }
        Ok(Self {
            count,
            places,
            start,
            end,
        })
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.places.capacity().saturating_mul(size_of::<u32>())
    }

    /// The text of a symbol. O(1).
    pub(super) fn get<'a>(&self, file: &'a Source, symbol: u32) -> Result<&'a str, Error> {
        let found = self.bytes(file, symbol);
        let (bytes, at) = found.ok_or_else(|| {
            let problem = format!("symbol {symbol} of {}", self.count);
            file.corrupt(self.start, problem)
        })?;
        file.text(bytes, at)
    }

    fn bytes<'a>(&self, file: &'a Source, symbol: u32) -> Option<(&'a [u8], usize)> {
        if symbol >= self.count {
            return None;
        }
        let symbol = symbol as usize;
        let mut reader = self.reader(file, symbol / STEP)?;
        for _ in 0..symbol % STEP {
            reader.text()?;
        }
        let at = reader.at();
        Some((reader.text()?, at))
    }

    fn reader<'a>(&self, file: &'a Source, place: usize) -> Option<Reader<'a>> {
        let place = *self.places.get(place)? as usize;
        Some(file.reader(self.start.checked_add(place)?, self.end))
    }

    /// The symbol of a text. O(log symbols).
    pub(super) fn find(&self, file: &Source, text: &str) -> Option<u32> {
        let after = self.places.partition_point(|&place| {
            let at = self.start.saturating_add(place as usize);
            let first = file.reader(at, self.end).text();
            first.is_some_and(|first| first <= text.as_bytes())
        });
        let place = after.checked_sub(1)?;
        let mut reader = self.reader(file, place)?;
        let at = (0..STEP).position(|_| reader.text() == Some(text.as_bytes()))?;
        let symbol = place.checked_mul(STEP)?.checked_add(at)?;
        u32::try_from(symbol)
            .ok()
            .filter(|&symbol| symbol < self.count)
    }

    /// Checks that all symbols are UTF-8, and that they ascend.
    pub(super) fn verify(&self, file: &Source) -> Result<(), Error> {
        let mut reader = file.reader(self.start, self.end);
        let mut before: Option<&[u8]> = None;
        for _ in 0..self.count {
            let at = reader.at();
            let text = reader.text().unwrap_or_default();
            file.text(text, at)?;
            if before.is_some_and(|before| before >= text) {
                return Err(file.corrupt(at, "symbols do not ascend"));
            }
            before = Some(text);
        }
        Ok(())
    }
}
