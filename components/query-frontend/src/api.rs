//! The methods by name: `querier.v1.QuerierService` and the small services beside it.

use phlare_proto::querier::v1::{SelectHeatmapRequest, SelectHeatmapResponse};
use phlare_server::{Context, MethodOptions, Rpc, Status};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::accept::LabelNames;
use crate::error::Error;
use crate::frontend::QueryFrontend;
use crate::services;

impl QueryFrontend {
    /// Serves all methods of `querier.v1.QuerierService`, of `version.v1` and of `capabilities.v1`.
    pub fn register(&self, rpc: &mut Rpc) {
        self.query(rpc, "ProfileTypes", |s, call, r| async move {
            s.profile_types(call.tenant, r).await
        });
        self.query(rpc, "LabelValues", |s, call, r| async move {
            s.label_values(call.tenant, r).await
        });
        self.query(rpc, "LabelNames", |s, call, r| async move {
            let shown = LabelNames::of(&call.headers);
            s.label_names(call.tenant, r, shown).await
        });
        self.query(rpc, "Series", |s, call, r| async move {
            let shown = LabelNames::of(&call.headers);
            s.series(call.tenant, r, shown).await
        });
        self.query(rpc, "SelectMergeStacktraces", |s, call, r| async move {
            s.select_merge_stacktraces(call.tenant, r).await
        });
        self.query(rpc, "SelectMergeSpanProfile", |s, call, r| async move {
            s.select_merge_span_profile(call.tenant, r).await
        });
        self.query(rpc, "SelectMergeProfile", |s, call, r| async move {
            s.select_merge_profile(call.tenant, r).await
        });
        self.query(rpc, "SelectSeries", |s, call, r| async move {
            s.select_series(call.tenant, r).await
        });
        self.query(
            rpc,
            "SelectHeatmap",
            |s, _, _: SelectHeatmapRequest| async move {
                s.checked(Err::<SelectHeatmapResponse, _>(Error::Unsupported {
                    what: "SelectHeatmap",
                }))
            },
        );
        self.query(rpc, "Diff", |s, call, r| async move {
            s.diff(call.tenant, r).await
        });
        self.query(rpc, "GetProfileStats", |s, call, r| async move {
            s.get_profile_stats(call.tenant, r).await
        });
        self.query(rpc, "AnalyzeQuery", |s, call, r| async move {
            s.analyze_query(call.tenant, r).await
        });

        let open = MethodOptions {
            tenant: false,
            ..MethodOptions::default()
        };
        rpc.unary_with("version.v1.Version/Version", open, |_, r| async move {
            Ok(services::version(r))
        });
        rpc.unary_with(
            "capabilities.v1.FeatureFlagsService/GetFeatureFlags",
            open,
            |_, r| async move { Ok(services::feature_flags(r)) },
        );
    }

    /// Serves one query method; it counts as in progress until its future ends or is dropped.
    fn query<Req, Resp, F, Fut>(&self, rpc: &mut Rpc, name: &str, answer: F)
    where
        Req: Message + Default + DeserializeOwned + 'static,
        Resp: Message + Serialize + 'static,
        F: Fn(Self, Context, Req) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, Status>> + Send + 'static,
    {
        let frontend = self.clone();
        rpc.unary(
            &format!("querier.v1.QuerierService/{name}"),
            move |call, request| {
                let running = frontend.metrics().start();
                let answer = answer(frontend.clone(), call, request);
                async move {
                    let _running = running;
                    answer.await
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use phlare_proto::METHODS;

    use super::*;
    use crate::testing::{Store, over};

    #[tokio::test]
    async fn every_query_method_is_served() {
        let mut rpc = Rpc::new();
        over(&Arc::new(Store::default())).register(&mut rpc);
        let served = format!("{rpc:?}");
        let queries = METHODS
            .iter()
            .filter(|method| method.path.starts_with("querier.v1.QuerierService/"));
        let missing: Vec<&str> = queries
            .map(|method| method.path)
            .filter(|path| !served.contains(&format!("{path:?}")))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[tokio::test]
    async fn a_query_that_is_given_up_is_no_longer_in_progress() {
        let frontend = over(&Arc::new(Store::default()));
        let running = frontend.metrics().start();
        assert_eq!(frontend.metrics().figures("unsupported").0, 1);
        drop(running);
        assert_eq!(frontend.metrics().figures("unsupported").0, 0);
    }
}
