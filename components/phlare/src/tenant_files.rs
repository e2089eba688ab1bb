//! What the users of a tenant keep on the server, beside its profiles: served where queries are.

use std::sync::Arc;

use phlare_ad_hoc_profiles::{AdHocProfiles, Deps};
use phlare_bucket::{Backend, Bucket, Metrics};
use phlare_server::Rpc;
use phlare_tenant_settings::TenantSettings;

use crate::components::Common;
use crate::config::Config;
use crate::target::Target;

/// Serves it if this process answers queries: Grafana has one address for all that it asks.
pub(crate) fn serve(common: &Common<'_>, bucket: Option<&Bucket>, rpc: &mut Rpc) {
    let Some(bucket) = bucket.filter(|_| common.targets.has(Target::QueryFrontend)) else {
        return;
    };
    let clock = &common.shared.clock;
    TenantSettings::new(bucket, Arc::clone(clock)).register(rpc);
    let profiles = AdHocProfiles::new(Deps {
        bucket: bucket.clone(),
        overrides: common.shared.overrides.clone(),
        clock: Arc::clone(clock),
        offload: common.offload.clone(),
    });
    profiles.register(rpc);
}

/// The bucket of a process that needs it for nothing else. Queries go without, so a directory that cannot be had is no reason
/// not to start.
///
/// # Errors
/// Settings of a cloud that cannot hold.
pub(crate) fn bucket(config: &Config, metrics: &Metrics) -> anyhow::Result<Bucket> {
    match Bucket::open(&config.storage, metrics) {
        Err(error) if config.storage.backend == Backend::Filesystem => {
            tracing::warn!(
                %error,
                "there is no bucket: what users of Grafana's app set ends with this process, and others do not see it"
            );
            Ok(Bucket::memory(metrics))
        }
        opened => Ok(opened?),
    }
}
