//! Tables for tests: real ones, and rows that own what they hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use phlare_block::profiles::{Annotation, Options, Profiles, ProfilesWriter, Row, Written};
use phlare_block::{LocalFiles, MemoryFiles};

/// A row that owns its lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) id: [u8; 16],
    pub(crate) series: u32,
    pub(crate) partition: u64,
    pub(crate) total: u64,
    pub(crate) time_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) period: i64,
    pub(crate) default_sample_type: i64,
    pub(crate) stacktraces: Vec<u64>,
    pub(crate) values: Vec<i64>,
    pub(crate) spans: Vec<u64>,
    pub(crate) traces: Vec<[u8; 16]>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) doc_url: String,
}

impl From<Row<'_>> for Owned {
    fn from(row: Row<'_>) -> Self {
        Self {
            id: row.id,
            series: row.series,
            partition: row.partition,
            total: row.total,
            time_ns: row.time_ns,
            duration_ns: row.duration_ns,
            period: row.period,
            default_sample_type: row.default_sample_type,
            stacktraces: row.stacktraces.to_vec(),
            values: row.values.to_vec(),
            spans: row.spans.to_vec(),
            traces: row.traces.to_vec(),
            annotations: row.annotations.to_vec(),
            doc_url: row.doc_url.to_owned(),
        }
    }
}

impl Owned {
    /// Leaves out samples without a value, which old tables have and new ones must not.
    pub(crate) fn without_zeros(mut self) -> Self {
        let kept = |&(_, &value): &(&u64, &i64)| value > 0;
        let pairs = self.stacktraces.iter().zip(&self.values).filter(kept);
        let (stacktraces, values) = pairs.map(|(&id, &value)| (id, value)).unzip();
        if self.spans.is_empty() {
            (self.stacktraces, self.values) = (stacktraces, values);
        }
        self
    }

    pub(crate) fn row(&self) -> Row<'_> {
        Row {
            id: self.id,
            series: self.series,
            partition: self.partition,
            total: self.total,
            time_ns: self.time_ns,
            duration_ns: self.duration_ns,
            period: self.period,
            default_sample_type: self.default_sample_type,
            stacktraces: &self.stacktraces,
            values: &self.values,
            spans: &self.spans,
            traces: &self.traces,
            annotations: &self.annotations,
            doc_url: &self.doc_url,
        }
    }
}

/// A row with samples, and nothing that does not have to be.
pub(crate) fn row(series: u32, partition: u64, time_ns: i64, samples: &[(u64, i64)]) -> Owned {
    Owned {
        series,
        partition,
        time_ns,
        total: samples.iter().map(|sample| sample.1 as u64).sum(),
        stacktraces: samples.iter().map(|sample| sample.0).collect(),
        values: samples.iter().map(|sample| sample.1).collect(),
        ..Owned::default()
    }
}

/// The shared test data, if this checkout has it.
pub(crate) fn testdata() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let dir = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    dir.is_dir().then_some(dir)
}

/// Real tables, named by their place in the test data; none if this checkout does not have it.
pub(crate) fn real() -> Vec<(String, PathBuf)> {
    let Some(root) = testdata() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    collect(&root, &mut found);
    let name = |path: &Path| {
        path.strip_prefix(&root)
            .unwrap()
            .parent()
            .unwrap()
            .display()
            .to_string()
    };
    found
        .iter()
        .map(|path| (name(path), path.clone()))
        .collect()
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, into);
        } else if path
            .file_name()
            .is_some_and(|name| name == "profiles.parquet")
        {
            into.push(path);
        }
    }
}

pub(crate) fn open(path: &Path) -> Profiles {
    let size = path.metadata().unwrap().len();
    let files = LocalFiles::new(path.parent().unwrap());
    let file = path.file_name().unwrap().to_str().unwrap();
    Profiles::open(Arc::new(files), file, size).unwrap()
}

pub(crate) fn open_bytes(bytes: Vec<u8>) -> Result<Profiles, phlare_block::Error> {
    let size = bytes.len() as u64;
    let mut files = MemoryFiles::default();
    files.insert("profiles.parquet", bytes);
    Profiles::open(Arc::new(files), "profiles.parquet", size)
}

/// All rows of a table.
pub(crate) fn rows(profiles: &Profiles) -> Result<Vec<Owned>, phlare_block::Error> {
    let mut rows = Vec::new();
    let mut scan = profiles.scan(0..profiles.rows(), 1 << 20);
    while let Some(row) = scan.next()? {
        rows.push(row.into());
    }
    Ok(rows)
}

pub(crate) fn write(path: &Path, options: Options, rows: &[Owned]) -> Written {
    let mut writer = ProfilesWriter::create(path, options).unwrap();
    for row in rows {
        writer.push(&row.row()).unwrap();
    }
    writer.finish().unwrap()
}
