//! From labels to series: the table of names and values, and the lists that it points to.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::reader::Reader;
use super::source::Source;
use super::toc::Toc;
use crate::error::Error;

/// Every how many entries a place is remembered. A look-up reads half as many entries; 4 bytes of memory each.
const STEP: usize = 32;

/// What an entry of the table begins with: how many texts follow.
const KEY_PARTS: u64 = 2;

/// An ascending list of references to series, as it is in the file.
pub(super) type List<'a> = &'a [[u8; 4]];

/// The reference at a place of a list; the largest one behind its end.
#[inline]
pub(super) fn reference(list: List<'_>, at: usize) -> u32 {
    list.get(at)
        .map_or(u32::MAX, |&bytes| u32::from_be_bytes(bytes))
}

/// The first place, from `from` on, that holds at least `target`. O(log distance).
#[inline]
pub(super) fn seek(list: List<'_>, from: usize, target: u32) -> usize {
    let rest = list.get(from..).unwrap_or_default();
    let less = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes) < target;
    let mut bound = 1_usize;
    while rest.get(bound.wrapping_sub(1)).is_some_and(less) {
        bound = bound.saturating_mul(2);
    }
    let low = bound / 2;
    let part = rest.get(low..bound.min(rest.len())).unwrap_or_default();
    from.saturating_add(low)
        .saturating_add(part.partition_point(less))
}

/// The table of names and values, which are in order.
pub(super) struct Table {
    /// The place of the list of all series.
    all: usize,
    names: Vec<Name>,
    /// Of every [`STEP`]th entry, counted from `start`: the section is no longer than 4 GiB.
    places: Vec<u32>,
    count: u32,
    start: usize,
    end: usize,
}

/// The entries of one label name.
#[derive(Clone, Copy)]
struct Name {
    /// Where the first is, counted from the start of the table.
    place: u32,
    /// How many entries come before.
    first: u32,
}

/// Entries of one name, not yet read.
pub(super) struct Values<'a> {
    reader: Reader<'a>,
    left: u32,
}

/// A name with a value, and the place of its list.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) list: usize,
    /// Where the entry itself is.
    pub(super) at: usize,
}

impl<'a> Entry<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let at = reader.at();
        if reader.uvarint()? != KEY_PARTS {
            return None;
        }
        Some(Self {
            name: reader.text()?,
            value: reader.text()?,
            list: usize::try_from(reader.uvarint()?).ok()?,
            at,
        })
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Entry<'a>;

    /// The entries have been read before, so there are as many as there should be.
    fn next(&mut self) -> Option<Entry<'a>> {
        self.left = self.left.checked_sub(1)?;
        Entry::read(&mut self.reader)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Values<'_> {}

impl Table {
    /// Reads all entries and checks their order. O(entries).
    pub(super) fn open(file: &Source, toc: &Toc) -> Result<Self, Error> {
        let what = "the table of postings";
        let mut body = file.section_to(toc.postings_table, toc.fingerprints, what)?;
        let end = body.at().saturating_add(body.left());
        let cut = |at| file.corrupt(at, "an entry of the table of postings cannot be read");
        let count = body.u32().ok_or_else(|| cut(toc.postings_table))?;
        let start = body.at();
        let mut table = Self {
            all: 0,
            names: Vec::new(),
            places: Vec::new(),
            count,
            start,
            end,
        };
        let mut before: Option<Entry<'_>> = None;
        for index in 0..count {
            let at = body.at();
            let entry = Entry::read(&mut body).ok_or_else(|| cut(at))?;
            let new_name = match before {
                None if !entry.name.is_empty() || !entry.value.is_empty() => {
                    return Err(file.corrupt(at, "the first postings are not those of all series"));
                }
                None => {
                    table.all = entry.list;
                    false
                }
                // The entry of all series belongs to no name.
                Some(before) if before.name == entry.name && before.at > start => {
                    if before.value >= entry.value {
                        return Err(file.corrupt(at, "label values do not ascend"));
                    }
                    false
                }
                Some(before) if before.name > entry.name || entry.name.is_empty() => {
                    return Err(file.corrupt(at, "label names do not ascend"));
                }
                Some(_) => true,
            };
            table.note(index, at, new_name);
            before = Some(entry);
        }
        match before {
            None => Err(file.corrupt(start, "there are no postings of all series")),
            Some(_) if body.left() > 0 => {
                Err(file.corrupt(body.at(), "bytes behind the table of postings"))
            }
            Some(_) => Ok(table),
        }
    }

    fn note(&mut self, index: u32, at: usize, new_name: bool) {
        let place = at.wrapping_sub(self.start) as u32;
        if (index as usize).is_multiple_of(STEP) {
            self.places.push(place);
        }
        if new_name {
            self.names.push(Name {
                place,
                first: index,
            });
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        let names = self.names.capacity().saturating_mul(size_of::<Name>());
        let places = self.places.capacity().saturating_mul(size_of::<u32>());
        names.saturating_add(places)
    }

    /// The place of the list of all series.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// All entries, that of all series first.
    pub(super) fn entries<'a>(&self, file: &'a Source) -> Values<'a> {
        Values {
            reader: file.reader(self.start, self.end),
            left: self.count,
        }
    }

    /// An entry of each name, ascending.
    pub(super) fn names<'a>(&self, file: &'a Source) -> impl Iterator<Item = Entry<'a>> {
        self.names
            .iter()
            .filter_map(move |name| Entry::read(&mut self.reader(file, name.place)))
    }

    /// The entries of a name, their values ascending. O(log names).
    pub(super) fn values<'a>(&self, file: &'a Source, name: &str) -> Option<Values<'a>> {
        let index = self.name(file, name)?;
        let (found, end) = self.range(index)?;
        Some(Values {
            reader: self.reader(file, found.place),
            left: end.saturating_sub(found.first),
        })
    }

    /// The place of the list of a label. O(log entries).
    pub(super) fn find(&self, file: &Source, name: &str, value: &str) -> Option<usize> {
        let (found, end) = self.range(self.name(file, name)?)?;
        let first = found.first as usize;
        // Places of entries of this name, the first of its entries set aside.
        let low = (first / STEP).saturating_add(1);
        let high = (end as usize).div_ceil(STEP).max(low);
        let places = self.places.get(low..high).unwrap_or_default();
        let after = places.partition_point(|&place| {
            Entry::read(&mut self.reader(file, place))
                .is_some_and(|entry| entry.value <= value.as_bytes())
        });
        let (place, index) = match after.checked_sub(1).and_then(|at| places.get(at)) {
            Some(&place) => {
                let sampled = low.saturating_add(after).saturating_sub(1);
                (place, sampled.saturating_mul(STEP))
            }
            None => (found.place, first),
        };
        let values = Values {
            reader: self.reader(file, place),
            left: end.saturating_sub(index as u32),
        };
        let mut values = values.skip_while(|entry| entry.value < value.as_bytes());
        let entry = values.next()?;
        (entry.value == value.as_bytes()).then_some(entry.list)
    }

    fn name(&self, file: &Source, name: &str) -> Option<usize> {
        let compare = |found: &Name| {
            let entry = Entry::read(&mut self.reader(file, found.place));
            entry
                .map_or(&[][..], |entry| entry.name)
                .cmp(name.as_bytes())
        };
        self.names.binary_search_by(compare).ok()
    }

    /// A name and the index of the entry behind its last.
    fn range(&self, index: usize) -> Option<(Name, u32)> {
        let next = self.names.get(index.saturating_add(1));
        let end = next.map_or(self.count, |next| next.first);
        Some((*self.names.get(index)?, end))
    }

    fn reader<'a>(&self, file: &'a Source, place: u32) -> Reader<'a> {
        file.reader(self.start.saturating_add(place as usize), self.end)
    }
}

/// The list at a place.
pub(super) fn list<'a>(file: &'a Source, toc: &Toc, at: usize) -> Result<List<'a>, Error> {
    let (list, _) = list_and_end(file, toc, at)?;
    Ok(list)
}

/// The list at a place, and the byte behind its section.
pub(super) fn list_and_end<'a>(
    file: &'a Source,
    toc: &Toc,
    at: usize,
) -> Result<(List<'a>, usize), Error> {
    if at < toc.postings {
        return Err(file.corrupt(at, "postings lie before all postings"));
    }
    let mut section = file.section(at, toc.label_table, "postings")?;
    let count = section.body.u32();
    let (list, rest) = section
        .body
        .take(section.body.left())
        .unwrap_or_default()
        .as_chunks();
    match count {
        Some(count) if count as usize == list.len() && rest.is_empty() => Ok((list, section.end)),
        _ => Err(file.corrupt(at, "postings have not the length that they say")),
    }
}
