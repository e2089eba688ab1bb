//! What the read and the write path both speak of: tenants, labels, selectors,
//! profile types, call trees, time.
//!
//! Knows nothing of storage, sockets, HTTP or the ring, and does no I/O.

pub mod clock;
pub mod error;
pub mod query;
pub mod tenant;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Classify, ErrorKind};
pub use query::{Aggregation, MergeQuery, SeriesQuery, TimeRange, TimeSeries};
pub use tenant::{TenantError, TenantId};
