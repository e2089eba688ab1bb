//! Tables that Phlare and Pyroscope wrote.

use phlare_block::profiles::Profiles;

use crate::tables::{open, real, rows, testdata};

/// What pyarrow finds: rows, row groups, samples, sum of the values.
const FACTS: [(&str, [u64; 4]); 12] = [
    (
        "blocks/v1/01GR3QABQB6J30Q04K4E6MAKRE",
        [2, 1, 48, 10_273_837],
    ),
    (
        "blocks/v2/01H3YE0W63FNXM69N2WVTRBYYK",
        [12, 1, 955, 428_181_505_321],
    ),
    ("blocks/v3/01HD3X85G9BGAG4S3TKPNMFG4Z", [20, 2, 20, 20]),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952SNR4MW2AEEN4TTF9M9R",
        [48, 1, 4975, 94_801_344_734],
    ),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952V4B1QZWVKQR2HZ474HG",
        [46, 1, 6234, 104_522_371_403],
    ),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952WJTX5S8F24CQ60Z8TX8",
        [44, 1, 4976, 86_280_228_261],
    ),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952XZX39WT9AB2WWQ650KX",
        [16, 1, 768, 4_000_000_400],
    ),
    (
        "blocks/v3-compaction/input/anonymous/phlaredb/01M8952ZB9VC7EYDHPY3570165",
        [4, 1, 192, 1_000_000_100],
    ),
    (
        "blocks/v3-compaction/output/anonymous/phlaredb/01M88WD8G0QM8RF1TXFGG0ADCJ",
        [138, 1, 16_185, 285_603_944_398],
    ),
    (
        "blocks/v3-golden/anonymous/phlaredb/01M894XZ7NE6X1FAJZN8JYAHY1",
        [142, 1, 25_293, 412_861_880_115],
    ),
    (
        "v2arch/01JKT2S01VXGG0YS6TG8QC2JWD/carved",
        [198, 1, 9893, 35_470_677_571_124],
    ),
    (
        "v2arch/01JKT426996H1XWCX1M1ZQFRJ6/carved",
        [6, 1, 960, 8_730_000_873],
    ),
];

fn facts(profiles: &Profiles) -> [u64; 4] {
    let rows = rows(profiles).unwrap();
    let samples = rows.iter().map(|row| row.values.len() as u64).sum();
    let sum = rows.iter().flat_map(|row| &row.values).sum::<i64>();
    [
        profiles.rows(),
        profiles.row_groups().len() as u64,
        samples,
        sum as u64,
    ]
}

#[test]
fn real_tables_hold_what_others_find_in_them() {
    let Some(root) = testdata() else {
        return;
    };
    assert_eq!(real().len(), FACTS.len(), "tables of the test data");
    for (name, expected) in FACTS {
        let table = open(&root.join(name).join("profiles.parquet"));
        assert_eq!(facts(&table), expected, "{name}");
        assert_eq!(table.samples_stored(), expected[2], "{name}");
    }
}

#[test]
fn real_tables_are_sound() {
    for (name, path) in real() {
        let table = open(&path);
        let verified = table.verify().unwrap();
        assert_eq!(verified.rows, table.rows(), "{name}");
        assert_eq!(verified.samples, table.samples_stored(), "{name}");
        assert!(verified.pages >= 15, "{name}: {verified:?}");
    }
}

#[test]
fn real_tables_hold_what_the_meta_file_says() {
    for (name, path) in real() {
        let Ok(meta) = std::fs::read(path.with_file_name("meta.json")) else {
            continue;
        };
        let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
        let [rows, _, samples, _] = facts(&open(&path));
        let stats = &meta["stats"];
        assert_eq!(stats["numProfiles"], rows, "{name}");
        // The oldest blocks do not count samples as they store them.
        if meta["version"] != 1 {
            assert_eq!(stats["numSamples"], samples, "{name}");
        }
        let files = meta["files"].as_array().unwrap();
        let file = files
            .iter()
            .find(|file| file["relPath"] == "profiles.parquet")
            .unwrap();
        assert_eq!(file["sizeBytes"], path.metadata().unwrap().len(), "{name}");
        assert_eq!(file["parquet"]["numRows"], rows, "{name}");
        let groups = open(&path).row_groups().len();
        assert_eq!(file["parquet"]["numRowGroups"], groups, "{name}");
    }
}

#[test]
fn totals_are_the_sums_of_the_samples() {
    for (name, path) in real() {
        let table = open(&path);
        let rows = rows(&table).unwrap();
        let mut totals = Vec::new();
        for (group, range) in table.row_groups().enumerate() {
            let all = 0..(range.end - range.start) as u32;
            let stored = table.totals(group, std::slice::from_ref(&all)).unwrap();
            let headers = table.headers(group).unwrap();
            match table.has_totals() {
                true => assert_eq!(headers.total, stored, "{name}"),
                false => assert!(headers.total.is_empty(), "{name}"),
            }
            totals.extend(stored);
        }
        let sums: Vec<u64> = rows
            .iter()
            .map(|row| row.values.iter().sum::<i64>() as u64)
            .collect();
        assert_eq!(totals, sums, "{name}");
    }
}

#[test]
fn old_tables_lack_what_came_later() {
    let Some(root) = testdata() else {
        return;
    };
    let check = |name: &str, has: [bool; 4]| {
        let table = open(&root.join(name).join("profiles.parquet"));
        let found = [
            table.has_partitions(),
            table.has_totals(),
            table.has_spans(),
            table.has_traces(),
        ];
        assert_eq!(found, has, "{name}");
    };
    check(
        "blocks/v1/01GR3QABQB6J30Q04K4E6MAKRE",
        [false, false, false, false],
    );
    check(
        "blocks/v2/01H3YE0W63FNXM69N2WVTRBYYK",
        [true, false, false, false],
    );
    check(
        "blocks/v3/01HD3X85G9BGAG4S3TKPNMFG4Z",
        [true, true, false, false],
    );
    check(
        "blocks/v3-golden/anonymous/phlaredb/01M894XZ7NE6X1FAJZN8JYAHY1",
        [true, true, true, false],
    );
    check(
        "v2arch/01JKT2S01VXGG0YS6TG8QC2JWD/carved",
        [true, true, true, true],
    );
}
