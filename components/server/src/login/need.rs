//! Which right a path needs. What is not named here needs the right `admin`, so that nothing is open that was forgotten.

use phlare_credentials::Right;
use phlare_proto::METHODS;

/// What a request has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Probes have no login.
    Nothing,
    Right(Right),
}

pub(super) fn of(path: &str) -> Need {
    let right = match path {
        "/ready" | "/livez" | "/healthz" => return Need::Nothing,
        "/metrics" => Right::Metrics,
        "/ingest" | "/pyroscope/ingest" | "/v1development/profiles" => Right::Write,
        "/pyroscope/render"
        | "/pyroscope/render-diff"
        | "/pyroscope/label-values"
        | "/api/v1/tenant_limits"
        | "/version"
        | "/api/v1/status/buildinfo" => Right::Read,
        _ => match path.strip_prefix('/').and_then(|path| path.split_once('/')) {
            Some((service, method)) => return of_method(service, method),
            None => Right::Admin,
        },
    };
    Need::Right(right)
}

/// Whether this is a method of the API.
pub(super) fn is_method(path: &str) -> bool {
    let path = path.strip_prefix('/').unwrap_or_default();
    METHODS.iter().any(|method| method.path == path)
}

fn of_method(service: &str, method: &str) -> Need {
    let asks = ["Get", "List", "Diff"]
        .iter()
        .any(|verb| method.starts_with(verb));
    let by_verb = if asks { Right::Read } else { Right::Write };
    let right = match service {
        "grpc.health.v1.Health" => return Need::Nothing,
        "push.v1.PusherService"
        | "debuginfo.v1alpha1.DebuginfoService"
        | "opentelemetry.proto.collector.profiles.v1development.ProfilesService" => Right::Write,
        "querier.v1.QuerierService"
        | "version.v1.Version"
        | "status.v1.StatusService"
        | "capabilities.v1.FeatureFlagsService"
        | "vcs.v1.VCSService" => Right::Read,
        "settings.v1.SettingsService"
        | "settings.v1.RecordingRulesService"
        | "adhocprofiles.v1.AdHocProfileService" => by_verb,
        // Those of upstream that are not served, and all of ours.
        _ if is_method(&format!("/{service}/{method}")) => Right::Internal,
        _ => Right::Admin,
    };
    Need::Right(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_of_paths() {
        let check = |path: &str, right| assert_eq!(of(path), Need::Right(right), "{path}");
        check("/push.v1.PusherService/Push", Right::Write);
        check("/ingest", Right::Write);
        check("/querier.v1.QuerierService/SelectSeries", Right::Read);
        check("/pyroscope/render", Right::Read);
        check("/settings.v1.SettingsService/Get", Right::Read);
        check("/settings.v1.SettingsService/Set", Right::Write);
        check("/adhocprofiles.v1.AdHocProfileService/Upload", Right::Write);
        check("/phlare.ingest.v1.IngestService/Append", Right::Internal);
        check("/phlare.store.v1.StoreService/SelectTree", Right::Internal);
        check("/phlare.store.v1.UploadsService/Uploaded", Right::Internal);
        check("/phlare.query.v1.SchedulerService/Pull", Right::Internal);
        check("/ingester.v1.IngesterService/Push", Right::Internal);
        check("/metrics", Right::Metrics);
        for path in [
            "/",
            "/config",
            "/ring",
            "/ingester/flush",
            "/ready/",
            "//ready",
            "/Ready",
            "",
            "/new",
        ] {
            check(path, Right::Admin);
        }
        for path in ["/ready", "/livez", "/grpc.health.v1.Health/Check"] {
            assert_eq!(of(path), Need::Nothing, "{path}");
        }
    }

    /// A new method is for the processes themselves until somebody says otherwise.
    #[test]
    fn methods_of_our_own_are_internal() {
        for method in METHODS {
            let need = of(&format!("/{}", method.path));
            let is_ours = method.path.starts_with("phlare.");
            assert!(
                !is_ours || need == Need::Right(Right::Internal),
                "{}",
                method.path
            );
            assert_ne!(need, Need::Right(Right::Admin), "{}", method.path);
        }
    }
}
