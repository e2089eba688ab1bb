//! Helpers; the claims are in the files beside.

mod damage;
mod random;
mod real;
mod select;
mod write;

use phlare_model::selector::Selector;

use super::*;
use crate::testdata;

const V1: &str = "v1/01GR3QABQB6J30Q04K4E6MAKRE/index.tsdb";
const GOLDEN: &str = "v3-golden/anonymous/phlaredb/01M894XZ7NE6X1FAJZN8JYAHY1/index.tsdb";

fn open(bytes: impl Into<Bytes>) -> Result<Index, Error> {
    Index::open(bytes.into(), "index.tsdb".to_owned())
}

fn real(name: &str) -> Index {
    open(testdata::file(name)).unwrap()
}

fn entries(index: &Index) -> Vec<SeriesEntry> {
    (0..index.series_count())
        .map(|ordinal| index.entry(ordinal).unwrap())
        .collect()
}

#[track_caller]
fn written(series: &[SeriesEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    let bytes = write(series, "index.tsdb", &mut out).unwrap();
    assert_eq!(bytes, out.len() as u64);
    out
}

fn entry<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> SeriesEntry {
    SeriesEntry {
        labels: Labels::from_pairs(pairs),
        min_ns: 1,
        max_ns: 2,
    }
}

/// An index of these label sets, in whatever order they come; and the entries in order.
fn index_of(mut series: Vec<SeriesEntry>) -> (Index, Vec<SeriesEntry>) {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series.dedup_by(|a, b| a.labels == b.labels);
    (open(written(&series)).unwrap(), series)
}

/// What a selector means, without any index.
fn by_definition(series: &[SeriesEntry], selector: &Selector) -> Vec<u32> {
    (0..series.len() as u32)
        .filter(|&at| selector.matches(&series[at as usize].labels))
        .collect()
}

#[track_caller]
fn check_select(index: &Index, series: &[SeriesEntry], selector: &str) {
    let parsed = Selector::parse(selector).unwrap();
    let expected = by_definition(series, &parsed);
    assert_eq!(index.select(&parsed).unwrap(), expected, "{selector}");
}

/// Offset of an error that says the file is damaged.
#[track_caller]
fn damage(error: &Error) -> u64 {
    let Error::Corrupt { file, offset, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(file, "index.tsdb");
    *offset
}
