//! Making label sets.

use super::{Labels, encode};

/// Collects labels; a name has one value. Empty values mean that the label is absent.
///
/// Three allocations however many labels there are; `set` and `get` are O(log n) plus moving 24 B per label.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// Names and values; those that were replaced stay until [`LabelsBuilder::clear`].
    text: String,
    /// Sorted by name.
    pairs: Vec<Pair>,
}

/// `text[start..middle]` is the name, `text[middle..end]` the value.
#[derive(Clone, Copy, Debug)]
struct Pair {
    start: usize,
    middle: usize,
    end: usize,
}

impl LabelsBuilder {
    /// No labels yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a label, replacing its value; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        if value.is_empty() {
            return self.remove(name);
        }
        self.put(name, value);
        self
    }

    /// Removes a label, if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        if let Ok(i) = self.find(name) {
            self.pairs.remove(i);
        }
        self
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|i| self.value(self.pairs[i]))
    }

    /// Names with values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.pairs
            .iter()
            .map(|pair| (self.name(*pair), self.value(*pair)))
    }

    /// Removes all labels; the memory is kept.
    pub fn clear(&mut self) {
        self.text.clear();
        self.pairs.clear();
    }

    /// The labels sorted by name, without those whose value is empty.
    #[must_use]
    pub fn build(&self) -> Labels {
        Labels::in_stored_order(self.iter().filter(|(_, value)| !value.is_empty()))
    }

    /// As [`build`](Self::build), but these names come first, in this order, as far as they are present.
    #[must_use]
    pub fn build_with_first(&self, first: &[&str]) -> Labels {
        let head = first
            .iter()
            .filter_map(|name| self.get(name).map(|value| (*name, value)));
        let tail = self.iter().filter(|(name, _)| !first.contains(name));
        Labels::in_stored_order(head.chain(tail).filter(|(_, value)| !value.is_empty()))
    }

    /// The labels sorted by name, all of them.
    pub(super) fn build_with_empty(&self) -> Labels {
        let mut encoded = String::with_capacity(self.text.len() + 4 * self.pairs.len());
        for (name, value) in self.iter() {
            encode(&mut encoded, name, value);
        }
        Labels(encoded.into())
    }

    /// Sets a label, to an empty value, too.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        let start = self.text.len();
        self.text.push_str(name);
        let middle = self.text.len();
        self.text.push_str(value);
        let pair = Pair {
            start,
            middle,
            end: self.text.len(),
        };
        match self.find(name) {
            Ok(i) => self.pairs[i] = pair,
            Err(i) => self.pairs.insert(i, pair),
        }
    }

    /// Where a name is, or where it belongs.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.pairs
            .binary_search_by(|pair| self.name(*pair).cmp(name))
    }

    fn name(&self, pair: Pair) -> &str {
        &self.text[pair.start..pair.middle]
    }

    fn value(&self, pair: Pair) -> &str {
        &self.text[pair.middle..pair.end]
    }
}

impl From<&Labels> for LabelsBuilder {
    fn from(labels: &Labels) -> Self {
        labels.iter().collect()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for LabelsBuilder {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut builder = Self::new();
        for (name, value) in pairs {
            builder.put(name, value);
        }
        builder
    }
}

impl Labels {
    /// A builder that starts with these labels.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder::from(self)
    }
}
