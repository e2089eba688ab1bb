use super::super::testing::{REAL, real};

/// Strings, functions, mappings, locations, lines, nodes.
fn counts(directory: &str, meta_version: u32) -> Option<Vec<(u64, [usize; 6])>> {
    let reader = real(directory, meta_version)?;
    let count = |&id: &u64| {
        let symbols = reader.load(id).unwrap();
        let counts = [
            symbols.strings.len(),
            symbols.functions.len(),
            symbols.mappings.len(),
            symbols.locations.len(),
            symbols.lines.len(),
            symbols.stacks.len(),
        ];
        (id, counts)
    };
    Some(reader.partitions().iter().map(count).collect())
}

#[track_caller]
fn check(directory: &str, meta_version: u32, expected: &[(u64, [usize; 6])]) {
    if let Some(counts) = counts(directory, meta_version) {
        assert_eq!(counts, expected, "{directory}");
    }
}

#[test]
fn every_generation_has_the_rows_it_should() {
    check("blocks/v1/*", 1, &[(0, [167, 101, 6, 108, 119, 202])]);
    check(
        "blocks/v2/*",
        2,
        &[(0xa162_51c2_04ee_e39e, [1129, 818, 6, 1012, 1159, 2874])],
    );
    check(
        "blocks/v3/*",
        3,
        &[(0x9417_d9d5_253a_6f19, [6, 3, 1, 3, 3, 4])],
    );
    let both = [701, 507, 3, 762, 902, 1793];
    check("symdb/v2", 3, &[(0, both), (1, both)]);
    let both = [699, 506, 3, 718, 851, 2 * 1024 + 314];
    check("symdb/v3", 3, &[(0, both), (1, both)]);
    check(
        "v2arch/01JKT2S01VXGG0YS6TG8QC2JWD/carved",
        3,
        &[(0, [2482, 1911, 2, 3367, 3367, 7109])],
    );
    check(
        "v2arch/01JKT426996H1XWCX1M1ZQFRJ6/carved",
        3,
        &[(0, [35, 22, 1, 29, 31, 41])],
    );
}

#[test]
fn all_partitions_of_a_block_have_all_rows_of_its_tables() {
    let tables = [
        ("blocks/v3-partial/*", 15, [23085, 19063, 15, 32293]),
        (
            "blocks/v3-golden/anonymous/phlaredb/*",
            16,
            [7039, 5674, 30, 8496],
        ),
        (
            "blocks/v3-compaction/output/anonymous/phlaredb/*",
            16,
            [5789, 4682, 19, 6643],
        ),
    ];
    for (directory, partitions, rows) in tables {
        let Some(counts) = counts(directory, 3) else {
            continue;
        };
        assert_eq!(counts.len(), partitions);
        for (column, rows) in rows.into_iter().enumerate() {
            let sum: usize = counts.iter().map(|(_, counts)| counts[column]).sum();
            assert_eq!(sum, rows, "{directory}");
        }
    }
}

#[test]
fn all_real_symbols_are_sound() {
    for (directory, meta_version) in REAL {
        if let Some(reader) = real(directory, meta_version) {
            reader.verify().unwrap();
        }
    }
}
