//! The inverted index of a head: from labels to series.

use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use phlare_model::labels::Labels;
use phlare_model::selector::{MatchOp, Matcher, Selector};

use crate::series::{Series, SeriesIndex};

/// All series of a head and, for each label name and value, the ascending indices of the series that have it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    series: Vec<Arc<Series>>,
    by_labels: HashTable<SeriesIndex>,
    postings: HashMap<Box<str>, HashMap<Box<str>, Vec<SeriesIndex>>>,
    size_bytes: usize,
}

impl Index {
    pub(crate) fn series(&self) -> &[Arc<Series>] {
        &self.series
    }

    pub(crate) fn find(&self, labels: &Labels) -> Option<SeriesIndex> {
        self.by_labels
            .find(labels.fingerprint().get(), |&index| {
                self.series[index as usize].labels == *labels
            })
            .copied()
    }

    /// Adds a series that [`Index::find`] did not find. `None` if 2³² − 1 exist.
    pub(crate) fn insert(&mut self, labels: &Labels) -> Option<SeriesIndex> {
        let index = SeriesIndex::try_from(self.series.len())
            .ok()
            .filter(|&index| index < SeriesIndex::MAX)?;
        for (name, value) in labels.iter() {
            let values = match self.postings.get_mut(name) {
                Some(values) => values,
                None => self.postings.entry(Box::from(name)).or_default(),
            };
            match values.get_mut(value) {
                Some(series) => series.push(index),
                None => drop(values.insert(Box::from(value), vec![index])),
            }
        }
        self.series.push(Arc::new(Series::new(labels.clone())));
        let series = &self.series;
        self.by_labels
            .insert_unique(labels.fingerprint().get(), index, |&index| {
                series[index as usize].labels.fingerprint().get()
            });
        // Labels themselves, the series, and a posting of 4 bytes (8 with room to grow) for each label.
        self.size_bytes += labels.size_bytes() + size_of::<Series>() + 32 + labels.len() * 8;
        Some(index)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The series that all matchers select, ascending. A missing label equals an empty value.
    pub(crate) fn select(&self, selector: &Selector) -> Vec<SeriesIndex> {
        let (narrow, filter): (Vec<_>, Vec<_>) = selector
            .matchers
            .iter()
            .partition(|matcher| selects_present(matcher));
        let mut lists: Vec<_> = narrow
            .into_iter()
            .map(|matcher| self.matching(matcher))
            .collect();
        lists.sort_by_key(Vec::len);
        let mut lists = lists.into_iter();
        let mut found = match lists.next() {
            Some(shortest) => shortest,
            None => (0..self.series.len() as SeriesIndex).collect(),
        };
        for list in lists {
            found.retain(|index| list.binary_search(index).is_ok());
        }
        found.retain(|&index| {
            let labels = &self.series[index as usize].labels;
            filter
                .iter()
                .all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or_default()))
        });
        found
    }

    /// Series with a value of the matcher's label that it matches, ascending.
    fn matching(&self, matcher: &Matcher) -> Vec<SeriesIndex> {
        let Some(values) = self.postings.get(matcher.name()) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut lists = 0;
        let mut add = |series: &Vec<SeriesIndex>| {
            found.extend_from_slice(series);
            lists += 1;
        };
        match matcher.set_values() {
            Some(set) => set
                .iter()
                .filter_map(|value| values.get(value.as_str()))
                .for_each(&mut add),
            None => values
                .iter()
                .filter(|(value, _)| matcher.matches(value))
                .for_each(|(_, series)| add(series)),
        }
        if lists > 1 {
            found.sort_unstable();
            found.dedup();
        }
        found
    }
}

/// Whether a matcher names values that a series must have: such matchers narrow the search, others only filter.
fn selects_present(matcher: &Matcher) -> bool {
    matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex) && !matcher.matches_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_find_what_the_definition_says() {
        let mut index = Index::default();
        let sets = [
            [("app", "a"), ("env", "dev")].as_slice(),
            &[("app", "b"), ("env", "prod")],
            &[("app", "a")],
            &[("app", "c"), ("env", "prod"), ("zone", "é")],
        ];
        let sets: Vec<_> = sets
            .iter()
            .map(|pairs| Labels::from_pairs(pairs.iter().copied()))
            .collect();
        for labels in &sets {
            index.insert(labels).unwrap();
        }
        for selector in [
            "{}",
            r#"{app="a"}"#,
            r#"{app!="a"}"#,
            r#"{env=""}"#,
            r#"{env!=""}"#,
            r#"{env=~"dev|"}"#,
            r#"{env!~"dev|"}"#,
            r#"{app=~"a|b",env=~".+"}"#,
            r#"{app=~"."}"#,
            r#"{nope="x"}"#,
            r#"{nope!="x"}"#,
            r#"{zone="é"}"#,
            r#"{app="a",app="b"}"#,
        ] {
            let parsed = Selector::parse(selector).unwrap();
            let expected: Vec<_> = (0..4)
                .filter(|&i| parsed.matches(&sets[i as usize]))
                .collect();
            assert_eq!(index.select(&parsed), expected, "{selector}");
        }
    }

    #[test]
    fn series_are_found_by_their_labels() {
        let mut index = Index::default();
        let labels = Labels::from_pairs([("a", "1"), ("b", "2")]);
        assert_eq!(index.find(&labels), None);
        let added = index.insert(&labels);
        assert_eq!(index.find(&labels), added);
        assert_eq!(index.find(&Labels::from_pairs([("a", "1")])), None);
    }
}
