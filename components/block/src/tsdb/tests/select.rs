//! Selectors find what their definition says.

use phlare_model::selector::{MatchOp, Matcher};

use super::*;

/// 5000 series: a pod of its own for each, few applications and zones, sometimes none.
fn many() -> Vec<SeriesEntry> {
    (0..5000)
        .map(|i| {
            let (pod, app) = (format!("pod-{i}"), format!("app-{}", i % 7));
            let mut pairs = vec![("app", app.as_str()), ("pod", pod.as_str())];
            match i % 3 {
                0 => pairs.push(("zone", "é")),
                1 => pairs.push(("zone", "")),
                _ => {}
            }
            entry(pairs)
        })
        .collect()
}

const SELECTORS: &[&str] = &[
    "{}",
    r#"{pod="pod-77"}"#,
    r#"{pod="pod-0"}"#,
    r#"{pod="pod-999"}"#,
    r#"{pod="pod"}"#,
    r#"{pod="pod-5000"}"#,
    r#"{pod="~"}"#,
    r#"{app="app-3"}"#,
    r#"{app="app-3",zone="é"}"#,
    r#"{app="app-3",app="app-4"}"#,
    r#"{app="app-3",pod="pod-3"}"#,
    r#"{app!="app-3"}"#,
    r#"{app!="nope"}"#,
    r#"{app!=""}"#,
    r#"{zone=""}"#,
    r#"{zone!=""}"#,
    r#"{zone=~"é|"}"#,
    r#"{zone!~"é|"}"#,
    r#"{zone=~"é|x"}"#,
    r#"{zone=~".*"}"#,
    r#"{zone=~".+"}"#,
    r#"{zone!~".+"}"#,
    r#"{zone!~".*"}"#,
    r#"{pod=~"pod-1.*"}"#,
    r#"{pod=~"pod-(17|18|19|5000)"}"#,
    r#"{pod=~".*7"}"#,
    r#"{pod!~".*7"}"#,
    r#"{pod=~".+",app="app-1"}"#,
    r#"{pod!="pod-1",app="app-1"}"#,
    r#"{pod!~"pod-1.*",pod=~"pod-.*5",zone!="é"}"#,
    r#"{pod=~"pod-(17|18|19)",app!~"app-[345]",zone=~"|x"}"#,
    r#"{pod=~"pod-(17|18|19)",pod!~".*9"}"#,
    r#"{pod=~"pod-(17|18|19)",pod=~".*9",zone!~"y.*"}"#,
    r#"{nope="x"}"#,
    r#"{nope!="x"}"#,
    r#"{nope=~".*"}"#,
    r#"{nope=~".+"}"#,
    r#"{nope!~"x.*",pod="pod-9"}"#,
    r#"{"é"="x"}"#,
];

#[test]
fn selectors_find_what_the_definition_says() {
    let (index, series) = index_of(many());
    index.verify().unwrap();
    for selector in SELECTORS {
        check_select(&index, &series, selector);
    }
}

#[test]
fn an_index_without_series_has_none() {
    let (index, series) = index_of(Vec::new());
    index.verify().unwrap();
    assert_eq!((index.series_count(), index.bounds_ns()), (0, (0, 0)));
    assert_eq!(index.label_names().unwrap(), [""; 0]);
    for selector in SELECTORS {
        check_select(&index, &series, selector);
    }
}

#[test]
fn a_label_without_a_name_is_no_label() {
    let (index, series) = index_of(many());
    for (op, value) in [
        (MatchOp::Equal, ""),
        (MatchOp::NotEqual, ""),
        (MatchOp::Equal, "x"),
        (MatchOp::NotEqual, "x"),
        (MatchOp::Regex, ".*"),
        (MatchOp::Regex, ".+"),
    ] {
        let selector = Selector::from(vec![Matcher::new("", op, value).unwrap()]);
        assert_eq!(
            index.select(&selector).unwrap(),
            by_definition(&series, &selector)
        );
    }
}

#[test]
fn real_series_are_selected_by_the_definition() {
    let index = real(GOLDEN);
    let series = entries(&index);
    for selector in [
        r#"{__profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds"}"#,
        r#"{__profile_type__=~"memory:.*",service_name!=""}"#,
        r#"{service_name!~"a.*",__unit__="bytes"}"#,
        r#"{__type__=~"cpu|samples",__name__!="memory"}"#,
        r#"{__session_id__=""}"#,
    ] {
        check_select(&index, &series, selector);
    }
}

#[test]
fn seeking_finds_the_first_place_that_is_not_less() {
    let list: Vec<_> = (0..100_u32).map(|i| (i * 3).to_be_bytes()).collect();
    for from in 0..=list.len() {
        for target in 0..310 {
            let expected = (from..list.len())
                .find(|&at| postings::reference(&list, at) >= target)
                .unwrap_or(list.len());
            assert_eq!(postings::seek(&list, from, target), expected);
        }
    }
}
