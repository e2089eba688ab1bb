//! Label sets: the identity of a series.
//!
//! Order, quoting, fingerprint: api.md 1.9. Which names and values are allowed is
//! the distributor's to say.

pub mod names;
pub mod quote;

mod builder;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::Hasher as _;
use std::sync::Arc;

use phlare_proto::types::v1::LabelPair;
use xxhash_rust::xxh64::Xxh64;

use self::quote::Quoted;

pub use self::builder::LabelsBuilder;

/// An immutable list of names with values, each name once. One allocation; a clone is a counter.
///
/// The pairs are sorted by the bytes of their names unless they were taken over
/// [in stored order](Self::in_stored_order). Equal labels in another order are other labels.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// No labels.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Sorted by name; of several values of one name the last wins. Empty values are kept:
    /// only [`LabelsBuilder`] drops them.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.put(name.as_ref(), value.as_ref());
        }
        builder.build_with_empty()
    }

    /// The pairs as they come, for label sets that were ordered when they were stored.
    /// The caller warrants that no name comes twice.
    pub fn in_stored_order<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut encoded = String::new();
        for (name, value) in pairs {
            encode(&mut encoded, name.as_ref(), value.as_ref());
        }
        Self(encoded.into())
    }

    /// Names with values, in stored order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// The value of a name. O(n) in labels.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// Number of labels. O(n).
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of the allocation: all names and values, and one or two bytes per length.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }

    /// The identity of this label set in this order. O(bytes).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Xxh64::new(0);
        for (name, value) in self.iter() {
            hash.write(name.as_bytes());
            hash.write(&[SEPARATOR]);
            hash.write(value.as_bytes());
            hash.write(&[SEPARATOR]);
        }
        Fingerprint(hash.finish())
    }

    /// Only the labels with these names, sorted; a name that is absent stays absent.
    #[must_use]
    pub fn project(&self, names: &[String]) -> Self {
        Self::from_pairs(
            self.iter()
                .filter(|(name, _)| names.iter().any(|wanted| wanted == name)),
        )
    }

    /// As messages, in stored order.
    #[must_use]
    pub fn to_proto(&self) -> Vec<LabelPair> {
        self.iter()
            .map(|(name, value)| LabelPair {
                name: name.to_owned(),
                value: value.to_owned(),
            })
            .collect()
    }
}

impl From<&[LabelPair]> for Labels {
    /// As [`Labels::from_pairs`].
    fn from(pairs: &[LabelPair]) -> Self {
        Self::from_pairs(pairs.iter().map(|pair| (&pair.name, &pair.value)))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Ord for Labels {
    /// Pair by pair, names before values, bytewise.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// `{a="x", b="y"}`, the values quoted as Go does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}={}", Quoted(value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The names and values of [`Labels`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (name_len, rest) = split_length(self.rest);
        let (value_len, rest) = split_length(rest);
        let (name, rest) = rest.split_at(name_len);
        let (value, rest) = rest.split_at(value_len);
        self.rest = rest;
        Some((name, value))
    }
}

/// Between the parts of a fingerprint's input; occurs in no UTF-8 text.
const SEPARATOR: u8 = 0xFF;

/// XXH64 (seed 0) of the labels in stored order, each `name 0xFF value 0xFF`.
/// The same labels in another order have another fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// A fingerprint that was computed before.
    #[must_use]
    pub fn from_u64(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One pair: both lengths, then both texts. All of it is UTF-8, so that reading back needs neither a check nor `unsafe`.
fn encode(into: &mut String, name: &str, value: &str) {
    push_length(into, name.len());
    push_length(into, value.len());
    into.push_str(name);
    into.push_str(value);
}

/// Six bits per ASCII character, low bits first; bit 6 says that more follow.
fn push_length(into: &mut String, mut length: usize) {
    loop {
        let low = (length & 0x3F) as u8;
        length >>= 6;
        if length == 0 {
            into.push(char::from(low));
            return;
        }
        into.push(char::from(low | 0x40));
    }
}

fn split_length(encoded: &str) -> (usize, &str) {
    let mut length = 0;
    let mut shift = 0;
    for (i, byte) in encoded.bytes().enumerate() {
        length |= usize::from(byte & 0x3F) << shift;
        shift += 6;
        if byte & 0x40 == 0 {
            return (length, &encoded[i + 1..]);
        }
    }
    (0, "")
}

/// The name as it stands in a selector: bare if it may, else quoted.
pub(crate) fn name_in_selector(name: &str) -> Cow<'_, str> {
    if is_legacy_name(name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(Quoted(name).to_string())
    }
}

/// Whether a label name is `[a-zA-Z_][a-zA-Z0-9_]*`, the only form that older readers know.
#[must_use]
pub fn is_legacy_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests;
