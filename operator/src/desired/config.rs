//! Phlare's configuration file, and the file of tenants' own limits.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use phlare_operator_api::{Authentication, Limits, Storage, StorageType};
use serde_json::{Map, Value, json};

use super::{GOSSIP, Inputs, Meta, PORT, network, replication_factor};
use crate::credentials::Credentials;
use crate::hash;

/// Where pods find the files.
pub(super) const DIRECTORY: &str = "/etc/phlare";
/// Where pods find the limits of tenants.
pub(super) const OVERRIDES: &str = "/etc/phlare-overrides";
/// Where the volume is.
pub(super) const DATA: &str = "/data";

/// Keys of the configuration that the operator decides: a value laid over them would break what it promises.
const OWNED: &[&str] = &[
    "target",
    "multitenancy_enabled",
    "server.http_listen_address",
    "server.http_listen_port",
    "memberlist.join_members",
    "memberlist.bind_port",
    "memberlist.cluster_label",
    "memberlist.node_name",
    "ingester.lifecycler.ring.replication_factor",
    "ingester.lifecycler.ring.zone_awareness_enabled",
    "ingester.lifecycler.availability_zone",
    "pyroscopedb.data_path",
    "store_gateway.bucket_store.sync_dir",
    "compactor.data_dir",
    "runtime_config.file",
    "limits.compactor_blocks_retention_period",
    "storage.backend",
    "storage.prefix",
];

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The overlay has a key that is the operator's.
    #[error("spec.config.overlay sets {0}, which the operator decides: remove it{hint}", hint = hint(.0))]
    Owned(&'static str),
    /// It can't be written as YAML, which can't be.
    #[error("configuration as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// It can't be written as JSON, which can't be.
    #[error("configuration as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The field of the resource that says the same.
fn hint(key: &str) -> &'static str {
    match key {
        "multitenancy_enabled" => ", and set spec.tenancy.enabled",
        "ingester.lifecycler.ring.replication_factor" => ", and set spec.replicationFactor",
        "ingester.lifecycler.ring.zone_awareness_enabled" => ", and set spec.zoneAwareness",
        "limits.compactor_blocks_retention_period" => ", and set spec.retention.period",
        "storage.backend" | "storage.prefix" => ", and set spec.storage",
        _ => "",
    }
}

/// The two files.
#[derive(Debug)]
pub(super) struct Rendered {
    /// Named by what is in it, and never changed: another configuration is another name, so pods that start again during
    /// a rollout find what they had.
    pub(super) settings: ConfigMap,
    /// Limits of single tenants; running pods follow its changes.
    pub(super) overrides: ConfigMap,
}

/// Both files of a resource.
pub(super) fn render(inputs: &Inputs<'_>, meta: &Meta<'_>) -> Result<Rendered, ConfigError> {
    let spec = meta.spec;
    let mut all = base(inputs, meta)?;
    if let Some(overlay) = &spec.config.overlay {
        let overlay = Value::Object(overlay.0.clone());
        for &key in OWNED {
            if key
                .split('.')
                .try_fold(&overlay, |value, name| value.get(name))
                .is_some()
            {
                return Err(ConfigError::Owned(key));
            }
        }
        lay_over(&mut all, overlay);
    }
    let text = serde_yaml::to_string(&all)?;
    let name = meta.named(format_args!("config-{}", hash::of(text.as_bytes())));
    let settings = ConfigMap {
        metadata: meta.object(name, meta.labels()),
        immutable: Some(true),
        data: Some(BTreeMap::from([("config.yaml".to_owned(), text)])),
        ..ConfigMap::default()
    };
    let mut tenants = Map::new();
    for (tenant, limits) in &spec.limits.overrides {
        tenants.insert(tenant.clone(), snake_case(limits)?);
    }
    let text = serde_yaml::to_string(&json!({"overrides": tenants}))?;
    let overrides = ConfigMap {
        metadata: meta.object(meta.named("overrides"), meta.labels()),
        data: Some(BTreeMap::from([("overrides.yaml".to_owned(), text)])),
        ..ConfigMap::default()
    };
    Ok(Rendered {
        settings,
        overrides,
    })
}

fn base(inputs: &Inputs<'_>, meta: &Meta<'_>) -> Result<Value, ConfigError> {
    let spec = meta.spec;
    let members = network::members(meta);
    let namespace = meta.namespace;
    let mut limits = snake_case(&spec.limits.defaults)?;
    lay_over(
        &mut limits,
        json!({"compactor_blocks_retention_period": spec.retention.period}),
    );
    let mut all = json!({
        "multitenancy_enabled": spec.tenancy.enabled,
        "show_banner": false,
        "server": {"http_listen_port": PORT},
        "memberlist": {
            "join_members": [format!("dns+{members}.{namespace}.svc:{GOSSIP}")],
            "bind_port": GOSSIP,
            "cluster_label": format!("{namespace}/{}", meta.name),
        },
        "ingester": {"lifecycler": {"ring": {
            "replication_factor": replication_factor(spec),
            "zone_awareness_enabled": spec.zone_awareness.enabled,
        }}},
        "pyroscopedb": {"data_path": DATA},
        "store_gateway": {"bucket_store": {"sync_dir": format!("{DATA}/sync")}},
        "compactor": {"data_dir": format!("{DATA}/compactor")},
        "limits": limits,
        "runtime_config": {"file": format!("{OVERRIDES}/overrides.yaml")},
        "storage": storage(&spec.storage, inputs.credentials),
    });
    if let Some(queries) = spec.components.querier.max_concurrent {
        lay_over(
            &mut all,
            json!({"frontend_worker": {"max_concurrent": queries}}),
        );
    }
    Ok(all)
}

/// The section `storage`. Logins come from the environment: the file is no secret.
fn storage(storage: &Storage, credentials: &Credentials) -> Value {
    let login = |variable| match credentials.has(variable) {
        true => Some(format!("${{{variable}}}")),
        false => None,
    };
    let (backend, section) = match storage.r#type {
        StorageType::Filesystem => ("filesystem", json!({"dir": format!("{DATA}/bucket")})),
        StorageType::S3 => {
            let s3 = storage.s3.clone().unwrap_or_default();
            let lookup = if s3.force_path_style { "path" } else { "auto" };
            let sse = s3
                .sse
                .map(|sse| json!({"type": sse.r#type, "kms_key_id": sse.kms_key_id}));
            let section = json!({
                "bucket_name": s3.bucket,
                "endpoint": s3.endpoint,
                "region": s3.region,
                "insecure": s3.insecure,
                "bucket_lookup_type": lookup,
                "native_aws_auth_enabled": s3.authentication == Authentication::WorkloadIdentity,
                "access_key_id": login("PHLARE_S3_ACCESS_KEY_ID"),
                "secret_access_key": login("PHLARE_S3_SECRET_ACCESS_KEY"),
                "session_token": login("PHLARE_S3_SESSION_TOKEN"),
                "sse": sse,
            });
            ("s3", section)
        }
        StorageType::Gcs => {
            let gcs = storage.gcs.clone().unwrap_or_default();
            let section = json!({
                "bucket_name": gcs.bucket,
                "service_account": login("PHLARE_GCS_SERVICE_ACCOUNT"),
            });
            ("gcs", section)
        }
        StorageType::Azure => {
            let azure = storage.azure.clone().unwrap_or_default();
            let section = json!({
                "container_name": azure.container,
                "account_name": azure.account_name,
                "endpoint_suffix": azure.endpoint_suffix,
                "account_key": login("PHLARE_AZURE_ACCOUNT_KEY"),
            });
            ("azure", section)
        }
        StorageType::Swift => {
            let swift = storage.swift.clone().unwrap_or_default();
            let section = json!({
                "container_name": swift.container,
                "auth_url": swift.auth_url,
                "region_name": swift.region,
                "username": login("PHLARE_SWIFT_USERNAME"),
                "password": login("PHLARE_SWIFT_PASSWORD"),
                "user_domain_name": login("PHLARE_SWIFT_USER_DOMAIN_NAME"),
                "project_name": login("PHLARE_SWIFT_PROJECT_NAME"),
                "project_domain_name": login("PHLARE_SWIFT_PROJECT_DOMAIN_NAME"),
            });
            ("swift", section)
        }
    };
    let mut all = json!({"backend": backend, "prefix": storage.prefix});
    lay_over(&mut all, json!({ backend: section }));
    without_null(&mut all);
    all
}

/// The resource's `maxGlobalSeriesPerTenant` is the configuration's `max_global_series_per_tenant`.
fn snake_case(limits: &Limits) -> Result<Value, serde_json::Error> {
    let Value::Object(camel) = serde_json::to_value(limits)? else {
        return Ok(Value::Object(Map::new()));
    };
    let snake = camel.into_iter().map(|(name, value)| {
        let mut key = String::with_capacity(name.len() + 8);
        for letter in name.chars() {
            if letter.is_ascii_uppercase() {
                key.push('_');
            }
            key.push(letter.to_ascii_lowercase());
        }
        (key, value)
    });
    Ok(Value::Object(snake.collect()))
}

/// Objects are merged, everything else is replaced.
pub(super) fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

fn without_null(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(without_null);
    }
}
