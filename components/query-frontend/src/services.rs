//! Small services that tell clients what they talk to (api.md 1.14).

use phlare_proto::capabilities::v1::{
    FeatureFlag, GetFeatureFlagsRequest, GetFeatureFlagsResponse,
};
use phlare_proto::version::v1::{VersionRequest, VersionResponse};

/// The version of the query API that all instances speak.
const QUERIER_API: u64 = 1;

pub(crate) fn feature_flags(_request: GetFeatureFlagsRequest) -> GetFeatureFlagsResponse {
    let flag = |name: &str, enabled, description: &str| FeatureFlag {
        name: name.to_owned(),
        enabled,
        description: Some(description.to_owned()),
        documentation_url: None,
    };
    GetFeatureFlagsResponse {
        feature_flags: vec![
            flag(
                "v2StorageLayer",
                false,
                "The storage architecture without ingesters",
            ),
            flag(
                "pyroscopeRuler",
                false,
                "Metrics recorded from profiles by rules",
            ),
            flag(
                "pyroscopeRulerFunctions",
                false,
                "Metrics recorded from single functions",
            ),
            flag(
                "utf8LabelNames",
                true,
                "Label names may have any characters",
            ),
        ],
    }
}

pub(crate) fn version(_request: VersionRequest) -> VersionResponse {
    VersionResponse {
        querier_api: QUERIER_API,
    }
}
