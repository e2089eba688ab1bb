use std::path::{Path, PathBuf};

use super::*;
use crate::files::{LocalFiles, MemoryFiles};
use crate::testdata;

/// What pyarrow finds in the tables of profiles: rows, samples, sum of the values.
const FACTS: [(&str, [u64; 3]); 10] = [
    ("v1/01GR3QABQB6J30Q04K4E6MAKRE", [2, 48, 10_273_837]),
    ("v2/01H3YE0W63FNXM69N2WVTRBYYK", [12, 955, 428_181_505_321]),
    ("v3/01HD3X85G9BGAG4S3TKPNMFG4Z", [20, 20, 20]),
    (
        "v3-compaction/input/anonymous/phlaredb/01M8952SNR4MW2AEEN4TTF9M9R",
        [48, 4975, 94_801_344_734],
    ),
    (
        "v3-compaction/input/anonymous/phlaredb/01M8952V4B1QZWVKQR2HZ474HG",
        [46, 6234, 104_522_371_403],
    ),
    (
        "v3-compaction/input/anonymous/phlaredb/01M8952WJTX5S8F24CQ60Z8TX8",
        [44, 4976, 86_280_228_261],
    ),
    (
        "v3-compaction/input/anonymous/phlaredb/01M8952XZX39WT9AB2WWQ650KX",
        [16, 768, 4_000_000_400],
    ),
    (
        "v3-compaction/input/anonymous/phlaredb/01M8952ZB9VC7EYDHPY3570165",
        [4, 192, 1_000_000_100],
    ),
    (
        "v3-compaction/output/anonymous/phlaredb/01M88WD8G0QM8RF1TXFGG0ADCJ",
        [138, 16_185, 285_603_944_398],
    ),
    (
        "v3-golden/anonymous/phlaredb/01M894XZ7NE6X1FAJZN8JYAHY1",
        [142, 25_293, 412_861_880_115],
    ),
];

const SMALL: &str = "v3/01HD3X85G9BGAG4S3TKPNMFG4Z";

/// A real block, if there is shared test data.
fn real(name: &str) -> Option<PathBuf> {
    Some(testdata::shared()?.join("blocks").join(name))
}

/// A copy of a real block in memory: `meta.json`, and the bytes of each file.
fn copy(directory: &Path) -> (Meta, Vec<(String, Vec<u8>)>) {
    let meta = Meta::read(&LocalFiles::new(directory)).unwrap();
    let names = meta.files.iter().map(|file| file.rel_path.clone());
    let read = |name: String| {
        let bytes = std::fs::read(directory.join(&name)).unwrap();
        (name, bytes)
    };
    let files = names.map(read).collect();
    (meta, files)
}

fn verified(meta: &Meta, files: &[(String, Vec<u8>)]) -> Result<Verified, Error> {
    let mut memory = MemoryFiles::default();
    for (name, bytes) in files {
        memory.insert(name, bytes.clone());
    }
    let files: Arc<dyn Files> = Arc::new(memory);
    verify(meta, &files, &mut |_| {})
}

#[test]
fn every_real_block_is_sound_and_holds_what_others_find_in_it() {
    for (name, facts) in FACTS {
        let Some(directory) = real(name) else {
            return;
        };
        let files: Arc<dyn Files> = Arc::new(LocalFiles::new(directory));
        let meta = Meta::read(&*files).unwrap();
        let mut noted = Vec::new();
        let found = verify(&meta, &files, &mut |file| noted.push(file.to_owned())).unwrap();
        assert_eq!(
            [found.profiles, found.samples, found.total],
            facts,
            "{name}"
        );
        assert_eq!(found.series, meta.stats.num_series);
        assert_eq!(found.bytes, meta.total_bytes());
        for file in ["index.tsdb", "profiles.parquet", "strings.parquet"] {
            assert!(noted.iter().any(|noted| noted.ends_with(file)), "{noted:?}");
        }
    }
}

#[test]
fn a_file_that_is_missing_or_has_another_size_is_named() {
    let Some(directory) = real(SMALL) else {
        return;
    };
    let (meta, files) = copy(&directory);
    for (at, (name, _)) in files.iter().enumerate() {
        let mut cut = files.clone();
        cut[at].1.pop();
        let error = verified(&meta, &cut).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("memory/{name} is damaged")),
            "{error}"
        );
        assert!(error.contains("meta.json says"), "{error}");

        let mut fewer = files.clone();
        fewer.remove(at);
        let error = verified(&meta, &fewer).unwrap_err();
        assert_eq!(error.to_string(), format!("memory/{name} is missing"));
    }
}

/// What has a checksum, and what is read with others.
#[test]
fn every_flipped_byte_of_index_and_symdb_is_found() {
    let Some(directory) = real(SMALL) else {
        return;
    };
    let (meta, files) = copy(&directory);
    for (at, (name, bytes)) in files.iter().enumerate() {
        if name.ends_with(".parquet") {
            continue;
        }
        let mut undetected = Vec::new();
        for byte in 0..bytes.len() {
            let mut flipped = files.clone();
            flipped[at].1[byte] ^= 0x10;
            match verified(&meta, &flipped) {
                Ok(_) => undetected.push(byte),
                Err(error) => assert!(error.is_corruption(), "{name} {byte}: {error}"),
            }
        }
        assert_eq!(undetected, Vec::<usize>::new(), "{name}");
    }
}

/// Parquet files of upstream have no checksums: what is found is what contradicts something else.
#[test]
fn flipped_bytes_of_tables_never_panic_and_most_are_found() {
    let Some(directory) = real(SMALL) else {
        return;
    };
    let (meta, files) = copy(&directory);
    let (mut found, mut all) = (0, 0);
    for (at, (_, bytes)) in files.iter().enumerate() {
        for byte in (0..bytes.len()).step_by(3) {
            let mut flipped = files.clone();
            flipped[at].1[byte] ^= 0x04;
            all += 1;
            found += usize::from(verified(&meta, &flipped).is_err());
        }
    }
    assert!(found * 2 > all, "{found} of {all}");
}

#[test]
fn what_meta_says_is_compared_with_what_is_there() {
    let Some(directory) = real(SMALL) else {
        return;
    };
    let (meta, files) = copy(&directory);
    let refused = |change: &dyn Fn(&mut Meta), expected: &str| {
        let mut wrong = meta.clone();
        change(&mut wrong);
        let error = verified(&wrong, &files).unwrap_err().to_string();
        assert!(error.starts_with("memory/meta.json"), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    refused(&|meta| meta.stats.num_series = 3, "has 2 series, not 3");
    refused(
        &|meta| meta.stats.num_profiles = 3,
        "has 20 profiles, not 3",
    );
    refused(&|meta| meta.stats.num_samples = 3, "has 20 samples, not 3");
    refused(&|meta| meta.max_ms = 19_999, "not of 1000 to 19999");
    refused(&|meta| meta.min_ms = 1001, "not of 1001 to 20000");
    refused(
        &|meta| meta.files.retain(|file| file.rel_path != names::PROFILES),
        "does not name profiles.parquet",
    );
    refused(
        &|meta| meta.files.retain(|file| file.name() != "index.symdb"),
        "does not name index.symdb",
    );
    refused(
        &|meta| {
            let mut tables = meta
                .files
                .iter_mut()
                .filter_map(|file| file.parquet.as_mut());
            tables.next().unwrap().num_rows = 1;
        },
        "rows, not 1",
    );
}

#[test]
fn files_of_another_block_do_not_fit() {
    let names = [FACTS[3].0, FACTS[5].0];
    let [Some(one), Some(other)] = names.map(real) else {
        return;
    };
    let (_, donor) = copy(&other);
    let (meta, files) = copy(&one);
    let with = |taken: &[&str]| {
        let mut meta = meta.clone();
        let mut files = files.clone();
        for (name, bytes) in &donor {
            if taken.iter().any(|taken| name.ends_with(taken)) {
                let own = files.iter_mut().find(|(own, _)| own == name).unwrap();
                own.1.clone_from(bytes);
                let entry = meta.files.iter_mut().find(|file| file.rel_path == *name);
                let entry = entry.unwrap();
                entry.size_bytes = bytes.len() as u64;
                entry.parquet = None;
                entry.tsdb = None;
            }
        }
        verified(&meta, &files).unwrap_err().to_string()
    };
    let error = with(&["index.tsdb"]);
    assert!(
        error.contains("profiles.parquet is damaged at byte"),
        "{error}"
    );
    let symbols = [
        "functions.parquet",
        "locations.parquet",
        "mappings.parquet",
        "strings.parquet",
        ".symdb",
    ];
    let error = with(&symbols);
    assert!(
        error.contains("profiles.parquet is damaged at byte"),
        "{error}"
    );
    assert!(error.contains("symbols"), "{error}");
}
