//! The string table as it will be stored: valid UTF-8, not too long, without Go's shape types.

use memchr::memmem::Finder;

use crate::reuse::{reset, reset_text};
use crate::tables::Span;

/// What [`Text::build`] writes besides the strings; reused.
#[derive(Debug, Default)]
pub(crate) struct TextBuffers {
    written: String,
    edits: Vec<Edit>,
    repaired: Vec<u32>,
    truncated: Vec<u32>,
}

/// A string of which the text is not in the wire bytes but in `written`.
#[derive(Clone, Copy, Debug)]
struct Edit {
    index: u32,
    start: u32,
    end: u32,
}

/// Strings of a profile.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub(crate) strings: Vec<&'a str>,
    /// Indices of strings that were not UTF-8.
    pub(crate) repaired: &'a [u32],
    /// Indices of strings that were too long.
    pub(crate) truncated: &'a [u32],
}

impl<'a> Text<'a> {
    /// Reads the strings at `spans` of `bytes`. A `max_length` of 0 is no limit; `room` more strings can be added
    /// without allocating.
    pub(crate) fn build(
        bytes: &'a [u8],
        spans: &[Span],
        max_length: usize,
        cut_shapes: bool,
        room: usize,
        buffers: &'a mut TextBuffers,
    ) -> Self {
        buffers.clear();
        let mut strings = Vec::with_capacity(spans.len().saturating_add(room));
        let shapes = Finder::new(SHAPE);
        let cut_shapes = cut_shapes && shapes.find(region(bytes, spans)).is_some();
        for (span, index) in spans.iter().zip(0..) {
            let raw = bytes
                .get(span.start as usize..span.end as usize)
                .unwrap_or_default();
            let Ok(text) = std::str::from_utf8(raw) else {
                buffers.repair(index, raw, cut_shapes);
                strings.push("");
                continue;
            };
            if cut_shapes && shapes.find(raw).is_some() {
                buffers.write(index, |written| without_shapes(text, written));
            }
            strings.push(text);
        }
        let TextBuffers {
            written,
            edits,
            repaired,
            truncated,
        } = buffers;
        for edit in edits.iter() {
            if let Some(string) = strings.get_mut(edit.index as usize) {
                *string = written
                    .get(edit.start as usize..edit.end as usize)
                    .unwrap_or_default();
            }
        }
        if max_length > 0 {
            for (string, index) in strings.iter_mut().zip(0..) {
                if string.len() > max_length {
                    *string = tail(string, max_length);
                    truncated.push(index);
                }
            }
        }
        Self {
            strings,
            repaired,
            truncated,
        }
    }
}

impl TextBuffers {
    fn clear(&mut self) {
        reset_text(&mut self.written);
        reset(&mut self.edits);
        reset(&mut self.repaired);
        reset(&mut self.truncated);
    }

    fn write(&mut self, index: u32, text: impl FnOnce(&mut String)) {
        let start = self.written.len() as u32;
        text(&mut self.written);
        self.edits.push(Edit {
            index,
            start,
            end: self.written.len() as u32,
        });
    }

    #[cold]
    fn repair(&mut self, index: u32, raw: &[u8], cut_shapes: bool) {
        self.repaired.push(index);
        let text = String::from_utf8_lossy(raw);
        self.write(index, |written| {
            if cut_shapes {
                without_shapes(&text, written)
            } else {
                written.push_str(&text)
            }
        });
    }
}

/// The part of `bytes` in which all strings lie.
fn region<'a>(bytes: &'a [u8], spans: &[Span]) -> &'a [u8] {
    match spans {
        [first, .., last] => bytes
            .get(first.start as usize..last.end as usize)
            .unwrap_or_default(),
        _ => bytes,
    }
}

/// The last `length` bytes, or a few less so that no character is cut.
fn tail(text: &str, length: usize) -> &str {
    let wanted = text.len().saturating_sub(length);
    let start = (wanted..=text.len())
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(wanted);
    text.get(start..).unwrap_or_default()
}

/// How Go's names of shape types begin.
const SHAPE: &str = "[go.shape.";

/// Writes `text` without its lists of type parameters that begin with a shape type, as in `slices.Sort[go.shape.int]`:
/// they differ from build to build. A list without its closing bracket stays.
fn without_shapes(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some((before, list)) = rest.find(SHAPE).and_then(|at| rest.split_at_checked(at)) {
        let Some((_, after)) = closing_bracket(list).and_then(|at| list.split_at_checked(at))
        else {
            break;
        };
        out.push_str(before);
        rest = after;
    }
    out.push_str(rest);
}

/// Offset behind the bracket that closes the one at the beginning.
fn closing_bracket(list: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 1 => return Some(at + 1),
            b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(
        strings: &[&[u8]],
        max_length: usize,
        cut_shapes: bool,
    ) -> (Vec<String>, Vec<u32>, Vec<u32>) {
        let bytes = strings.concat();
        let mut spans = Vec::new();
        for string in strings {
            let start = spans.last().map_or(0, |last: &Span| last.end);
            spans.push(Span {
                start,
                end: start + string.len() as u32,
            });
        }
        let mut buffers = TextBuffers::default();
        let text = Text::build(&bytes, &spans, max_length, cut_shapes, 0, &mut buffers);
        (
            text.strings.iter().map(ToString::to_string).collect(),
            text.repaired.to_vec(),
            text.truncated.to_vec(),
        )
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        let (strings, repaired, _) = build(
            &[
                b"",
                b"ok",
                &[0xd6, 0x14, 0x50, 0x8c],
                "é".as_bytes(),
                &"é".as_bytes()[..1],
            ],
            0,
            false,
        );
        assert_eq!(
            strings,
            ["", "ok", "\u{fffd}\u{14}P\u{fffd}", "é", "\u{fffd}"]
        );
        assert_eq!(repaired, [2, 4]);
    }

    #[test]
    fn long_strings_keep_their_end_but_no_half_characters() {
        let (strings, _, truncated) = build(
            &[b"", b"abcd", b"abcde", "aéb€".as_bytes(), "€€".as_bytes()],
            4,
            false,
        );
        assert_eq!(strings, ["", "abcd", "bcde", "b€", "€"]);
        assert_eq!(truncated, [2, 3, 4]);
    }

    #[test]
    fn shape_types_are_cut_with_their_brackets_matched() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                build(&[b"", text.as_bytes(), b"end"], 0, true).0[1],
                expected
            );
            assert_eq!(build(&[b"", text.as_bytes(), b"end"], 0, false).0[1], text);
        };
        check("slices.Sort[go.shape.int]", "slices.Sort");
        check("a.(*Pool[go.shape.[]uint8]).Put", "a.(*Pool).Put");
        check("a[go.shape.map[string][]int].b[go.shape.string].c", "a.b.c");
        check("a[int].b", "a[int].b");
        check("a[...]", "a[...]");
        check("a[go.shape.[]int", "a[go.shape.[]int");
        check("[go.shape.", "[go.shape.");
    }

    #[test]
    fn a_string_can_need_every_repair_at_once() {
        let (strings, repaired, truncated) = build(&[b"", b"longname[go.shape.int]\xff"], 7, true);
        assert_eq!(strings, ["", "name\u{fffd}"]);
        assert_eq!((repaired, truncated), (vec![1], vec![1]));
    }
}
