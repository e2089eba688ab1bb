//! Where accepted profiles go.

use futures_util::future::BoxFuture;
use phlare_model::TenantId;
use phlare_phlaredb::Append;
use phlare_server::Status;

/// Resolves when what was appended may be acknowledged, or fails if it must not be.
pub type Durable = BoxFuture<'static, Result<(), Refused>>;

/// Takes the rows of a profile: the ingester, in this process or behind the network.
pub trait Ingest: Send + Sync {
    /// Stores the rows of one pprof. This is the part that computes; it runs on threads for that.
    /// The future that it returns waits for durability and is awaited together with those of the
    /// request's other profiles, so that a request is one commit.
    ///
    /// # Errors
    /// [`Refused`]: a limit, or a database that cannot take it; nothing of the pprof was stored then.
    fn append(&self, tenant: &TenantId, append: &Append<'_>) -> Result<Durable, Refused>;
}

/// Why rows were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For the client.
    pub status: Status,
    /// For the metrics: one of upstream's reasons (api.md 7).
    pub reason: &'static str,
}
