//! Random rows come back from tables of ours, however they are laid out.

use phlare_block::profiles::{Annotation, Layout, Options};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::tables::{Owned, open, rows, write};

/// Mostly small numbers, as real ones are, and all that fit.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0_i64..100, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn sample() -> impl Strategy<Value = (u64, i64, u64, [u8; 16])> {
    let stacktrace = number().prop_map(|id| id as u64);
    let value = prop_oneof![3 => 1_i64..1000, 1 => 1_i64..=i64::MAX];
    let span = prop_oneof![Just(0), any::<u64>()];
    let trace = prop_oneof![Just([0; 16]), any::<[u8; 16]>()];
    (stacktrace, value, span, trace)
}

/// Which lists a row has beside its samples.
fn lists() -> impl Strategy<Value = (bool, bool, Vec<Annotation>)> {
    let annotation = (".{0,4}", ".{0,40}").prop_map(|(key, value)| Annotation { key, value });
    (any::<bool>(), any::<bool>(), vec(annotation, 0..3))
}

fn row() -> impl Strategy<Value = Owned> {
    let series = prop_oneof![4 => 0_u32..8, 1 => any::<u32>()];
    let partition = number().prop_map(|partition| partition as u64);
    let numbers = (series, partition, number(), number(), number(), number());
    let doc_url = prop_oneof![Just(String::new()), "https://[a-c]"];
    let all = (
        any::<[u8; 16]>(),
        numbers,
        vec(sample(), 0..12),
        lists(),
        doc_url,
    );
    all.prop_map(|(id, numbers, samples, lists, doc_url)| {
        let (series, partition, time_ns, duration_ns, period, default_sample_type) = numbers;
        let (has_spans, has_traces, annotations) = lists;
        let values: Vec<i64> = samples.iter().map(|sample| sample.1).collect();
        let total = values
            .iter()
            .fold(0_u64, |sum, &v| sum.wrapping_add(v as u64));
        let spans = samples.iter().map(|sample| sample.2);
        let traces = samples.iter().map(|sample| sample.3);
        Owned {
            id,
            series,
            partition,
            total,
            time_ns,
            duration_ns,
            period,
            default_sample_type,
            stacktraces: samples.iter().map(|sample| sample.0).collect(),
            values,
            spans: spans.filter(|_| has_spans).collect(),
            traces: traces.filter(|_| has_traces).collect(),
            annotations,
            doc_url,
        }
    })
}

/// Zeros say of spans and traces what no list says.
fn without_nothing(mut row: Owned) -> Owned {
    if row.spans.iter().all(|&span| span == 0) {
        row.spans.clear();
    }
    if row.traces.iter().all(|&trace| trace == [0; 16]) {
        row.traces.clear();
    }
    row
}

fn options() -> impl Strategy<Value = Options> {
    let layout = prop_oneof![Just(Layout::Compact), Just(Layout::Upstream)];
    let sizes = (layout, 1_usize..50, 1_usize..20, 64_usize..4096);
    sizes.prop_map(
        |(layout, row_group_rows, header_page_rows, sample_page_bytes)| Options {
            layout,
            row_group_rows,
            header_page_rows,
            sample_page_bytes,
            ..Options::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_rows_come_back(mut expected in vec(row(), 0..80), options in options()) {
        expected.sort_by_key(|row| (row.series, row.time_ns));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("profiles.parquet");
        write(&file, options, &expected);
        let table = open(&file);
        let found = rows(&table).unwrap().into_iter().map(without_nothing);
        let expected: Vec<_> = expected.into_iter().map(without_nothing).collect();
        prop_assert_eq!(found.collect::<Vec<_>>(), expected.clone());
        let verified = table.verify().unwrap();
        prop_assert_eq!(verified.rows, expected.len() as u64);

        // The page index leads to every row.
        for (group, range) in table.row_groups().enumerate() {
            for row in range.clone() {
                let wanted = &expected[row as usize];
                let time_ns = wanted.time_ns..=wanted.time_ns;
                let pages = table.header_pages(group, &[wanted.series], &time_ns).unwrap();
                let at = (row - range.start) as u32;
                let headers = table.headers_of(group, &pages).unwrap();
                let place = headers.iter().find_map(|page| Some((page, page.place(at)?)));
                let (page, place) = place.expect("a page with the row");
                prop_assert_eq!(page.series[place], wanted.series);
                prop_assert_eq!(page.time_ns[place], wanted.time_ns);
                prop_assert_eq!(page.total[place], wanted.total);
                prop_assert_eq!(page.partition[place], wanted.partition);
            }
        }
    }
}
