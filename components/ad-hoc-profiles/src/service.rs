//! `adhocprofiles.v1.AdHocProfileService`.

use phlare_proto::adhocprofiles::v1 as proto;
use phlare_server::{Rpc, Status};

use crate::id::Id;
use crate::profiles::{AdHocProfiles, Shown};

impl AdHocProfiles {
    /// Serves all methods of `adhocprofiles.v1.AdHocProfileService`.
    pub fn register(&self, rpc: &mut Rpc) {
        let all = self.clone();
        rpc.unary(
            "adhocprofiles.v1.AdHocProfileService/Upload",
            move |call, request: proto::AdHocProfilesUploadRequest| {
                let profiles = all.clone();
                async move {
                    let file = (request.name, request.profile);
                    let max_nodes = request.max_nodes.unwrap_or_default();
                    profiles
                        .upload(&call.tenant, file, max_nodes)
                        .await
                        .map(shown)
                }
            },
        );
        let all = self.clone();
        rpc.unary(
            "adhocprofiles.v1.AdHocProfileService/Get",
            move |call, request: proto::AdHocProfilesGetRequest| {
                let profiles = all.clone();
                async move {
                    let asked = (request.profile_type, request.max_nodes.unwrap_or_default());
                    profiles
                        .get(&call.tenant, &request.id, asked)
                        .await
                        .map(shown)
                }
            },
        );
        let all = self.clone();
        rpc.unary(
            "adhocprofiles.v1.AdHocProfileService/List",
            move |call, proto::AdHocProfilesListRequest {}| {
                let profiles = all.clone();
                async move {
                    let ids = profiles.list(&call.tenant).await?;
                    Ok::<_, Status>(proto::AdHocProfilesListResponse {
                        profiles: ids.iter().map(metadata).collect(),
                    })
                }
            },
        );
        let all = self.clone();
        rpc.unary(
            "adhocprofiles.v1.AdHocProfileService/Diff",
            move |call, request: proto::AdHocProfilesDiffRequest| {
                let profiles = all.clone();
                async move {
                    let sides = (request.left_id.as_str(), request.right_id.as_str());
                    let asked = (request.profile_type, request.max_nodes.unwrap_or_default());
                    let compared = profiles.diff(&call.tenant, sides, asked).await?;
                    Ok::<_, Status>(proto::AdHocProfilesDiffResponse {
                        profile_types: compared.profile_types,
                        flamebearer_profile: compared.flamebearer,
                    })
                }
            },
        );
    }
}

fn shown(shown: Shown) -> proto::AdHocProfilesGetResponse {
    proto::AdHocProfilesGetResponse {
        uploaded_at: shown.id.time_ms(),
        id: shown.id.to_string(),
        name: shown.name,
        profile_type: shown.profile_type,
        profile_types: shown.profile_types,
        flamebearer_profile: shown.flamebearer,
    }
}

fn metadata(id: &Id) -> proto::AdHocProfilesProfileMetadata {
    proto::AdHocProfilesProfileMetadata {
        id: id.to_string(),
        name: id.name().to_owned(),
        uploaded_at: id.time_ms(),
    }
}
