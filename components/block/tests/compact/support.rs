//! Blocks as tests see them: rows with texts instead of ids.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use phlare_block::compact::{self, CompactError, Input, Options, Output};
use phlare_block::meta::{FileEntry, Stats, names};
use phlare_block::profiles::{self, Annotation, Columns, DOWNSAMPLED, Profiles, ProfilesWriter};
use phlare_block::symbols::{Function, Line, Location, Mapping, Symbols};
use phlare_block::symdb::merge::PartitionBuilder;
use phlare_block::tsdb::{self, SeriesEntry};
use phlare_block::{BlockId, BlockIds, LocalFiles, Meta, symdb};
use phlare_model::Labels;

/// Frames as text, leaf first.
pub(crate) type Stack = Vec<String>;

/// A row. Ordered as in a block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    pub(crate) time_ns: i64,
    pub(crate) id: [u8; 16],
    pub(crate) partition: u64,
    pub(crate) duration_ns: i64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) doc_url: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sample {
    pub(crate) stack: Stack,
    pub(crate) span: u64,
    pub(crate) trace: [u8; 16],
    pub(crate) value: i64,
}

/// Series, time, and values by stack trace, span and trace.
pub(crate) type Content = (Labels, i64, BTreeMap<(Stack, u64, [u8; 16]), i64>);

impl Row {
    pub(crate) fn total(&self) -> i64 {
        self.samples.iter().map(|sample| sample.value).sum()
    }

    /// What it is, whatever its id.
    pub(crate) fn content(&self) -> Content {
        let mut values = BTreeMap::new();
        // Zeros, which the first versions stored, add nothing.
        for sample in self.samples.iter().filter(|sample| sample.value != 0) {
            *values
                .entry((sample.stack.clone(), sample.span, sample.trace))
                .or_default() += sample.value;
        }
        (self.labels.clone(), self.time_ns, values)
    }
}

pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testdata");
    let shared = std::env::var_os("PHLARE_TESTDATA").map_or(shared.into(), PathBuf::from);
    shared.is_dir().then(|| shared.join(path))
}

/// A directory of real blocks, sorted by name; none if this checkout has no shared test data.
pub(crate) fn real_blocks(path: &str) -> Vec<Input> {
    let Some(directory) = shared(path) else {
        return Vec::new();
    };
    let mut directories: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    directories.sort();
    directories
        .iter()
        .map(|directory| input(directory))
        .collect()
}

pub(crate) fn input(directory: &Path) -> Input {
    let files = LocalFiles::new(directory);
    Input {
        meta: Meta::read(&files).unwrap(),
        files: Arc::new(files),
    }
}

pub(crate) fn inputs(outputs: &[Output]) -> Vec<Input> {
    outputs
        .iter()
        .map(|output| input(&output.directory))
        .collect()
}

/// Merges without anything special.
pub(crate) fn compact(
    inputs: &[Input],
    directory: &Path,
    shards: u32,
) -> Result<Vec<Output>, CompactError> {
    compact_with(inputs, directory, |options| options.shards = shards)
}

pub(crate) fn compact_with(
    inputs: &[Input],
    directory: &Path,
    change: impl FnOnce(&mut Options<'_>),
) -> Result<Vec<Output>, CompactError> {
    let mut ids = BlockIds::random();
    let cancelled = AtomicBool::new(false);
    let mut options = Options {
        output: directory.to_owned(),
        shards: 0,
        stage_size: 0,
        downsample: false,
        memory_bytes: 1 << 20,
        cancelled: &cancelled,
        ids: &mut |time_ms| ids.at(time_ms),
    };
    change(&mut options);
    compact::compact(inputs, options)
}

/// All rows of a block, in its order.
pub(crate) fn rows(input: &Input) -> Vec<Row> {
    let Input { meta, files } = input;
    let index = index(input);
    let symbols = open_symbols(input);
    let profiles = open_profiles(input);
    let mut rows = Vec::new();
    let mut loaded: BTreeMap<u64, Symbols> = BTreeMap::new();
    let mut scan = profiles.scan(0..profiles.rows(), 1 << 20);
    while let Some(row) = scan.next().unwrap() {
        let load = || symbols.load(row.partition).unwrap();
        let partition = loaded.entry(row.partition).or_insert_with(load);
        let at = |list: &[u64], at: usize| list.get(at).copied().unwrap_or_default();
        let samples = row
            .stacktraces
            .iter()
            .enumerate()
            .map(|(i, &stacktrace)| Sample {
                stack: stack(partition, stacktrace),
                span: at(row.spans, i),
                trace: row.traces.get(i).copied().unwrap_or_default(),
                value: row.values[i],
            });
        assert_eq!(row.total, row.values.iter().sum::<i64>() as u64);
        let mut samples: Vec<_> = samples.collect();
        samples.sort();
        rows.push(Row {
            labels: index.labels(row.series).unwrap(),
            time_ns: row.time_ns,
            id: row.id,
            partition: row.partition,
            duration_ns: row.duration_ns,
            samples,
            annotations: row.annotations.to_vec(),
            doc_url: row.doc_url.to_owned(),
        });
    }
    assert_eq!(
        rows.len() as u64,
        meta.stats.num_profiles,
        "{}",
        files.location()
    );
    rows
}

pub(crate) fn index(input: &Input) -> tsdb::Index {
    let bytes = input.files.read_all(names::INDEX).unwrap();
    tsdb::Index::open(bytes, input.files.name(names::INDEX)).unwrap()
}

pub(crate) fn open_profiles(input: &Input) -> Profiles {
    let size = input.files.size(names::PROFILES).unwrap();
    Profiles::open(Arc::clone(&input.files), names::PROFILES, size).unwrap()
}

pub(crate) fn open_symbols(input: &Input) -> symdb::Reader {
    let files = input.meta.files.iter();
    let listed: Vec<_> = files
        .map(|file| (file.rel_path.as_str(), file.size_bytes))
        .collect();
    let layout = symdb::Layout::detect(input.meta.version.into(), &listed).unwrap();
    symdb::Reader::open(Arc::clone(&input.files), layout).unwrap()
}

/// Sums of a downsampled table, by series, start and stack trace.
pub(crate) fn downsampled(input: &Input, table: usize) -> BTreeMap<(Labels, i64, Stack), i64> {
    let (file, _) = DOWNSAMPLED[table];
    let size = input.meta.size_of(file).unwrap();
    let profiles = Profiles::open(Arc::clone(&input.files), file, size).unwrap();
    let (index, symbols) = (index(input), open_symbols(input));
    let mut sums = BTreeMap::new();
    for group in 0..profiles.row_groups().len() {
        let headers = profiles.headers(group).unwrap();
        let mut at = 0;
        let rows = 0..headers.len() as u32;
        let mut add = |row: profiles::SampleRow<'_>| {
            let labels = index.labels(headers.series[at]).unwrap();
            let partition = symbols.load(headers.partition[at]).unwrap();
            for (&stacktrace, &value) in row.stacktraces.iter().zip(row.values) {
                let key = (
                    labels.clone(),
                    headers.time_ns[at],
                    stack(&partition, stacktrace),
                );
                *sums.entry(key).or_default() += value;
            }
            at += 1;
            ControlFlow::Continue(())
        };
        let all = std::slice::from_ref(&rows);
        profiles
            .samples(group, all, Columns::default(), &mut add)
            .unwrap();
    }
    sums
}

/// Everything that is known of the frames of a stack trace.
pub(crate) fn stack(symbols: &Symbols, stacktrace: u64) -> Stack {
    let text = |id: u32| symbols.strings.get(id);
    let node = symbols.node(stacktrace).unwrap();
    let frame = |id: u32| {
        let location = symbols.locations[id as usize];
        let mapping = symbols.mappings[location.mapping as usize];
        let lines = symbols.lines_of(id).iter().map(|line| {
            let function = symbols.functions[line.function as usize];
            let [name, system_name, file] =
                [function.name, function.system_name, function.filename].map(text);
            let start = function.start_line;
            format!("{name}|{system_name}|{file}:{start}:{}", line.line)
        });
        let lines: Vec<_> = lines.collect();
        let (file, build) = (text(mapping.filename), text(mapping.build_id));
        let place = format!("{:x} {file} {build} {}", location.address, mapping.flags);
        format!("{} @ {place}", lines.join(" < "))
    };
    symbols.stacks.frames(node).map(frame).collect()
}

/// A frame that [`write`] can make: as [`stack`] reads it.
pub(crate) fn frame(name: &str) -> String {
    format!("{name}|{name}|{name}.go:1:7 @ 0 bin  8")
}

/// Writes a block of level 1. Frames are those of [`frame`].
pub(crate) fn write(directory: &Path, id: BlockId, mut rows: Vec<Row>) -> Input {
    let directory = directory.join(id.to_string());
    fs::create_dir_all(&directory).unwrap();
    rows.sort();
    let mut meta = Meta::new(id);
    let mut places: BTreeMap<(u64, Stack), u32> = BTreeMap::new();
    let partitions: BTreeMap<u64, ()> = rows.iter().map(|row| (row.partition, ())).collect();
    let mut symbols = symdb::Writer::new(&directory).unwrap();
    for &partition in partitions.keys() {
        let of_partition = rows.iter().filter(|row| row.partition == partition);
        let mut builder = PartitionBuilder::new();
        for sample in of_partition.flat_map(|row| &row.samples) {
            let nodes = builder.add(&one_stack(&sample.stack)).unwrap();
            let leaf = *nodes.last().unwrap();
            places.insert((partition, sample.stack.clone()), leaf);
        }
        symbols.partition(partition, &builder.finish()).unwrap();
    }
    meta.files = symbols.finish().unwrap();
    let path = directory.join(names::PROFILES);
    let mut table = ProfilesWriter::create(path, profiles::Options::default()).unwrap();
    let mut series: Vec<SeriesEntry> = Vec::new();
    for row in &rows {
        if series.last().is_none_or(|last| last.labels != row.labels) {
            series.push(SeriesEntry {
                labels: row.labels.clone(),
                min_ns: row.time_ns,
                max_ns: row.time_ns,
            });
        }
        series.last_mut().unwrap().max_ns = row.time_ns;
        table
            .push(&stored(row, series.len() as u32 - 1, &places))
            .unwrap();
    }
    let written = table.finish().unwrap();
    let entry = |name: &str, size_bytes: u64| FileEntry {
        rel_path: name.to_owned(),
        size_bytes,
        ..FileEntry::default()
    };
    meta.files.push(entry(names::PROFILES, written.size_bytes));
    let mut out = BufWriter::new(fs::File::create(directory.join(names::INDEX)).unwrap());
    let size = tsdb::write(&series, "index", &mut out).unwrap();
    out.into_inner().unwrap();
    meta.files.push(entry(names::INDEX, size));
    let ms = |ns: i64| ns.div_euclid(1_000_000);
    meta.min_ms = rows.iter().map(|row| ms(row.time_ns)).min().unwrap();
    meta.max_ms = rows.iter().map(|row| ms(row.time_ns)).max().unwrap();
    meta.stats = Stats {
        num_samples: written.samples,
        num_series: series.len() as u64,
        num_profiles: written.rows,
    };
    meta.files.sort_by(|a, b| a.rel_path.cmp(&b.rel_path));
    fs::write(directory.join(names::META), meta.to_json()).unwrap();
    input(&directory)
}

fn stored<'a>(
    row: &'a Row,
    series: u32,
    places: &BTreeMap<(u64, Stack), u32>,
) -> profiles::Row<'a> {
    let mut samples: Vec<_> = row
        .samples
        .iter()
        .map(|sample| {
            let place = places[&(row.partition, sample.stack.clone())];
            (u64::from(place), sample.span, sample.trace, sample.value)
        })
        .collect();
    samples.sort_unstable();
    let has_spans = samples.iter().any(|sample| sample.1 != 0);
    let has_traces = samples.iter().any(|sample| sample.2 != [0; 16]);
    fn leaked<T>(values: impl Iterator<Item = T>) -> &'static [T] {
        Vec::leak(values.collect())
    }
    profiles::Row {
        id: row.id,
        series,
        partition: row.partition,
        total: row.total() as u64,
        time_ns: row.time_ns,
        duration_ns: row.duration_ns,
        stacktraces: leaked(samples.iter().map(|sample| sample.0)),
        values: leaked(samples.iter().map(|sample| sample.3)),
        spans: leaked(samples.iter().filter(|_| has_spans).map(|sample| sample.1)),
        traces: leaked(samples.iter().filter(|_| has_traces).map(|sample| sample.2)),
        annotations: &row.annotations,
        doc_url: &row.doc_url,
        ..profiles::Row::default()
    }
}

/// The symbols of one stack trace, whose node is the last.
fn one_stack(stack: &[String]) -> Symbols {
    let mut symbols = Symbols::default();
    symbols.strings.push("").unwrap();
    symbols.strings.push("bin").unwrap();
    symbols.mappings.push(Mapping {
        filename: 1,
        flags: 8,
        ..Mapping::default()
    });
    for (at, frame) in stack.iter().rev().enumerate() {
        let name = frame.split('|').next().unwrap();
        let name_id = symbols.strings.push(name).unwrap();
        let filename = symbols.strings.push(&format!("{name}.go")).unwrap();
        symbols.functions.push(Function {
            name: name_id,
            system_name: name_id,
            filename,
            start_line: 1,
        });
        symbols.lines.push(Line {
            function: at as u32,
            line: 7,
            column: 0,
        });
        symbols.locations.push(Location {
            first_line: at as u32,
            line_count: 1,
            ..Location::default()
        });
        symbols.stacks.parents.push(at as u32);
        symbols.stacks.locations.push(at as u32);
    }
    symbols
}
