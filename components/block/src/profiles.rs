//! The table of profiles: one row for each profile, sorted by series and time, in a Parquet file.
//!
//! A writer takes rows and keeps compressed pages; a reader turns row ranges into pages and reads only those. Format:
//! blocks.md 3, parquet-encodings.md.

mod cursor;
mod details;
mod doc_urls;
mod downsample;
mod fetch;
mod footer;
mod guard;
mod headers;
mod leaves;
mod options;
mod page_header;
mod pages;
mod reader;
mod samples;
mod scan;
mod schema;
mod source;
mod split;
mod staged;
mod verify;
mod writer;

pub use details::Details;
pub use downsample::{DOWNSAMPLED, DownsampledWriter, WrittenDownsampled};
pub use headers::Headers;
pub use options::{Layout, Options};
pub use reader::Profiles;
pub use samples::{Columns, SampleRow};
pub use scan::Scan;
pub use verify::Verified;
pub use writer::{ProfilesWriter, Written};

/// File of the table in a block.
pub const FILE: &str = "profiles.parquet";

/// A profile: a row of the table. `stacktraces` and `values` are as long as each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    /// Id of the pushed profile; all rows made of it have the same.
    pub id: [u8; 16],
    /// Rank of the series in the index.
    pub series: u32,
    /// Partition of the symbols.
    pub partition: u64,
    /// Sum of `values`, as it wraps.
    pub total: u64,
    /// When the profile was taken, in nanoseconds since 1970.
    pub time_ns: i64,
    /// How long it took, 0 if not known.
    pub duration_ns: i64,
    /// Period of a sampling profiler, 0 if not known.
    pub period: i64,
    /// Index of a string in the pushed profile, 0 if there is none.
    pub default_sample_type: i64,
    /// Stack traces of the samples, as the symbols number them.
    pub stacktraces: &'a [u64],
    /// Values of the samples, greater than 0.
    pub values: &'a [i64],
    /// Spans of the samples, 0 for a sample without one; empty if none has one.
    pub spans: &'a [u64],
    /// Traces of the samples, zeros for a sample without one; empty if none has one.
    pub traces: &'a [[u8; 16]],
    /// Notes of the distributor.
    pub annotations: &'a [Annotation],
    /// The documentation link of the pushed profile; upstream does not keep it.
    pub doc_url: &'a str,
}

/// A note of the distributor: that it sampled or throttled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Annotation {
    /// What it is about.
    pub key: String,
    /// What it says.
    pub value: String,
}
