//! The profiles that events become, and their samples.

use hashbrown::HashMap;

use crate::error::Error;
use crate::rate::SampleRate;

/// A profile of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cpu,
    Wall,
    InNewTlab,
    OutsideTlab,
    AllocationSample,
    MonitorEnter,
    ThreadPark,
    LiveObject,
    Malloc,
}

/// A type of values and their unit.
pub(super) type ValueType = (&'static str, &'static str);

impl Kind {
    pub(super) const COUNT: usize = 9;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Cpu,
        Self::Wall,
        Self::InNewTlab,
        Self::OutsideTlab,
        Self::AllocationSample,
        Self::MonitorEnter,
        Self::ThreadPark,
        Self::LiveObject,
        Self::Malloc,
    ];

    /// The label `__name__`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "process_cpu",
            Self::Wall => "wall",
            Self::MonitorEnter => "mutex",
            Self::ThreadPark => "block",
            Self::InNewTlab
            | Self::OutsideTlab
            | Self::AllocationSample
            | Self::LiveObject
            | Self::Malloc => "memory",
        }
    }

    /// One or two.
    pub(super) fn sample_types(self) -> &'static [ValueType] {
        const COUNT: &str = "count";
        const BYTES: &str = "bytes";
        match self {
            Self::Cpu => &[("cpu", "nanoseconds")],
            Self::Wall => &[("wall", "nanoseconds")],
            Self::InNewTlab => &[
                ("alloc_in_new_tlab_objects", COUNT),
                ("alloc_in_new_tlab_bytes", BYTES),
            ],
            Self::OutsideTlab => &[
                ("alloc_outside_tlab_objects", COUNT),
                ("alloc_outside_tlab_bytes", BYTES),
            ],
            Self::AllocationSample => &[
                ("alloc_sample_objects", COUNT),
                ("alloc_sample_bytes", BYTES),
            ],
            Self::MonitorEnter | Self::ThreadPark => {
                &[("contentions", COUNT), ("delay", "nanoseconds")]
            }
            Self::LiveObject => &[("live", COUNT)],
            Self::Malloc => &[("malloc_objects", COUNT), ("malloc_bytes", BYTES)],
        }
    }

    /// Type and length of the period. The lengths are those that readers of these profiles have always seen; what a
    /// sample stands for is in its value.
    pub(super) fn period(self) -> Option<(ValueType, i64)> {
        match self {
            Self::Cpu => Some((("cpu", "nanoseconds"), 1_000_000_000)),
            Self::Wall => Some((("wall", "nanoseconds"), 1_000_000_000)),
            Self::InNewTlab | Self::OutsideTlab | Self::AllocationSample => {
                Some((("space", "bytes"), 512 * 1024))
            }
            Self::MonitorEnter => Some((("mutex", "count"), 1)),
            Self::ThreadPark => Some((("block", "count"), 1)),
            Self::LiveObject => Some((("objects", "count"), 1)),
            Self::Malloc => None,
        }
    }

    /// Whether what is counted stands for time.
    pub(super) fn is_timed(self) -> bool {
        matches!(self, Self::Cpu | Self::Wall)
    }
}

/// The time that a sample stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    Rate(SampleRate),
    Interval(i64),
}

impl Scale {
    /// The rate that the client names, else the interval that the recorder used, else the usual rate.
    pub(super) fn of(rate: SampleRate, interval_ns: Option<u64>) -> Self {
        match interval_ns.and_then(|ns| i64::try_from(ns).ok()) {
            Some(ns) if rate.is_unknown() => Self::Interval(ns),
            None if rate.is_unknown() => Self::Rate(SampleRate::DEFAULT),
            _ => Self::Rate(rate),
        }
    }

    pub(super) fn nanoseconds(self, samples: i64) -> i64 {
        match self {
            Self::Rate(rate) => rate.nanoseconds(samples),
            Self::Interval(ns) => samples.saturating_mul(ns),
        }
    }
}

/// A stack, and what the program said about it; see [`super::symbols::Symbols`].
pub(super) type Place = (u32, u32);

/// The samples of a profile, equal ones added.
#[derive(Debug)]
pub(super) struct Samples {
    places: HashMap<Place, usize>,
    samples: Vec<(Place, [i64; 2])>,
    /// Bytes of a pprof.
    limit: usize,
}

/// Bytes of a sample in a pprof, at least: it has a stack and a value, each behind its length.
const SMALLEST: usize = 4;

impl Samples {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            places: HashMap::new(),
            samples: Vec::new(),
            limit,
        }
    }

    pub(super) fn add(&mut self, place: Place, values: [i64; 2]) -> Result<(), Error> {
        let next = self.samples.len();
        if next.saturating_mul(SMALLEST) > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        let at = *self.places.entry(place).or_insert(next);
        if at == next {
            self.samples.push((place, [0; 2]));
        }
        if let Some((_, sums)) = self.samples.get_mut(at) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = sum.saturating_add(value);
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (Place, [i64; 2])> {
        self.samples.iter().copied()
    }
}
