//! Logins of the object store: which secret, which keys in it, and how they reach the pods.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use phlare_operator_api::{Storage, StorageType};

/// A variable of the environment that a key of a secret becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Name of the variable.
    pub name: &'static str,
    /// The key in the secret that was found.
    pub key: String,
}

/// Logins of the object store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the secret.
    pub secret: Option<String>,
    /// What the environment gets of it.
    pub variables: Vec<Variable>,
    /// Hash of the values: pods are replaced in order when they change.
    pub hash: String,
}

/// Why there are no usable logins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no such secret.
    #[error(
        "secret {namespace}/{name}, named in spec.storage, does not exist: create it with {keys}"
    )]
    Missing {
        /// Where it should be.
        namespace: String,
        /// Its name.
        name: String,
        /// What should be in it.
        keys: String,
    },
    /// A key is missing or has no value.
    #[error("secret {namespace}/{name} has no {key}{found}; accepted are {spellings}")]
    Key {
        /// Where it is.
        namespace: String,
        /// Its name.
        name: String,
        /// The key.
        key: &'static str,
        /// What is there instead.
        found: String,
        /// Names under which the key is looked for.
        spellings: String,
    },
}

/// A value that a secret should have, under one of several names; the first is the one that we tell people.
struct Wanted {
    variable: &'static str,
    spellings: &'static [&'static str],
    required: bool,
}

const fn wanted(variable: &'static str, spellings: &'static [&'static str]) -> Wanted {
    Wanted {
        variable,
        spellings,
        required: true,
    }
}

const fn perhaps(variable: &'static str, spellings: &'static [&'static str]) -> Wanted {
    Wanted {
        variable,
        spellings,
        required: false,
    }
}

const S3: &[Wanted] = &[
    wanted(
        "PHLARE_S3_ACCESS_KEY_ID",
        &[
            "access_key_id",
            "AWS_ACCESS_KEY_ID",
            "accessKeyId",
            "accessKey",
            "access_key",
            "rootUser",
        ],
    ),
    wanted(
        "PHLARE_S3_SECRET_ACCESS_KEY",
        &[
            "secret_access_key",
            "AWS_SECRET_ACCESS_KEY",
            "access_key_secret",
            "secretAccessKey",
            "secretKey",
            "secret_key",
            "rootPassword",
        ],
    ),
    perhaps(
        "PHLARE_S3_SESSION_TOKEN",
        &["session_token", "AWS_SESSION_TOKEN"],
    ),
];

const GCS: &[Wanted] = &[wanted(
    "PHLARE_GCS_SERVICE_ACCOUNT",
    &["key.json", "service_account.json", "credentials.json"],
)];

const AZURE: &[Wanted] = &[wanted(
    "PHLARE_AZURE_ACCOUNT_KEY",
    &[
        "account_key",
        "AZURE_STORAGE_KEY",
        "accountKey",
        "azurestorageaccountkey",
    ],
)];

const SWIFT: &[Wanted] = &[
    wanted("PHLARE_SWIFT_USERNAME", &["username", "OS_USERNAME"]),
    wanted("PHLARE_SWIFT_PASSWORD", &["password", "OS_PASSWORD"]),
    perhaps(
        "PHLARE_SWIFT_USER_DOMAIN_NAME",
        &["user_domain_name", "OS_USER_DOMAIN_NAME"],
    ),
    perhaps(
        "PHLARE_SWIFT_PROJECT_NAME",
        &["project_name", "OS_PROJECT_NAME"],
    ),
    perhaps(
        "PHLARE_SWIFT_PROJECT_DOMAIN_NAME",
        &["project_domain_name", "OS_PROJECT_DOMAIN_NAME"],
    ),
];

fn wanted_of(kind: StorageType) -> &'static [Wanted] {
    match kind {
        StorageType::Filesystem => &[],
        StorageType::S3 => S3,
        StorageType::Gcs => GCS,
        StorageType::Azure => AZURE,
        StorageType::Swift => SWIFT,
    }
}

/// The secret that a storage needs, if it needs one.
#[must_use]
pub fn secret_of(storage: &Storage) -> Option<&str> {
    let reference = match storage.r#type {
        StorageType::Filesystem => None,
        StorageType::S3 => storage.s3.as_ref()?.credentials_secret_ref.as_ref(),
        StorageType::Gcs => storage.gcs.as_ref()?.credentials_secret_ref.as_ref(),
        StorageType::Azure => storage.azure.as_ref()?.credentials_secret_ref.as_ref(),
        StorageType::Swift => Some(&storage.swift.as_ref()?.credentials_secret_ref),
    };
    reference.map(|reference| reference.name.as_str())
}

impl Credentials {
    /// What pods get of a secret. `secret` is None if there is no such object.
    ///
    /// # Errors
    /// The secret or one of its keys is missing.
    pub fn of(
        storage: &Storage,
        namespace: &str,
        secret: Option<&Secret>,
    ) -> Result<Self, Problem> {
        let Some(name) = secret_of(storage) else {
            return Ok(Self::default());
        };
        let all = wanted_of(storage.r#type);
        let Some(secret) = secret else {
            let required = all.iter().filter(|wanted| wanted.required);
            let keys: Vec<_> = required
                .filter_map(|wanted| wanted.spellings.first().copied())
                .collect();
            return Err(Problem::Missing {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                keys: keys.join(" and "),
            });
        };
        let empty = BTreeMap::new();
        let data = secret.data.as_ref().unwrap_or(&empty);
        let mut variables = Vec::new();
        let mut values = Vec::new();
        for wanted in all {
            let found = wanted.spellings.iter().find_map(|&key| {
                let value = data.get(key).filter(|value| !blank(value))?;
                Some((key, value))
            });
            if let Some((key, ByteString(value))) = found {
                variables.push(Variable {
                    name: wanted.variable,
                    key: key.to_owned(),
                });
                values.extend_from_slice(wanted.variable.as_bytes());
                values.extend_from_slice(value);
            } else if wanted.required {
                return Err(Problem::Key {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    key: wanted.spellings.first().copied().unwrap_or_default(),
                    found: found_instead(data),
                    spellings: wanted.spellings.join(", "),
                });
            }
        }
        Ok(Self {
            secret: Some(name.to_owned()),
            variables,
            hash: crate::hash::of(&values),
        })
    }

    /// Whether the environment has a variable.
    #[must_use]
    pub fn has(&self, variable: &str) -> bool {
        self.variables.iter().any(|known| known.name == variable)
    }
}

fn blank(ByteString(value): &ByteString) -> bool {
    value.trim_ascii().is_empty()
}

fn found_instead(data: &BTreeMap<String, ByteString>) -> String {
    if data.is_empty() {
        return ": it is empty".to_owned();
    }
    let names: Vec<_> = data.keys().take(10).map(String::as_str).collect();
    format!(": it has {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use phlare_operator_api::{Authentication, LocalReference, S3};

    fn storage() -> Storage {
        Storage {
            r#type: StorageType::S3,
            s3: Some(S3 {
                bucket: "profiles".to_owned(),
                credentials_secret_ref: Some(LocalReference {
                    name: "login".to_owned(),
                }),
                ..S3::default()
            }),
            ..Storage::default()
        }
    }

    fn secret(values: &[(&str, &str)]) -> Secret {
        let data = values.iter();
        let data =
            data.map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn a_missing_secret_is_named_with_its_keys() {
        let problem = Credentials::of(&storage(), "obs", None).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "secret obs/login, named in spec.storage, does not exist: create it with access_key_id and secret_access_key"
        );
    }

    #[test]
    fn a_missing_key_is_named_with_its_spellings_and_what_is_there() {
        let secret = secret(&[
            ("access_key_id", "a"),
            ("password", "b"),
            ("secret_access_key", " \n"),
        ]);
        let problem = Credentials::of(&storage(), "obs", Some(&secret)).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "secret obs/login has no secret_access_key: it has access_key_id, password, secret_access_key; \
             accepted are secret_access_key, AWS_SECRET_ACCESS_KEY, access_key_secret, secretAccessKey, secretKey, \
             secret_key, rootPassword"
        );
    }

    #[test]
    fn spellings_of_provisioners_are_accepted() {
        let secret = secret(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
        let found = Credentials::of(&storage(), "obs", Some(&secret)).unwrap();
        let keys: Vec<_> = found
            .variables
            .iter()
            .map(|variable| variable.key.as_str())
            .collect();
        assert_eq!(keys, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    }

    #[test]
    fn another_value_is_another_hash() {
        let of = |value| {
            let secret = secret(&[("access_key_id", "a"), ("secret_access_key", value)]);
            Credentials::of(&storage(), "obs", Some(&secret))
                .unwrap()
                .hash
        };
        assert_eq!(of("b"), of("b"));
        assert_ne!(of("b"), of("c"));
    }

    #[test]
    fn identities_of_workloads_need_no_secret() {
        let mut storage = storage();
        let s3 = storage.s3.as_mut().unwrap();
        s3.authentication = Authentication::WorkloadIdentity;
        s3.credentials_secret_ref = None;
        assert_eq!(
            Credentials::of(&storage, "obs", None),
            Ok(Credentials::default())
        );
    }
}
