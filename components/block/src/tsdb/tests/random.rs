//! Random label sets.

use phlare_model::selector::{MatchOp, Matcher};
use proptest::prelude::*;

use super::*;

/// Few names and values, so that both come twice; some values are names.
fn labels() -> impl Strategy<Value = Labels> {
    let name = prop::sample::select(vec!["a", "b", "job", "é", "__name__", "zz"]);
    let value = prop_oneof![
        4 => prop::sample::select(vec!["", "a", "b", "job", "x", "\u{10ffff}"]).prop_map(str::to_owned),
        1 => "[a-z]{1,3}",
        1 => prop::collection::vec(any::<char>(), 100..300).prop_map(String::from_iter),
    ];
    (
        prop::collection::btree_map(name, value, 0..5),
        any::<bool>(),
    )
        .prop_map(|(pairs, reverse)| {
            let mut pairs: Vec<_> = pairs.into_iter().collect();
            if reverse {
                pairs.reverse();
            }
            Labels::in_stored_order(pairs)
        })
}

fn series() -> impl Strategy<Value = Vec<SeriesEntry>> {
    let times = (any::<i64>(), any::<i64>()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let entry = (labels(), times).prop_map(|(labels, (min_ns, max_ns))| SeriesEntry {
        labels,
        min_ns,
        max_ns,
    });
    prop::collection::vec(entry, 0..40)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let name = prop::sample::select(vec!["a", "b", "job", "é", "__name__", "zz", "none"]);
    let op = prop::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]);
    let value = prop::sample::select(vec![
        "", "a", "b", "a|b", "a|", ".+", ".*", "[a-j].*", "x", "job",
    ]);
    (name, op, value).prop_map(|(name, op, value)| Matcher::new(name, op, value).unwrap())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        series in series(),
        selectors in prop::collection::vec(prop::collection::vec(matcher(), 0..4), 8),
    ) {
        let (index, series) = index_of(series);
        index.verify().unwrap();
        prop_assert_eq!(&entries(&index), &series);
        for (ordinal, entry) in series.iter().enumerate() {
            let fingerprint = index.fingerprint(ordinal as u32).unwrap();
            prop_assert_eq!(fingerprint, entry.labels.fingerprint());
        }
        for matchers in selectors {
            let selector = Selector::from(matchers);
            let found = index.select(&selector).unwrap();
            prop_assert_eq!(found, by_definition(&series, &selector), "{}", selector);
        }
        let mut names: Vec<_> = series.iter().flat_map(|entry| &entry.labels).collect();
        names.sort_unstable();
        names.dedup();
        let listed: Vec<_> = index
            .label_names()
            .unwrap()
            .into_iter()
            .flat_map(|name| {
                let values = index.label_values(name).unwrap();
                values.into_iter().map(move |value| (name, value))
            })
            .collect();
        prop_assert_eq!(listed, names);
        let from = series.iter().map(|entry| entry.min_ns).min().unwrap_or_default();
        let through = series.iter().map(|entry| entry.max_ns).max().unwrap_or_default();
        prop_assert_eq!(index.bounds_ns(), (from, through));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn thousands_of_series_come_back(count in 0..5000_u32, values in 1..600_u32, seed: u32) {
        let series = (0..count)
            .map(|i| {
                let value = |step: u32| (i.wrapping_mul(step) ^ seed) % values;
                let (a, b) = (value(7919).to_string(), value(104_729).to_string());
                entry([("a", a.as_str()), ("b", &b), ("i", &i.to_string())])
            })
            .collect();
        let (index, series) = index_of(series);
        index.verify().unwrap();
        prop_assert_eq!(&entries(&index), &series);
        for entry in series.iter().step_by(97) {
            for (name, value) in &entry.labels {
                let selector = Selector::from(vec![Matcher::equal(name, value)]);
                let found = index.select(&selector).unwrap();
                prop_assert_eq!(found, by_definition(&series, &selector));
            }
        }
        let selector = Selector::parse(r#"{a=~"1.*",b!~".*[24]",i!="7"}"#).unwrap();
        prop_assert_eq!(index.select(&selector).unwrap(), by_definition(&series, &selector));
    }
}
