//! What the read and the write path both speak of: tenants, labels, selectors,
//! profile types, call trees, time.
//!
//! Knows nothing of storage, sockets, HTTP or the ring, and does no I/O.

pub mod ask;
pub mod clock;
pub mod diff;
pub mod dot;
pub mod error;
pub mod flag;
pub mod flame_graph;
pub mod flamebearer;
pub mod labels;
pub mod profile_type;
pub mod query;
pub mod selector;
pub mod tenant;
pub mod time;
pub mod tree;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Classify, ErrorKind, chain};
pub use labels::{Fingerprint, Labels, LabelsBuilder};
pub use profile_type::{ProfileType, ProfileTypeError};
pub use query::{Aggregation, MergeQuery, SeriesQuery, TimeRange, TimeSeries};
pub use selector::{MatchOp, Matcher, Selector, SelectorError};
pub use tenant::{TenantError, TenantId};
pub use tree::{Tree, TreeError};

/// Target of the spans that make up traces. Nothing else has it, so whoever collects them can tell them from lines of the
/// log; if nobody does, one costs a look at a flag.
pub const SPANS: &str = "phlare_span";
