//! What normalisation is asked to do.

use std::fmt;

use crate::hash::Seed;

/// Limits and repairs of one normalisation. A limit of 0 is no limit.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Key of the content hashes.
    pub seed: Seed,
    /// Time of receipt in ns: the time of profiles that have none.
    pub now_ns: i64,
    /// If set, the time of profiles of 1970: old SDKs write microseconds (api.md 4.3).
    pub time_of_1970_ns: Option<i64>,

    /// Number of samples above which [`Options::over_limit`] applies.
    pub max_samples: usize,
    /// What happens to a profile with more samples.
    pub over_limit: OverLimit,
    /// Number of labels of a sample above which the profile is refused.
    pub max_sample_labels: usize,
    /// Number of frames above which a stack loses its leaf side.
    pub max_depth: usize,
    /// Number of bytes above which a string loses its front.
    pub max_symbol_length: usize,

    /// Which sample types (kind, unit) to keep; `None` keeps all.
    pub keep_type: Option<KeepType<'a>>,

    /// Repairs of what Go's profilers write: shape type parameters, stacks cut at the profiler's own limit.
    pub go_fixes: bool,
    /// Puts the file into the name of functions, for scripting languages.
    pub script_names: Option<ScriptNames>,
    /// If all functions have the id 0 and there are as many as locations, gives them the locations' ids (.NET).
    pub repair_function_ids: bool,
    /// Writes `-` in the names of sample types as `_` instead of refusing it (.NET).
    pub rename_dashes: bool,
}

/// Says of a sample type, by kind and unit, whether to keep it.
pub type KeepType<'a> = &'a dyn Fn(&str, &str) -> bool;

/// What happens to a profile with more samples than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OverLimit {
    /// The heaviest are kept, the rest becomes one stack `other`; counted after merging equal samples.
    #[default]
    Fold,
    /// It is refused; all samples on the wire count.
    Refuse,
}

/// Which functions get their file's name put before their own (api.md 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptNames {
    /// All.
    All,
    /// Only those of files with a relative path.
    RelativeFiles,
}

impl Options<'_> {
    /// Upstream's default limits, no repairs.
    #[must_use]
    pub const fn new(seed: Seed, now_ns: i64) -> Self {
        Self {
            seed,
            now_ns,
            time_of_1970_ns: None,
            max_samples: 16_000,
            over_limit: OverLimit::Fold,
            max_sample_labels: 100,
            max_depth: 1000,
            max_symbol_length: 65_535,
            keep_type: None,
            go_fixes: false,
            script_names: None,
            repair_function_ids: false,
            rename_dashes: false,
        }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("now_ns", &self.now_ns)
            .field("time_of_1970_ns", &self.time_of_1970_ns)
            .field("max_samples", &self.max_samples)
            .field("over_limit", &self.over_limit)
            .field("max_sample_labels", &self.max_sample_labels)
            .field("max_depth", &self.max_depth)
            .field("max_symbol_length", &self.max_symbol_length)
            .field("keep_type", &self.keep_type.is_some())
            .field("go_fixes", &self.go_fixes)
            .field("script_names", &self.script_names)
            .field("repair_function_ids", &self.repair_function_ids)
            .field("rename_dashes", &self.rename_dashes)
            .finish_non_exhaustive()
    }
}
