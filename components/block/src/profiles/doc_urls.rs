//! Documentation links of profiles, for which upstream's table has no column: in the file's key-value metadata, which
//! upstream ignores. Nearly all rows of a program have the same link, or none.
//!
//! Format: JSON, `{"texts":[text…],"runs":[gap,rows,text…]}`: `gap` rows without a link after the end of the run
//! before, then `rows` rows with the link at `text`.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// The metadata's key.
pub(crate) const KEY: &str = "phlare.doc_urls";

/// Links beyond this are not kept: they are for reading on, and whoever pushes could put anything into them.
const LIMIT_BYTES: usize = 1 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Encoded {
    texts: Vec<String>,
    runs: Vec<u64>,
}

/// Collects links in the order of rows.
#[derive(Debug, Default)]
pub(crate) struct DocUrlsWriter {
    encoded: Encoded,
    known: FxHashMap<String, u64>,
    bytes: usize,
    end: u64,
}

impl DocUrlsWriter {
    pub(crate) fn push(&mut self, row: u64, text: &str) {
        if text.is_empty() {
            return;
        }
        let index = match self.known.get(text) {
            Some(&index) => index,
            None => {
                if self.bytes + text.len() > LIMIT_BYTES {
                    return;
                }
                self.bytes += text.len();
                let index = self.encoded.texts.len() as u64;
                self.encoded.texts.push(text.to_owned());
                self.known.insert(text.to_owned(), index);
                index
            }
        };
        match self.encoded.runs.as_mut_slice() {
            [.., rows, last] if *last == index && self.end == row => *rows += 1,
            runs if runs.len() >= LIMIT_BYTES / 4 => return,
            _ => {
                let gap = row - self.end;
                self.encoded.runs.extend([gap, 1, index]);
            }
        }
        self.end = row + 1;
    }

    pub(crate) fn size_bytes(&self) -> usize {
        2 * self.bytes + self.encoded.runs.capacity() * 8
    }

    /// The metadata's value; `None` if no row has a link.
    pub(crate) fn finish(&self) -> Option<String> {
        match self.encoded.texts.is_empty() {
            true => None,
            false => serde_json::to_string(&self.encoded).ok(),
        }
    }
}

/// Links by row.
#[derive(Clone, Debug, Default)]
pub(crate) struct DocUrls {
    texts: Vec<String>,
    /// First row, row behind the last, text; ascending.
    runs: Vec<(u64, u64, u32)>,
}

impl DocUrls {
    /// `None` if it is not as described above.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let encoded: Encoded = serde_json::from_str(value).ok()?;
        let mut runs = Vec::with_capacity(encoded.runs.len() / 3);
        let mut end = 0u64;
        for run in encoded.runs.chunks(3) {
            let &[gap, rows, text] = run else {
                return None;
            };
            let start = end.checked_add(gap)?;
            end = start.checked_add(rows)?;
            encoded.texts.get(usize::try_from(text).ok()?)?;
            runs.push((start, end, u32::try_from(text).ok()?));
        }
        Some(Self {
            texts: encoded.texts,
            runs,
        })
    }

    /// The link of a row of the file; empty if it has none. O(log runs).
    pub(crate) fn get(&self, row: u64) -> &str {
        let behind = self.runs.partition_point(|&(_, end, _)| end <= row);
        match self.runs.get(behind) {
            Some(&(start, _, text)) if start <= row => &self.texts[text as usize],
            _ => "",
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| text.capacity() + 24).sum();
        texts + self.runs.capacity() * size_of::<(u64, u64, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_back_by_row() {
        let rows = ["", "a", "a", "", "", "b", "a", "", "b", "b"];
        let mut writer = DocUrlsWriter::default();
        for (row, text) in rows.iter().enumerate() {
            writer.push(row as u64, text);
        }
        let text = writer.finish().unwrap();
        assert_eq!(
            text,
            r#"{"texts":["a","b"],"runs":[1,2,0,2,1,1,0,1,0,1,2,1]}"#
        );
        let links = DocUrls::parse(&text).unwrap();
        for (row, text) in rows.iter().enumerate() {
            assert_eq!(links.get(row as u64), *text, "row {row}");
        }
        assert_eq!(links.get(10), "");
    }

    #[test]
    fn without_links_there_is_nothing_to_write() {
        let mut writer = DocUrlsWriter::default();
        writer.push(0, "");
        assert_eq!(writer.finish(), None);
    }

    #[test]
    fn links_beyond_the_limit_are_not_kept() {
        let mut writer = DocUrlsWriter::default();
        let long = "x".repeat(LIMIT_BYTES);
        writer.push(0, &long);
        writer.push(1, "y");
        writer.push(2, &long);
        let links = DocUrls::parse(&writer.finish().unwrap()).unwrap();
        assert_eq!(
            [0, 1, 2].map(|row| links.get(row).len()),
            [LIMIT_BYTES, 0, LIMIT_BYTES]
        );
    }

    #[test]
    fn broken_metadata_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"texts":[],"runs":[0,1,0]}"#,
            r#"{"texts":["a"],"runs":[0,1]}"#,
            r#"{"texts":["a"],"runs":[1,18446744073709551615,0]}"#,
            r#"{"texts":["a"],"runs":[0,1,-1]}"#,
        ] {
            assert!(DocUrls::parse(text).is_none(), "{text}");
        }
    }
}
