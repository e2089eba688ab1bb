//! Figures of object stores; upstream's names (components.md 14.1).

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::error::Operation;

/// From a directory's answer to an upload that is tried for minutes.
const SECONDS: [f64; 13] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BucketLabel {
    bucket: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    operation: &'static str,
    bucket: String,
}

/// The figures of all buckets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    operations: Family<Labels, Counter>,
    failures: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    retries: Family<Labels, Counter>,
    read_bytes: Family<BucketLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            operations: Family::default(),
            failures: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            retries: Family::default(),
            read_bytes: Family::default(),
        }
    }
}

impl Metrics {
    /// Makes the figures and registers them; `Metrics::default()` makes some that nobody reads.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = metrics.clone();
        registry.register(
            "objstore_bucket_operations",
            "Operations on a bucket",
            m.operations,
        );
        registry.register(
            "objstore_bucket_operation_failures",
            "Operations on a bucket that failed; a missing object is no failure",
            m.failures,
        );
        registry.register(
            "objstore_bucket_operation_duration_seconds",
            "Time in seconds that operations on a bucket took, retries included",
            m.seconds,
        );
        registry.register(
            "phlare_bucket_retries",
            "Requests to a bucket that were made again after a failure",
            m.retries,
        );
        registry.register(
            "phlare_bucket_read_bytes",
            "Bytes of objects that a bucket sent, gaps between ranges that were read at once included",
            m.read_bytes,
        );
        metrics
    }

    /// Those of one bucket, from the start, so that nothing happened can be told from nothing known.
    pub(crate) fn of_bucket(&self, bucket: &str) -> BucketMetrics {
        let of = |operation: Operation| {
            let labels = Labels {
                operation: operation.metric(),
                bucket: bucket.to_owned(),
            };
            OperationMetrics {
                operations: self.operations.get_or_create_owned(&labels),
                failures: self.failures.get_or_create_owned(&labels),
                seconds: self.seconds.get_or_create_owned(&labels),
                retries: self.retries.get_or_create_owned(&labels),
            }
        };
        let label = BucketLabel {
            bucket: bucket.to_owned(),
        };
        BucketMetrics {
            read_bytes: self.read_bytes.get_or_create_owned(&label),
            list: of(Operation::List),
            get: of(Operation::Get),
            get_range: of(Operation::GetRanges),
            attributes: of(Operation::Head),
            exists: of(Operation::Exists),
            upload: of(Operation::Put),
            delete: of(Operation::Delete),
        }
    }
}

/// The figures of one operation on one bucket.
#[derive(Clone, Debug)]
pub(crate) struct OperationMetrics {
    pub(crate) operations: Counter,
    pub(crate) failures: Counter,
    pub(crate) seconds: Histogram,
    pub(crate) retries: Counter,
}

/// The figures of one bucket.
#[derive(Clone, Debug)]
pub(crate) struct BucketMetrics {
    pub(crate) read_bytes: Counter,
    list: OperationMetrics,
    get: OperationMetrics,
    get_range: OperationMetrics,
    attributes: OperationMetrics,
    exists: OperationMetrics,
    upload: OperationMetrics,
    delete: OperationMetrics,
}

impl BucketMetrics {
    pub(crate) const fn of(&self, operation: Operation) -> &OperationMetrics {
        match operation {
            Operation::List => &self.list,
            Operation::Get | Operation::Download => &self.get,
            Operation::GetRanges => &self.get_range,
            Operation::Head => &self.attributes,
            Operation::Exists => &self.exists,
            Operation::Put | Operation::Upload => &self.upload,
            Operation::Delete => &self.delete,
        }
    }
}
