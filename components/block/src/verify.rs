//! Whether a block is sound: each file by itself, and all of them together.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::error::Error;
use crate::files::Files;
use crate::meta::{Meta, names};
use crate::profiles::{self, Profiles, Row};
use crate::symbols::Symbols;
use crate::table::TableOutline;
use crate::{symdb, tsdb};

/// What a block holds that was found sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Series of the index.
    pub series: u64,
    /// Rows of the table of profiles.
    pub profiles: u64,
    /// Samples of all rows.
    pub samples: u64,
    /// Sum of all values, as it wraps: of different units, good for comparisons only.
    pub total: u64,
    /// Partitions of the symbols.
    pub partitions: u64,
    /// Bytes of all files that `meta.json` names.
    pub bytes: u64,
}

/// Bytes of pages that are in memory at once.
const WINDOW_BYTES: usize = 8 << 20;

/// Reads every byte of a block and checks it: that files are there and have their sizes, all that the formats of the
/// files allow to check, that rows belong to series, times and stack traces that exist, that every series has a row, that
/// downsampled tables add up to the same totals, and that `meta.json` says the same. `note` hears of each file before it
/// is read.
///
/// Costs O(bytes): index, symbols, and profiles twice. Memory: the index, one partition of symbols, some pages, and 32
/// bytes for each series.
///
/// # Errors
/// The first thing that is wrong: [`Error::Missing`], [`Error::Corrupt`], [`Error::Unsupported`]; [`Error::Read`] if the
/// storage fails.
pub fn verify(
    meta: &Meta,
    files: &Arc<dyn Files>,
    note: &mut dyn FnMut(&str),
) -> Result<Verified, Error> {
    let block = Block { meta, files };
    block.sizes()?;
    note(names::INDEX);
    let index = block.index()?;
    let mut verified = Verified {
        series: index.series_count().into(),
        bytes: meta.total_bytes(),
        ..Verified::default()
    };
    let stacktraces = block.symbols(note)?;
    verified.partitions = stacktraces.len() as u64;
    note(names::PROFILES);
    let mut rows = Rows {
        index: &index,
        stacktraces: &stacktraces,
        is_downsampled: false,
    };
    let sums = rows.verify(&block.profiles(names::PROFILES)?)?;
    block.check_totals(&index, &sums)?;
    rows.is_downsampled = true;
    for (file, _) in profiles::DOWNSAMPLED {
        if meta.file(file).is_some() {
            note(file);
            let found = rows.verify(&block.profiles(file)?)?;
            if found.totals != sums.totals {
                let problem = "series have other totals than in the table of profiles";
                return Err(Error::corrupt(files.name(file), 0, problem));
            }
        }
    }
    verified.profiles = sums.rows;
    verified.samples = sums.samples;
    let totals = sums.totals.iter();
    verified.total = totals.fold(0, |sum, &total| sum.wrapping_add(total));
    Ok(verified)
}

struct Block<'a> {
    meta: &'a Meta,
    files: &'a Arc<dyn Files>,
}

impl Block<'_> {
    /// `meta.json` says something that is not so.
    fn wrong(&self, problem: String) -> Error {
        Error::corrupt(self.files.name(names::META), 0, problem)
    }

    /// A file of another size was not copied as a whole, or is another file.
    fn sizes(&self) -> Result<(), Error> {
        for file in &self.meta.files {
            let size = self.files.size(&file.rel_path)?;
            let said = file.size_bytes;
            if size != said && said > 0 {
                let problem = format!("it has {size} bytes, meta.json says {said}");
                let name = self.files.name(&file.rel_path);
                return Err(Error::corrupt(name, size.min(said), problem));
            }
        }
        for name in [names::INDEX, names::PROFILES] {
            if self.meta.file(name).is_none() {
                return Err(self.wrong(format!("it does not name {name}")));
            }
        }
        Ok(())
    }

    fn index(&self) -> Result<tsdb::Index, Error> {
        let bytes = self.files.read_all(names::INDEX)?;
        let index = tsdb::Index::open(bytes, self.files.name(names::INDEX))?;
        index.verify()?;
        Ok(index)
    }

    /// By partition, how many stack traces it has.
    fn symbols(&self, note: &mut dyn FnMut(&str)) -> Result<FxHashMap<u64, u64>, Error> {
        let listed = self.meta.files.iter();
        let listed: Vec<_> = listed
            .map(|file| (file.rel_path.as_str(), file.size_bytes))
            .collect();
        let layout = symdb::Layout::detect(self.meta.version.into(), &listed);
        let layout = layout.map_err(|error| match error {
            Error::Missing { file } => self.wrong(format!("it does not name {file}")),
            other => other,
        })?;
        for file in &self.meta.files {
            let Some(table) = file.parquet else {
                continue;
            };
            note(&file.rel_path);
            let outline = TableOutline::read(&**self.files, &file.rel_path, file.size_bytes)?;
            if outline.rows != table.num_rows {
                let (name, said, rows) = (&file.rel_path, table.num_rows, outline.rows);
                return Err(self.wrong(format!("{name} has {rows} rows, not {said}")));
            }
        }
        let reader = symdb::Reader::open(Arc::clone(self.files), layout)?;
        let mut stacktraces = FxHashMap::default();
        for &partition in reader.partitions() {
            note(&format!("symbols {partition:016x}"));
            stacktraces.insert(partition, stacktraces_of(&reader.load(partition)?));
        }
        Ok(stacktraces)
    }

    fn profiles(&self, file: &str) -> Result<Profiles, Error> {
        let size = match self.meta.size_of(file) {
            Some(size) => size,
            None => self.files.size(file)?,
        };
        Profiles::open(Arc::clone(self.files), file, size)
    }

    /// Compares what was found with what `meta.json` says.
    fn check_totals(&self, index: &tsdb::Index, sums: &Sums) -> Result<(), Error> {
        let stats = self.meta.stats;
        let series = u64::from(index.series_count());
        let listed = self.meta.file(names::INDEX).and_then(|file| file.tsdb);
        // The first versions counted fewer than they kept.
        let samples = match self.meta.version {
            1 => stats.num_samples.min(sums.samples),
            _ => sums.samples,
        };
        let counts = [
            ("series", series, stats.num_series),
            (
                "series",
                series,
                listed.map_or(series, |listed| listed.num_series),
            ),
            ("profiles", sums.rows, stats.num_profiles),
            ("samples", samples, stats.num_samples),
        ];
        for (what, found, said) in counts {
            if found != said {
                return Err(self.wrong(format!("the block has {found} {what}, not {said}")));
            }
        }
        let (min_ms, max_ms) = (self.meta.min_ms, self.meta.max_ms);
        if let Some((first_ns, last_ns)) = sums.times_ns {
            let [first, last] = [first_ns, last_ns].map(|ns| ns.div_euclid(1_000_000));
            if first < min_ms || last > max_ms {
                let problem =
                    format!("profiles are of {first} to {last} ms, not of {min_ms} to {max_ms}");
                return Err(self.wrong(problem));
            }
        }
        Ok(())
    }
}

/// How many ids of stack traces rows can use.
fn stacktraces_of(symbols: &Symbols) -> u64 {
    let ids = symbols.stack_nodes.as_ref().map(Vec::len);
    ids.unwrap_or_else(|| symbols.stacks.len()) as u64
}

/// What rows refer to.
struct Rows<'a> {
    index: &'a tsdb::Index,
    stacktraces: &'a FxHashMap<u64, u64>,
    /// Rows stand for a while that may begin before the first profile.
    is_downsampled: bool,
}

/// What the rows of a table come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    rows: u64,
    samples: u64,
    /// Of the first and the last row.
    times_ns: Option<(i64, i64)>,
    /// By series.
    totals: Vec<u64>,
}

impl Rows<'_> {
    fn verify(&self, table: &Profiles) -> Result<Sums, Error> {
        table.verify()?;
        let series_count = self.index.series_count();
        let mut sums = Sums {
            totals: vec![0; series_count as usize],
            ..Sums::default()
        };
        let mut scan = table.scan(0..table.rows(), WINDOW_BYTES);
        // Rows are sorted, as was just verified: series come one after the other.
        let mut current: Option<(u32, (i64, i64))> = None;
        while let Some(row) = scan.next()? {
            let times_ns = match current {
                Some((series, times_ns)) if series == row.series => times_ns,
                _ => {
                    let next = current.map_or(0, |(series, _)| series.saturating_add(1));
                    if row.series != next || next >= series_count {
                        let series = row.series;
                        let problem = match series < series_count {
                            true => format!("series {next} has no row, the next is of {series}"),
                            false => format!("refers to series {series} of {series_count}"),
                        };
                        return Err(table.bad_row(sums.rows, &problem));
                    }
                    self.index.times_ns(next)?
                }
            };
            current = Some((row.series, times_ns));
            self.check(&row, times_ns)
                .map_err(|problem| table.bad_row(sums.rows, &problem))?;
            sums.add(&row);
        }
        match current.map_or(0, |(series, _)| series.saturating_add(1)) {
            seen if seen < series_count => {
                let problem = format!("series {seen} has no row");
                Err(table.bad_row(sums.rows, &problem))
            }
            _ => Ok(sums),
        }
    }

    fn check(&self, row: &Row<'_>, times_ns: (i64, i64)) -> Result<(), String> {
        let (series, time_ns) = (row.series, row.time_ns);
        if time_ns > times_ns.1 || (time_ns < times_ns.0 && !self.is_downsampled) {
            let (first, last) = times_ns;
            return Err(format!(
                "is of {time_ns} ns, the index says that series {series} is of {first} to {last} ns"
            ));
        }
        let partition = row.partition;
        let Some(&stacktraces) = self.stacktraces.get(&partition) else {
            return Err(format!(
                "refers to symbols {partition:016x}, which do not exist"
            ));
        };
        let mut ids = row.stacktraces.iter();
        match ids.find(|&&id| id >= stacktraces) {
            None => Ok(()),
            Some(id) => Err(format!(
                "refers to stack trace {id} of {stacktraces} in symbols {partition:016x}"
            )),
        }
    }
}

impl Sums {
    fn add(&mut self, row: &Row<'_>) {
        self.rows = self.rows.saturating_add(1);
        self.samples = self.samples.saturating_add(row.values.len() as u64);
        if let Some(total) = self.totals.get_mut(row.series as usize) {
            *total = total.wrapping_add(row.total);
        }
        let (first, last) = self.times_ns.unwrap_or((row.time_ns, row.time_ns));
        self.times_ns = Some((first.min(row.time_ns), last.max(row.time_ns)));
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
