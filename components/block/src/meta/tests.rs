use proptest::prelude::*;

use super::*;
use crate::testdata::{file, files_named};

const ID: &str = "01GR3QABQB6J30Q04K4E6MAKRE";

#[track_caller]
fn parse(text: &str) -> Meta {
    Meta::parse(text.as_bytes(), "meta.json").unwrap()
}

/// Offset and problem of a text that is refused.
#[track_caller]
fn refused(text: &str) -> (u64, String) {
    match Meta::parse(text.as_bytes(), "meta.json").unwrap_err() {
        Error::Corrupt {
            file,
            offset,
            problem,
        } => {
            assert_eq!(file, "meta.json");
            (offset, problem)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn real_files_come_back_byte_for_byte() {
    let metas = files_named("meta.json");
    assert!(metas.len() >= 5);
    for real in metas {
        let meta = Meta::parse(&real.bytes, &real.name).unwrap();
        let written = meta.to_json();
        let without_newline = real.bytes.trim_ascii_end();
        assert_eq!(
            String::from_utf8_lossy(&written),
            String::from_utf8_lossy(without_newline),
            "{}",
            real.name
        );
        assert!(real.name.contains(&meta.id.to_string()));
    }
}

#[test]
fn the_first_version_is_read() {
    let meta = Meta::parse(&file(&format!("v1/{ID}/meta.json")), "meta.json").unwrap();
    assert_eq!(meta.id.to_string(), ID);
    assert_eq!(
        (meta.min_ms, meta.max_ms),
        (1_675_162_365_672, 1_675_162_365_672)
    );
    assert_eq!((meta.version, meta.compaction.level), (1, 0));
    assert_eq!(meta.stats.num_samples, 40);
    assert_eq!(meta.size_of("index.tsdb"), Some(1299));
    assert_eq!(meta.size_of("nothing"), None);
    let index = meta.file("index.tsdb").unwrap();
    assert_eq!(index.tsdb, Some(TsdbEntry { num_series: 2 }));
    assert_eq!(meta.total_bytes(), 27722);
    assert_eq!(meta.source, "");
}

#[test]
fn symbols_are_found_by_name_and_counted() {
    let name = "v3/01HD3X85G9BGAG4S3TKPNMFG4Z/meta.json";
    let meta = Meta::parse(&file(name), name).unwrap();
    assert_eq!(
        meta.file_named("index.symdb").unwrap().rel_path,
        "symbols/index.symdb"
    );
    let sizes = meta.sizes();
    assert_eq!((sizes.index_bytes, sizes.profiles_bytes), (1022, 6856));
    assert_eq!(
        sizes.index_bytes + sizes.profiles_bytes + sizes.symbols_bytes,
        meta.total_bytes()
    );
    assert!(meta.overlaps(20_000, 30_000) && meta.overlaps(0, 1000));
    assert!(!meta.overlaps(20_001, 30_000) && !meta.overlaps(0, 999));
}

#[test]
fn what_is_not_said_has_a_default() {
    let meta = parse(&format!(
        r#"{{"ulid":"{ID}","version":3,"unknown":[1],"labels":null,"files":null,"stats":{{"more":1}}}}"#
    ));
    assert_eq!(meta.labels, BTreeMap::new());
    assert_eq!(meta.files, []);
    assert_eq!(meta.compaction, Compaction::default());
    assert_eq!((meta.min_ms, meta.max_ms), (0, 0));
}

#[test]
fn other_versions_are_not_supported() {
    for version in [
        "\"version\":0,",
        "\"version\":4,",
        "\"version\":-1,",
        "\"version\":null,",
        "",
    ] {
        let text = format!(r#"{{{version}"ulid":"{ID}","stats":7}}"#);
        let error = Meta::parse(text.as_bytes(), "meta.json").unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}

#[test]
fn errors_say_what_and_where() {
    let (offset, problem) = refused(r#"{"version":3,"ulid":"01"}"#);
    assert_eq!(offset, 24);
    assert!(problem.starts_with("not a block id"), "{problem}");

    let (_, problem) = refused(r#"{"version":3}"#);
    assert_eq!(problem, "missing field `ulid`");

    let text = format!(r#"{{"version":3,"ulid":"{ID}","minTime":2,"maxTime":1}}"#);
    let (offset, problem) = refused(&text);
    assert_eq!(offset, text.find("minTime").unwrap() as u64);
    assert_eq!(problem, "minTime is after maxTime");

    let (offset, problem) = refused("{\n\t\"version\": 3,\n\t\"ulid\" 5");
    assert_eq!((offset, problem.as_str()), (25, "expected `:`"));

    assert_eq!(refused("").0, 0);
}

#[test]
fn paths_lead_nowhere_else() {
    for path in [
        "",
        "/etc/passwd",
        "../other/index.tsdb",
        "symbols/../../x",
        "a//b",
        "a/",
        ".",
        "a\\\\b",
        "a\\u0000b",
    ] {
        let text = format!(r#"{{"version":3,"ulid":"{ID}","files":[{{"relPath":"{path}"}}]}}"#);
        assert!(refused(&text).1.starts_with("not a path"), "{path}");
    }
}

#[test]
fn shards_are_counted_from_one() {
    let with = |shard: &str| {
        parse(&format!(
            r#"{{"version":3,"ulid":"{ID}","labels":{{"__compactor_shard_id__":"{shard}"}}}}"#
        ))
        .shard()
    };
    assert_eq!(with("1_of_4"), Shard::new(0, 4));
    assert_eq!(with("4_of_4"), Shard::new(3, 4));
    for none in ["", "0_of_4", "5_of_4", "1_of_0", "+1_of_4", "1of4", "1_of_"] {
        assert_eq!(with(none), None, "{none}");
    }
    assert_eq!(Shard::new(2, 8).unwrap().to_string(), "3_of_8");
    assert_eq!(Shard::new(u64::MAX, u64::MAX), None);
}

#[test]
fn hostile_meta_is_read_or_refused() {
    bolero::check!(name = "meta")
        .with_iterations(20_000)
        .for_each(|bytes: &[u8]| {
            if let Ok(meta) = Meta::parse(bytes, "meta.json") {
                // Times beyond what a float holds are rounded, as upstream rounds them.
                let exact = |ms: i64| ms.unsigned_abs() < 1 << 52;
                let parents = &meta.compaction.parents;
                if exact(meta.min_ms)
                    && exact(meta.max_ms)
                    && parents.iter().all(|p| exact(p.min_ms) && exact(p.max_ms))
                {
                    let again = Meta::parse(&meta.to_json(), "again").unwrap();
                    assert_eq!(again, meta);
                }
            }
        });
}

#[test]
fn cut_files_are_refused() {
    let whole = file(&format!("v1/{ID}/meta.json"));
    for length in 0..whole.len() {
        let error = Meta::parse(&whole[..length], "meta.json").unwrap_err();
        let Error::Corrupt { offset, .. } = error else {
            panic!("{error}");
        };
        assert!(offset <= length as u64);
    }
}

fn ids() -> impl Strategy<Value = BlockId> {
    any::<[u8; 16]>().prop_map(BlockId::from_bytes)
}

fn times() -> impl Strategy<Value = (i64, i64)> {
    (
        -4_000_000_000_000_i64..4_000_000_000_000,
        0..100_000_000_i64,
    )
        .prop_map(|(min, length)| (min, min + length))
}

fn entries() -> impl Strategy<Value = FileEntry> {
    (
        "[a-zé\"]{1,8}(/[a-z.]{3,8}x){0,2}",
        any::<u64>(),
        proptest::option::of(any::<(u64, u64)>()),
        proptest::option::of(any::<u64>()),
    )
        .prop_map(|(rel_path, size_bytes, parquet, tsdb)| FileEntry {
            rel_path,
            size_bytes,
            parquet: parquet.map(|(num_row_groups, num_rows)| ParquetEntry {
                num_row_groups,
                num_rows,
            }),
            tsdb: tsdb.map(|num_series| TsdbEntry { num_series }),
        })
}

fn compactions() -> impl Strategy<Value = Compaction> {
    (
        any::<(u32, bool, bool)>(),
        prop::collection::vec(ids(), 0..3),
        prop::collection::vec((ids(), times()), 0..3),
        prop::collection::vec(any::<String>(), 0..3),
    )
        .prop_map(|((level, deletable, failed), sources, parents, hints)| {
            let parent = |(id, (min_ms, max_ms))| Parent { id, min_ms, max_ms };
            Compaction {
                level,
                sources,
                deletable,
                parents: parents.into_iter().map(parent).collect(),
                failed,
                hints,
            }
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        id in ids(),
        (min_ms, max_ms) in times(),
        stats: (u64, u64, u64),
        files in prop::collection::vec(entries(), 0..4),
        compaction in compactions(),
        version in 1..=3_u8,
        labels in prop::collection::btree_map(any::<String>(), any::<String>(), 0..3),
        source: String,
        resolution: i64,
    ) {
        let (num_samples, num_series, num_profiles) = stats;
        let stats = Stats { num_samples, num_series, num_profiles };
        let meta = Meta {
            id, min_ms, max_ms, stats, files, compaction, version, labels, source, resolution,
        };
        let read = Meta::parse(&meta.to_json(), "meta.json").unwrap();
        prop_assert_eq!(read, meta);
    }
}
