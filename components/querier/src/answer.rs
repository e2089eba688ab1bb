//! Any query, whatever its kind.

use phlare_model::TenantId;
use phlare_model::ask::{Answer, Query};
use phlare_server::Status;

use crate::{Fleet, Querier};

macro_rules! answer_to {
    ($querier:ty, $($wait:tt)*) => {
        impl $querier {
            /// The answer to a query, of the kind that its kind asks for.
            ///
            /// # Errors
            /// As [`Self::label_names`].
            pub async fn answer_to(&self, tenant: &TenantId, query: Query) -> Result<Answer, Status> {
                Ok(match query {
                    Query::LabelNames(query) => Answer::Names(self.label_names(tenant, query).await?),
                    Query::LabelValues { name, query } => {
                        Answer::Names(self.label_values(tenant, name, query).await?)
                    }
                    Query::LabelSets { names, query } => {
                        Answer::LabelSets(self.series(tenant, names, query).await?)
                    }
                    Query::Tree(query) => Answer::Tree(self.select_tree(tenant, query).await?),
                    Query::Pprof(query) => {
                        Answer::Pprof(Box::new(self.select_pprof(tenant, query).await?))
                    }
                    Query::TimeSeries(query) => {
                        Answer::TimeSeries(self.select_series(tenant, query).await?)
                    }
                    Query::Stats => Answer::Stats(self.stats(tenant) $($wait)* ?),
                    Query::Analyze(query) => Answer::Analysis(self.analyze(tenant, query).await?),
                })
            }
        }
    };
}

answer_to!(Querier,);
answer_to!(Fleet, .await);
