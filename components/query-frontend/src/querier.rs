//! Who answers validated queries: the seam between the public API and the stores.

use futures_util::future::BoxFuture;
use phlare_model::TenantId;
use phlare_model::ask::{Answer, Query};
use phlare_server::Status;

/// The answer to one query. Dropping it before it is ready gives the query up.
pub type Reply<'a> = BoxFuture<'a, Result<Answer, Status>>;

/// Answers queries over what is stored of a tenant. A tenant without data gets empty answers, not errors.
pub trait Querier: Send + Sync {
    /// The answer to a query, of the kind that its kind asks for.
    fn ask(&self, tenant: TenantId, query: Query) -> Reply<'_>;
}
