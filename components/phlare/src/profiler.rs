//! CPU profiles of this process, by signals: what it costs to be profiled is what is measured.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use phlare_model::Clock;
use phlare_proto::google::v1::{Function, Line, Location, Mapping, Profile, Sample, ValueType};
use pprof_sampler::{ProfilerGuardBuilder, Report};
use tokio::sync::{Mutex, TryLockError};

/// Samples a second of CPU time. A prime, so that work at round intervals is seen as it is.
const FREQUENCY_HZ: i32 = 97;

/// Takes one profile at a time.
#[derive(Clone, Debug)]
pub(crate) struct Profiler {
    clock: Arc<dyn Clock>,
    busy: Arc<Mutex<()>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("another profile of this process is being taken: try again when it is done")]
    Busy,
    #[error("the sampler: {0}")]
    Sampler(String),
}

impl Profiler {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            busy: Arc::default(),
        }
    }

    /// Samples for a while. Dropping the future stops the sampler.
    pub(crate) async fn cpu(&self, duration: Duration) -> Result<Profile, Error> {
        let _alone = self
            .busy
            .try_lock()
            .map_err(|TryLockError { .. }| Error::Busy)?;
        let time_ns = self.clock.now_ns();
        let sampler = |error: pprof_sampler::Error| Error::Sampler(error.to_string());
        let guard = ProfilerGuardBuilder::default()
            .frequency(FREQUENCY_HZ)
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build()
            .map_err(sampler)?;
        tokio::time::sleep(duration).await;
        // Looking up symbols reads the program's debug information: not on a thread that serves sockets.
        let built =
            tokio::task::spawn_blocking(move || guard.report().build().map_err(sampler)).await;
        let report = built.map_err(|error| Error::Sampler(error.to_string()))??;
        Ok(encode(&report, time_ns, duration))
    }
}

/// A report as pprof: sample counts and CPU time.
fn encode(report: &Report, time_ns: i64, duration: Duration) -> Profile {
    let period = 1_000_000_000 / i64::from(FREQUENCY_HZ);
    let mut builder = Builder::default();
    builder.string("");
    let mut samples = Vec::new();
    for (frames, &count) in &report.data {
        let location_id = frames
            .frames
            .iter()
            .filter(|symbols| !symbols.is_empty())
            .map(|symbols| {
                let lines = symbols.iter().map(|symbol| {
                    let (name, file) = (
                        builder.string(&symbol.name()),
                        builder.string(&symbol.filename()),
                    );
                    (builder.function(name, file), i64::from(symbol.lineno()))
                });
                let lines = lines.collect();
                builder.location(lines)
            });
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        samples.push(Sample {
            location_id: location_id.collect(),
            value: vec![count, count.saturating_mul(period)],
            label: Vec::new(),
        });
    }
    let mut value_type = |kind, unit| ValueType {
        r#type: builder.string(kind),
        unit: builder.string(unit),
    };
    let sample_type = vec![
        value_type("samples", "count"),
        value_type("cpu", "nanoseconds"),
    ];
    let period_type = Some(value_type("cpu", "nanoseconds"));
    Profile {
        sample_type,
        sample: samples,
        mapping: vec![Mapping {
            id: 1,
            has_functions: true,
            ..Mapping::default()
        }],
        location: builder.locations,
        function: builder.functions,
        string_table: builder.strings,
        time_nanos: time_ns,
        duration_nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
        period_type,
        period,
        ..Profile::default()
    }
}

#[derive(Default)]
struct Builder {
    strings: Vec<String>,
    string_ids: HashMap<String, i64>,
    functions: Vec<Function>,
    function_ids: HashMap<(i64, i64), u64>,
    locations: Vec<Location>,
    location_ids: HashMap<Vec<(u64, i64)>, u64>,
}

impl Builder {
    fn string(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.string_ids.get(text) {
            return known;
        }
        let id = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.string_ids.insert(text.to_owned(), id);
        id
    }

    fn function(&mut self, name: i64, filename: i64) -> u64 {
        *self
            .function_ids
            .entry((name, filename))
            .or_insert_with(|| {
                let id = self.functions.len() as u64 + 1;
                self.functions.push(Function {
                    id,
                    name,
                    system_name: name,
                    filename,
                    start_line: 0,
                });
                id
            })
    }

    fn location(&mut self, lines: Vec<(u64, i64)>) -> u64 {
        if let Some(&known) = self.location_ids.get(&lines) {
            return known;
        }
        let id = self.locations.len() as u64 + 1;
        let line = lines
            .iter()
            .map(|&(function_id, line)| Line {
                function_id,
                line,
                column: 0,
            })
            .collect();
        self.locations.push(Location {
            id,
            mapping_id: 1,
            line,
            ..Location::default()
        });
        self.location_ids.insert(lines, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phlare_model::SystemClock;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[inline(never)]
    fn spin_until(stop: &AtomicBool) -> u64 {
        let mut sum = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        sum
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_busy_function_is_seen() {
        let stop = Arc::new(AtomicBool::new(false));
        let busy = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || spin_until(&stop)
        });
        let profiler = Profiler::new(Arc::new(SystemClock));
        let profile = profiler.cpu(Duration::from_millis(400)).await.unwrap();
        let second = profiler.cpu(Duration::from_millis(1));
        let third = profiler.cpu(Duration::from_millis(1));
        let (second, third) = tokio::join!(second, third);
        assert!(second.is_ok() != third.is_ok(), "one at a time");
        stop.store(true, Ordering::Relaxed);
        busy.join().unwrap();
        assert!(
            profile
                .sample
                .iter()
                .map(|sample| sample.value[0])
                .sum::<i64>()
                > 0
        );
        let names = profile
            .function
            .iter()
            .map(|function| &profile.string_table[function.name as usize]);
        assert!(
            names.into_iter().any(|name| name.contains("spin_until")),
            "{:?}",
            profile.string_table
        );
        assert_eq!(profile.string_table[0], "");
    }
}
