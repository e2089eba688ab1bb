//! Where blocks are kept.

#![expect(
    unreachable_pub,
    reason = "the derive makes a second type of each, which nobody reaches"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LocalReference;

/// Where blocks are kept: `type`, and the section of that type.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == oldSelf.type").message(
        "spec.storage.type can't be changed: the blocks would stay where they are, unseen; create another PhlareCluster"
    ),
    validation = Rule::new("(self.type == 'S3') == has(self.s3)").message(
        "spec.storage.s3 belongs to type S3: give both or none"
    ),
    validation = Rule::new("(self.type == 'GCS') == has(self.gcs)").message(
        "spec.storage.gcs belongs to type GCS: give both or none"
    ),
    validation = Rule::new("(self.type == 'Azure') == has(self.azure)").message(
        "spec.storage.azure belongs to type Azure: give both or none"
    ),
    validation = Rule::new("(self.type == 'Swift') == has(self.swift)").message(
        "spec.storage.swift belongs to type Swift: give both or none"
    ),
    validation = Rule::new("has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)").message(
        "spec.storage.prefix can't be changed: the blocks would stay where they are, unseen"
    )
)]
pub struct Storage {
    /// Kind of object store. `Filesystem` is the volume of the pod.
    #[serde(default)]
    pub r#type: StorageType,

    /// What comes before every key, as directories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?$")
    )]
    pub prefix: Option<String>,

    /// Amazon S3, and what speaks like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,

    /// Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<Gcs>,

    /// Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,

    /// OpenStack Swift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swift: Option<Swift>,
}

/// A kind of object store.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum StorageType {
    /// The volume of the pod.
    #[default]
    Filesystem,
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    #[serde(rename = "GCS")]
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// OpenStack Swift.
    Swift,
}

/// How pods prove to the object store who they are.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Authentication {
    /// By what is in `credentialsSecretRef`.
    #[default]
    Secret,
    /// By their service account, or by the machine that they run on.
    WorkloadIdentity,
}

/// A bucket of Amazon S3, or of what speaks like it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.authentication == 'Secret') == has(self.credentialsSecretRef)").message(
        "spec.storage.s3: name the secret with the access keys in credentialsSecretRef, or set authentication to WorkloadIdentity"
    ),
    validation = Rule::new("self.bucket == oldSelf.bucket").message(
        "spec.storage.s3.bucket can't be changed: the blocks would stay where they are, unseen"
    )
)]
pub struct S3 {
    /// Name of the bucket.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,

    /// Address of the store, as `https://minio.storage:9000`; empty is Amazon's for the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub endpoint: Option<String>,

    /// Region of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,

    /// Puts the bucket into the path instead of the host name; most stores that are not Amazon's want it.
    #[serde(default)]
    pub force_path_style: bool,

    /// Speaks HTTP without TLS if the endpoint does not say which.
    #[serde(default)]
    pub insecure: bool,

    /// How pods prove who they are.
    #[serde(default)]
    pub authentication: Authentication,

    /// Secret with the access keys: `access_key_id` and `secret_access_key`, or one of the other usual spellings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,

    /// Encryption by the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse: Option<ServerSideEncryption>,
}

/// Encryption by the store.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerSideEncryption {
    /// `SSE-S3` or `SSE-KMS`.
    #[schemars(regex(pattern = "^SSE-(S3|KMS)$"), length(max = 8))]
    pub r#type: String,

    /// The key of `SSE-KMS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub kms_key_id: Option<String>,
}

/// A bucket of Google Cloud Storage.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.authentication == 'Secret') == has(self.credentialsSecretRef)").message(
        "spec.storage.gcs: name the secret with the service account's key in credentialsSecretRef, or set authentication to WorkloadIdentity"
    ),
    validation = Rule::new("self.bucket == oldSelf.bucket").message(
        "spec.storage.gcs.bucket can't be changed: the blocks would stay where they are, unseen"
    )
)]
pub struct Gcs {
    /// Name of the bucket.
    #[schemars(length(min = 3, max = 222))]
    pub bucket: String,

    /// How pods prove who they are.
    #[serde(default)]
    pub authentication: Authentication,

    /// Secret with the service account's key file as `key.json`, or one of the other usual spellings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
}

/// A container of Azure Blob Storage.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.authentication == 'Secret') == has(self.credentialsSecretRef)").message(
        "spec.storage.azure: name the secret with the account's key in credentialsSecretRef, or set authentication to WorkloadIdentity"
    ),
    validation = Rule::new("self.container == oldSelf.container").message(
        "spec.storage.azure.container can't be changed: the blocks would stay where they are, unseen"
    )
)]
pub struct Azure {
    /// Name of the container.
    #[schemars(length(min = 3, max = 63))]
    pub container: String,

    /// Name of the storage account.
    #[schemars(length(min = 3, max = 24))]
    pub account_name: String,

    /// End of the host name, if it is not that of the public cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub endpoint_suffix: Option<String>,

    /// How pods prove who they are.
    #[serde(default)]
    pub authentication: Authentication,

    /// Secret with the account's key as `account_key`, or one of the other usual spellings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
}

/// A container of OpenStack Swift.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.container == oldSelf.container").message(
    "spec.storage.swift.container can't be changed: the blocks would stay where they are, unseen"
))]
pub struct Swift {
    /// Name of the container.
    #[schemars(length(min = 1, max = 256))]
    pub container: String,

    /// Address of Keystone.
    #[schemars(length(min = 1, max = 512))]
    pub auth_url: String,

    /// Region of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,

    /// Secret with `username`, `password`, and, if Keystone needs them, `user_domain_name`, `project_name` and
    /// `project_domain_name`.
    pub credentials_secret_ref: LocalReference,
}
