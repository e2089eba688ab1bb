//! From a selector to series.
//!
//! Matchers that name values (`=`, alternations) come first, as lists; what is left is either looked up by all values of
//! its label or asked of the labels of the series found so far, whichever reads less.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use phlare_model::selector::{MatchOp, Matcher, Selector};
use rustc_hash::FxHashMap;

use super::Index;
use super::found::{Found, Lists};
use super::postings::{Entry, Values};
use super::series::Record;
use crate::error::Error;

impl Index {
    /// Ordinals of the series that a selector selects, ascending. A missing label equals an empty value.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn select(&self, selector: &Selector) -> Result<Vec<u32>, Error> {
        let (exact, others): (Vec<_>, Vec<_>) = selector
            .matchers
            .iter()
            .partition(|matcher| matcher.set_values().is_some() && !matcher.matches_empty());
        let mut found = Found::new(self);
        let mut narrowing = Vec::with_capacity(exact.len());
        for matcher in exact {
            narrowing.push(self.lists_of_set(matcher)?);
        }
        narrowing.sort_by_key(|lists| lists.total());
        for lists in narrowing {
            found.keep(&lists)?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
        }
        let mut by_values = Vec::with_capacity(others.len());
        for matcher in others {
            match self.table.values(&self.file, matcher.name()) {
                Some(_) if excludes_one(matcher) => {
                    found.remove(&self.lists_of_values(matcher.name(), [matcher.value()])?)?;
                }
                Some(values) => by_values.push((matcher, values)),
                None if matcher.matches_empty() => {}
                None => return Ok(Vec::new()),
            }
        }
        by_values.sort_by_key(|(_, values)| values.len());
        let mut filters = Vec::new();
        for (matcher, values) in by_values {
            if found.is_worth_filtering(&values) {
                filters.push(matcher);
            } else if matcher.matches_empty() {
                found.remove(&self.lists_where(values, |value| !matcher.matches(value))?)?;
            } else {
                found.keep(&self.lists_where(values, |value| matcher.matches(value))?)?;
            }
        }
        let ordinals = found.into_ordinals()?;
        self.filter(ordinals, &filters)
    }

    fn lists_of_set(&self, matcher: &Matcher) -> Result<Lists<'_>, Error> {
        let values = matcher.set_values().unwrap_or_default();
        self.lists_of_values(matcher.name(), values.iter().map(String::as_str))
    }

    fn lists_of_values<'a>(
        &self,
        name: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<Lists<'_>, Error> {
        let mut found = Lists::default();
        for value in values {
            if let Some(at) = self.table.find(&self.file, name, value) {
                found.push(self, at)?;
            }
        }
        Ok(found)
    }

    /// The lists of all values that a condition holds for.
    fn lists_where(
        &self,
        values: Values<'_>,
        holds: impl Fn(&str) -> bool,
    ) -> Result<Lists<'_>, Error> {
        let mut found = Lists::default();
        for Entry {
            value, list, at, ..
        } in values
        {
            if holds(self.file.text(value, at)?) {
                found.push(self, list)?;
            }
        }
        Ok(found)
    }

    /// Those series whose labels satisfy all matchers.
    fn filter(&self, mut ordinals: Vec<u32>, matchers: &[&Matcher]) -> Result<Vec<u32>, Error> {
        if matchers.is_empty() {
            return Ok(ordinals);
        }
        let mut filters = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            filters.push(Filter::new(self, matcher)?);
        }
        let mut record = Record::default();
        let mut failed = None;
        ordinals.retain(|&ordinal| {
            let passes = |filters: &mut [Filter<'_>], record: &mut Record| {
                self.read(ordinal, record)?;
                for filter in filters {
                    if !filter.passes(self, record)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            };
            failed.is_none()
                && passes(&mut filters, &mut record).unwrap_or_else(|error| {
                    failed = Some(error);
                    false
                })
        });
        failed.map_or(Ok(ordinals), Err)
    }
}

/// `!=` with a value: all series but those of one list.
fn excludes_one(matcher: &Matcher) -> bool {
    matcher.op() == MatchOp::NotEqual && matcher.matches_empty()
}

/// A matcher that is asked of the labels of one series after the other; it is asked once for each value.
struct Filter<'m> {
    matcher: &'m Matcher,
    name: u32,
    without: bool,
    known: FxHashMap<u32, bool>,
}

impl<'m> Filter<'m> {
    fn new(index: &Index, matcher: &'m Matcher) -> Result<Self, Error> {
        let name = index.symbols.find(&index.file, matcher.name());
        let Some(name) = name else {
            let problem = format!("no symbol is the label name {:.100}", matcher.name());
            return Err(index.file.corrupt(index.toc.symbols, problem));
        };
        Ok(Self {
            matcher,
            name,
            without: matcher.matches_empty(),
            known: FxHashMap::default(),
        })
    }

    fn passes(&mut self, index: &Index, record: &Record) -> Result<bool, Error> {
        let label = record.labels.iter().find(|(name, _)| *name == self.name);
        let Some(&(_, value)) = label else {
            return Ok(self.without);
        };
        if let Some(&known) = self.known.get(&value) {
            return Ok(known);
        }
        let passes = self.matcher.matches(index.symbol(value)?);
        self.known.insert(value, passes);
        Ok(passes)
    }
}
