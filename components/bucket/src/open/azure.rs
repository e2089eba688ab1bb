//! Azure Blob Storage.

use futures_util::future::BoxFuture;
use object_store::azure::{MicrosoftAzureBuilder, split_sas};

use super::{ONCE, client_options, provide_tls};
use crate::config::{AzureConfig, Backend, ConfigError, HttpConfig, Secret};
use crate::environment::Environment;
use crate::error::{ErrorKind, Failure};
use crate::place::{CredentialSource, Credentials, Place, Store};
use crate::source::{Open, Opened};
use crate::watch::{Watch, innermost};

/// What follows the account in hosts of the public cloud.
const PUBLIC: &str = "blob.core.windows.net";

#[derive(Debug)]
struct Azure {
    container: String,
    account: Account,
    environment: Environment,
}

/// An account, and how to get in.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    name: String,
    endpoint: String,
    keys: Keys,
}

#[derive(Debug, PartialEq, Eq)]
enum Keys {
    Account(Secret),
    ConnectionString(Secret),
    /// A signature that allows some things for some time.
    Signature(Secret),
    Workload {
        file: String,
        client: String,
        tenant: String,
    },
    ClientSecret {
        secret: Secret,
        client: String,
        tenant: String,
    },
    /// The client's id, if it is not the system's.
    Managed(Option<String>),
}

/// How it is opened, and how messages name it.
pub(super) fn opener(
    config: &AzureConfig,
    prefix: &str,
    environment: &Environment,
) -> Result<(Place, Box<dyn Open>), ConfigError> {
    let account = Account::of(config, environment)?;
    let place = Place {
        store: Store::Configured(Backend::Azure),
        bucket: config.container_name.clone(),
        prefix: prefix.to_owned(),
        endpoint: account.endpoint.clone(),
        credentials: account.keys.credentials(),
    };
    let azure = Azure {
        container: config.container_name.clone(),
        account,
        environment: environment.clone(),
    };
    azure
        .build()
        .map_err(|failure| ConfigError::new("azure", failure.to_string()))?;
    Ok((place, Box::new(azure)))
}

impl Open for Azure {
    fn open<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { self.build() })
    }
}

impl Azure {
    fn build(&self) -> Result<Opened, Failure> {
        provide_tls();
        let authority = self.environment.get("AZURE_AUTHORITY_HOST");
        let is_plain = |url: &str| url.starts_with("http://");
        let plain = is_plain(&self.account.endpoint) || authority.as_deref().is_some_and(is_plain);
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&self.account.name)
            .with_endpoint(self.account.endpoint.clone())
            .with_container_name(&self.container)
            .with_allow_http(plain)
            .with_client_options(client_options(&HttpConfig::default(), plain))
            .with_retry(ONCE)
            .with_http_connector(Watch::default());
        let wrong =
            |error: object_store::Error| Failure::new(ErrorKind::Misconfigured, innermost(&error));
        let builder = match authority {
            Some(host) => builder.with_authority_host(host),
            None => builder,
        };
        let builder = match &self.account.keys {
            Keys::Account(key) | Keys::ConnectionString(key) => {
                builder.with_access_key(key.expose())
            }
            Keys::Signature(signature) => {
                let pairs = split_sas(signature.expose()).map_err(wrong)?;
                builder.with_sas_authorization(pairs)
            }
            Keys::Workload {
                file,
                client,
                tenant,
            } => builder
                .with_federated_token_file(file)
                .with_client_id(client)
                .with_tenant_id(tenant),
            Keys::ClientSecret {
                secret,
                client,
                tenant,
            } => builder.with_client_secret_authorization(client, secret.expose(), tenant),
            Keys::Managed(client) => {
                let builder = match client {
                    Some(id) => builder.with_client_id(id),
                    None => builder,
                };
                match self.environment.get("IDENTITY_ENDPOINT") {
                    Some(url) => builder.with_msi_endpoint(url),
                    None => builder,
                }
            }
        };
        Ok(Opened::with_parts(builder.build().map_err(wrong)?))
    }
}

impl Account {
    fn of(config: &AzureConfig, environment: &Environment) -> Result<Self, ConfigError> {
        if !config.connection_string.is_empty() {
            return Self::of_text(config);
        }
        let suffix = match config.endpoint_suffix.as_str() {
            "" => PUBLIC,
            suffix => suffix.trim_matches('.'),
        };
        Ok(Self {
            name: config.account_name.clone(),
            endpoint: format!("https://{}.{suffix}", config.account_name),
            keys: Keys::of(config, environment),
        })
    }

    /// From `AccountName=…;AccountKey=…;EndpointSuffix=…`, or `BlobEndpoint=…;SharedAccessSignature=…`.
    fn of_text(config: &AzureConfig) -> Result<Self, ConfigError> {
        let text = config.connection_string.expose();
        let part = |name: &str| {
            let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
            let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
            values.next().map(|(_, value)| value.trim().to_owned())
        };
        let lacks = |what: &str| {
            Err(ConfigError::new(
                "azure.connection_string",
                format!("lacks {what}"),
            ))
        };
        let name = part("AccountName")
            .or_else(|| Some(config.account_name.clone()).filter(|name| !name.is_empty()));
        let endpoint = part("BlobEndpoint").or_else(|| {
            let scheme = part("DefaultEndpointsProtocol").unwrap_or_else(|| "https".to_owned());
            let suffix = part("EndpointSuffix").unwrap_or_else(|| "core.windows.net".to_owned());
            Some(format!("{scheme}://{}.blob.{suffix}", name.as_deref()?))
        });
        let Some(endpoint) = endpoint else {
            return lacks("AccountName or BlobEndpoint");
        };
        let first_label = || {
            let host = endpoint
                .split_once("://")
                .map_or(endpoint.as_str(), |(_, host)| host);
            host.split(['.', ':', '/'])
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let keys = match (part("AccountKey"), part("SharedAccessSignature")) {
            (Some(key), _) => Keys::ConnectionString(key.into()),
            (None, Some(signature)) => Keys::Signature(signature.into()),
            (None, None) => return lacks("AccountKey or SharedAccessSignature"),
        };
        Ok(Self {
            name: name.unwrap_or_else(first_label),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            keys,
        })
    }
}

impl Keys {
    fn of(config: &AzureConfig, environment: &Environment) -> Self {
        if !config.account_key.is_empty() {
            return Self::Account(config.account_key.clone());
        }
        if !config.user_assigned_id.is_empty() {
            return Self::Managed(Some(config.user_assigned_id.clone()));
        }
        let client = environment.get("AZURE_CLIENT_ID");
        if let (Some(client), Some(tenant)) = (client.clone(), environment.get("AZURE_TENANT_ID")) {
            if let Some(file) = environment.get("AZURE_FEDERATED_TOKEN_FILE") {
                return Self::Workload {
                    file,
                    client,
                    tenant,
                };
            }
            if let Some(secret) = environment.get("AZURE_CLIENT_SECRET") {
                let secret = secret.into();
                return Self::ClientSecret {
                    secret,
                    client,
                    tenant,
                };
            }
        }
        Self::Managed(client)
    }

    fn credentials(&self) -> Credentials {
        use CredentialSource as From;
        match self {
            Self::Account(_) => Credentials::new(From::Settings, "account key of the settings"),
            Self::ConnectionString(_) => {
                Credentials::new(From::Settings, "account key of the connection string")
            }
            Self::Signature(_) => Credentials::new(
                From::Settings,
                "shared access signature of the connection string",
            ),
            Self::Workload { file, client, .. } => Credentials::new(
                From::TokenFile,
                format!("workload identity (token file `{file}`, client `{client}`)"),
            ),
            Self::ClientSecret { client, .. } => Credentials::new(
                From::Login,
                format!("secret of client `{client}` (AZURE_CLIENT_SECRET)"),
            ),
            Self::Managed(None) => Credentials::new(From::Role, "managed identity of the system"),
            Self::Managed(Some(id)) => {
                Credentials::new(From::Role, format!("managed identity `{id}`"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(config: &AzureConfig, environment: &Environment) -> Account {
        Account::of(config, environment).unwrap()
    }

    fn of_text(text: &str) -> Result<Account, ConfigError> {
        let config = AzureConfig {
            connection_string: text.into(),
            ..AzureConfig::default()
        };
        Account::of(&config, &Environment::of([]))
    }

    #[test]
    fn connection_strings_are_read() {
        let account = of_text("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k==;EndpointSuffix=core.chinacloudapi.cn").unwrap();
        assert_eq!(account.endpoint, "https://a.blob.core.chinacloudapi.cn");
        assert_eq!(
            (account.name.as_str(), account.keys),
            ("a", Keys::ConnectionString("k==".into()))
        );
        let account = of_text(
            "BlobEndpoint=https://b.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x",
        )
        .unwrap();
        assert_eq!(account.endpoint, "https://b.blob.core.windows.net");
        assert_eq!(
            (account.name.as_str(), account.keys),
            ("b", Keys::Signature("sv=1&sig=x".into()))
        );
        let error = of_text("AccountName=a").unwrap_err().to_string();
        assert_eq!(
            error,
            "`storage.azure.connection_string`: lacks AccountKey or SharedAccessSignature"
        );
        assert!(
            of_text("AccountKey=hush")
                .unwrap_err()
                .to_string()
                .ends_with("lacks AccountName or BlobEndpoint")
        );
    }

    #[test]
    fn credentials_are_the_first_that_there_are() {
        let config = AzureConfig {
            account_name: "a".into(),
            ..AzureConfig::default()
        };
        let workload = [
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
            ("AZURE_CLIENT_SECRET", "hush"),
        ];
        let named = |config: &AzureConfig, environment: &Environment| {
            account(config, environment).keys.credentials().name
        };
        let none = Environment::of([]);
        assert_eq!(named(&config, &none), "managed identity of the system");
        assert_eq!(
            named(&config, &Environment::of(workload)),
            "workload identity (token file `/token`, client `c`)"
        );
        let [client, tenant, _, secret] = workload;
        assert_eq!(
            named(&config, &Environment::of([client, tenant, secret])),
            "secret of client `c` (AZURE_CLIENT_SECRET)"
        );
        let assigned = AzureConfig {
            user_assigned_id: "u".into(),
            ..config.clone()
        };
        assert_eq!(
            named(&assigned, &Environment::of(workload)),
            "managed identity `u`"
        );
        let key = AzureConfig {
            account_key: "k".into(),
            ..assigned
        };
        assert_eq!(
            named(&key, &Environment::of(workload)),
            "account key of the settings"
        );
        assert_eq!(
            account(&key, &none).endpoint,
            "https://a.blob.core.windows.net"
        );
    }
}
