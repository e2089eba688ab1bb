//! Labels of samples: which become a group, which name a span or a trace.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use hashbrown::HashTable;

use super::symbols::Symbols;
use crate::error::Error;
use crate::normalized::NO_TRACE;
use crate::reuse::{reset, reset_table};
use crate::wire::Reader;

/// Scratch and results; reused.
#[derive(Debug, Default)]
pub(crate) struct LabelBuffers {
    /// By string: what it means as the key of a label.
    keys: Vec<Key>,
    /// By string: the first one met with the same text; [`UNSEEN`] before.
    same: Vec<u32>,
    by_text: HashTable<u32>,
    /// Labels of the sample that is being read: indices of strings.
    pairs: Vec<(u32, u32)>,
    span: Option<u32>,
    old_span: Option<u32>,
    trace: Option<u32>,
    count: usize,

    /// Labels of all groups.
    labels: Vec<(u32, u32)>,
    /// The labels of group `g` end at `ends[g]` and begin where those of the group before end.
    ends: Vec<u32>,
    groups: HashTable<u32>,
    last: Option<u32>,
    trace_ids: Vec<[u8; 16]>,
    traces: HashTable<u32>,
    invalid_ids: u64,
}

/// What a string means as the key of a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Unseen,
    Label,
    Nothing,
    Span,
    OldSpan,
    Trace,
}

const UNSEEN: u32 = u32::MAX;

/// What a sample's labels say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) group: u32,
    pub(crate) span_id: u64,
    pub(crate) trace: u32,
}

impl LabelBuffers {
    pub(crate) fn clear(&mut self) {
        reset(&mut self.keys);
        reset(&mut self.same);
        reset_table(&mut self.by_text);
        reset(&mut self.labels);
        reset(&mut self.ends);
        reset_table(&mut self.groups);
        reset(&mut self.trace_ids);
        reset_table(&mut self.traces);
        self.last = None;
        self.invalid_ids = 0;
        self.begin();
    }

    /// Begins a sample.
    pub(crate) fn begin(&mut self) {
        self.pairs.clear();
        (self.span, self.old_span, self.trace, self.count) = (None, None, None, 0);
    }

    /// Number of labels read since [`LabelBuffers::begin`], those without a text included.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Reads one label of the sample.
    pub(crate) fn read(
        &mut self,
        mut reader: Reader<'_>,
        sample: usize,
        symbols: &mut Symbols<'_>,
    ) -> Result<(), Error> {
        let (mut key, mut text) = (0, 0);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => key = reader.number(wire)?,
                2 => text = reader.number(wire)?,
                _ => reader.skip(wire)?,
            }
        }
        self.count = self.count.saturating_add(1);
        let strings = symbols.string_count();
        let inside = |index: u64| match u32::try_from(index) {
            Ok(small) if (small as usize) < strings => Ok(small),
            _ => Err(Error::StringIndex {
                of: "label of sample",
                position: sample,
                index: index as i64,
                strings,
            }),
        };
        let (key, text) = (inside(key)?, inside(text)?);
        if text == 0 {
            return Ok(()); // a number
        }
        match self.key(key, symbols) {
            Key::Span => self.span = Some(text),
            Key::OldSpan => self.old_span = Some(text),
            Key::Trace => self.trace = Some(text),
            Key::Label if symbols.string(text).is_empty() => {}
            Key::Label => {
                let pair = (
                    self.first_of_text(key, symbols),
                    self.first_of_text(text, symbols),
                );
                self.pairs.push(pair);
            }
            Key::Nothing | Key::Unseen => {}
        }
        Ok(())
    }

    fn key(&mut self, index: u32, symbols: &Symbols<'_>) -> Key {
        if self.keys.is_empty() {
            self.keys.resize(symbols.string_count(), Key::Unseen);
            self.same.resize(symbols.string_count(), UNSEEN);
        }
        let Some(key) = self.keys.get_mut(index as usize) else {
            return Key::Nothing;
        };
        if *key == Key::Unseen {
            *key = match symbols.string(index) {
                "" => Key::Nothing,
                "span_id" => Key::Span,
                "profile_id" => Key::OldSpan,
                "trace_id" => Key::Trace,
                _ => Key::Label,
            };
        }
        *key
    }

    /// Equal texts at different places of the table are one.
    fn first_of_text(&mut self, index: u32, symbols: &mut Symbols<'_>) -> u32 {
        let Some(same) = self.same.get_mut(index as usize) else {
            return index;
        };
        if *same == UNSEEN {
            let hash = symbols.string_hash(index);
            let text = symbols.string(index);
            *same = match self
                .by_text
                .find(hash, |&other| symbols.string(other) == text)
            {
                Some(&other) => other,
                None => {
                    self.by_text
                        .insert_unique(hash, index, |&other| symbols.known_string_hash(other));
                    index
                }
            };
        }
        *same
    }

    /// Ends a sample: finds or makes its group.
    pub(crate) fn end(&mut self, symbols: &Symbols<'_>) -> Marks {
        let span_id = match self.span.or(self.old_span) {
            Some(text) => self
                .id::<8>(symbols.string(text))
                .map_or(0, u64::from_le_bytes),
            None => 0,
        };
        let trace = match self.trace {
            Some(text) => self
                .id::<16>(symbols.string(text))
                .map_or(NO_TRACE, |id| self.trace(id, symbols)),
            None => NO_TRACE,
        };
        Marks {
            group: self.group(symbols),
            span_id,
            trace,
        }
    }

    /// The index of the group without labels.
    pub(crate) fn plain_group(&mut self, symbols: &Symbols<'_>) -> u32 {
        self.begin();
        self.group(symbols)
    }

    fn group(&mut self, symbols: &Symbols<'_>) -> u32 {
        if let Some(last) = self.last {
            // Neighbours often have the same labels, in the same order.
            if labels_of(&self.labels, &self.ends, last) == self.pairs {
                return last;
            }
        }
        self.pairs.sort_unstable();
        self.pairs.dedup();
        let Self {
            labels,
            ends,
            groups,
            pairs,
            ..
        } = self;
        let seed = symbols.seed();
        let hash = |pairs: &[(u32, u32)]| {
            pairs.iter().fold(0, |h, &(key, text)| {
                seed.pair(h, u64::from(key) << 32 | u64::from(text))
            })
        };
        let group = match groups.find(hash(pairs), |&group| {
            labels_of(labels, ends, group) == pairs
        }) {
            Some(&group) => group,
            None => {
                let group = ends.len() as u32;
                labels.extend_from_slice(pairs);
                ends.push(labels.len() as u32);
                groups.insert_unique(hash(pairs), group, |&other| {
                    hash(labels_of(labels, ends, other))
                });
                group
            }
        };
        self.last = Some(group);
        group
    }

    fn id<const BYTES: usize>(&mut self, text: &str) -> Option<[u8; BYTES]> {
        let id = parse_hex(text);
        self.invalid_ids = self.invalid_ids.saturating_add(u64::from(id.is_none()));
        id
    }

    fn trace(&mut self, id: [u8; 16], symbols: &Symbols<'_>) -> u32 {
        let Self {
            trace_ids, traces, ..
        } = self;
        let seed = symbols.seed();
        let hash = |id: &[u8; 16]| seed.string(id);
        match traces.find(hash(&id), |&other| {
            trace_ids.get(other as usize) == Some(&id)
        }) {
            Some(&trace) => trace,
            None => {
                let trace = trace_ids.len() as u32;
                trace_ids.push(id);
                traces.insert_unique(hash(&id), trace, |&other| {
                    trace_ids.get(other as usize).map_or(0, hash)
                });
                trace
            }
        }
    }

    /// Number of groups.
    pub(crate) const fn group_count(&self) -> usize {
        self.ends.len()
    }

    /// Labels of a group, sorted by key, then text.
    pub(crate) fn labels<'a>(&self, group: u32, symbols: &Symbols<'a>) -> Vec<(&'a str, &'a str)> {
        let pairs = labels_of(&self.labels, &self.ends, group);
        let mut labels: Vec<_> = pairs
            .iter()
            .map(|&(key, text)| (symbols.string(key), symbols.string(text)))
            .collect();
        labels.sort_unstable();
        labels
    }

    /// Span and trace ids that are not hexadecimal.
    pub(crate) const fn invalid_ids(&self) -> u64 {
        self.invalid_ids
    }

    /// Distinct trace ids.
    pub(crate) fn trace_ids(&self) -> &[[u8; 16]] {
        &self.trace_ids
    }
}

fn labels_of<'l>(labels: &'l [(u32, u32)], ends: &[u32], group: u32) -> &'l [(u32, u32)] {
    let start = (group as usize)
        .checked_sub(1)
        .and_then(|before| ends.get(before))
        .copied()
        .unwrap_or_default();
    let end = ends.get(group as usize).copied().unwrap_or_default();
    labels.get(start as usize..end as usize).unwrap_or_default()
}

/// Exactly two hexadecimal digits for each byte.
fn parse_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    if text.len() != BYTES.saturating_mul(2) {
        return None;
    }
    let mut id = [0; BYTES];
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = digits else { return None };
        let (high, low) = (
            char::from(*high).to_digit(16)?,
            char::from(*low).to_digit(16)?,
        );
        *byte = (high << 4 | low) as u8;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_exactly_as_many_hexadecimal_digits() {
        assert_eq!(
            parse_hex("0102030405060708").map(u64::from_le_bytes),
            Some(0x0807_0605_0403_0201)
        );
        assert_eq!(
            parse_hex("00000000000000fF").map(u64::from_le_bytes),
            Some(0xff << 56)
        );
        for wrong in [
            "",
            "239",
            "010203040506070",
            "01020304050607080",
            "010203040506070g",
            "+102030405060708",
            "01020304050607é",
        ] {
            assert_eq!(parse_hex::<8>(wrong), None, "{wrong:?}");
        }
        assert_eq!(
            parse_hex("00112233445566778899aabbccddeeff"),
            Some([
                0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255
            ])
        );
    }
}
