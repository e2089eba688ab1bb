//! Amazon S3, and what speaks like it: endpoint, region, credentials.

use futures_util::future::BoxFuture;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use super::{ONCE, client_options, provide_tls};
use crate::config::{Backend, ConfigError, Lookup, S3Config};
use crate::environment::Environment;
use crate::error::{ErrorKind, Failure};
use crate::place::{CredentialSource, Credentials, Place, Store};
use crate::source::{Open, Opened};
use crate::watch::{Watch, innermost};

/// What is taken for the region if nobody names one: the name that stores of others answer to.
const COMMON: &str = "us-east-1";

/// A bucket in S3.
#[derive(Debug)]
struct S3 {
    config: S3Config,
    address: Address,
    keys: Keys,
    environment: Environment,
}

/// How it is opened, and how messages name it.
pub(super) fn opener(
    config: &S3Config,
    prefix: &str,
    environment: &Environment,
) -> Result<(Place, Box<dyn Open>), ConfigError> {
    let address = Address::of(config, environment);
    let keys = Keys::of(config, environment);
    let place = Place {
        store: Store::Configured(Backend::S3),
        bucket: config.bucket_name.clone(),
        prefix: prefix.to_owned(),
        endpoint: address.url(address.region.as_deref().unwrap_or(COMMON)),
        credentials: keys.credentials(),
    };
    let s3 = S3 {
        config: config.clone(),
        address,
        keys,
        environment: environment.clone(),
    };
    // What cannot be built now cannot be built later either.
    s3.build(None)
        .map_err(|failure| ConfigError::new("s3", failure.to_string()))?;
    Ok((place, Box::new(s3)))
}

impl Open for S3 {
    fn open<'a>(&'a self, region: Option<&'a str>) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { self.build(region) })
    }

    fn follows_region(&self) -> bool {
        // A region that somebody wrote down is not silently another one.
        self.config.region.is_empty()
    }
}

impl S3 {
    fn build(&self, region: Option<&str>) -> Result<Opened, Failure> {
        provide_tls();
        let region = region.or(self.address.region.as_deref()).unwrap_or(COMMON);
        let (endpoint, in_host) = self.address.of_bucket(&self.config.bucket_name, region);
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&self.config.bucket_name)
            .with_region(region)
            .with_endpoint(endpoint)
            .with_virtual_hosted_style_request(in_host)
            .with_allow_http(!self.address.encrypted)
            .with_client_options(client_options(&self.config.http, !self.address.encrypted))
            .with_retry(ONCE)
            // One key at a time, so that its refusal is a status.
            .with_disable_bulk_delete(true)
            .with_http_connector(Watch::default());
        let builder = self.keys.give(builder, &self.environment);
        let builder = self.exchange(builder, region);
        let store = self.encrypt(builder).build();
        let store =
            store.map_err(|error| Failure::new(ErrorKind::Misconfigured, innermost(&error)))?;
        Ok(Opened {
            region: Some(region.to_owned()),
            ..Opened::with_parts(store)
        })
    }

    /// Where web identities are exchanged.
    fn exchange(&self, builder: AmazonS3Builder, region: &str) -> AmazonS3Builder {
        let named = Some(self.config.sts_endpoint.clone()).filter(|url| !url.is_empty());
        let url = named.or_else(|| self.environment.get("AWS_ENDPOINT_URL_STS"));
        let china = region
            .starts_with("cn-")
            .then(|| format!("https://sts.{region}.amazonaws.com.cn"));
        match url.or(china) {
            Some(url) => builder.with_config(AmazonS3ConfigKey::StsEndpoint, url),
            None => builder,
        }
    }

    fn encrypt(&self, builder: AmazonS3Builder) -> AmazonS3Builder {
        let kind = match self.config.sse.kind.as_str() {
            "SSE-S3" => "AES256",
            "SSE-KMS" => "aws:kms",
            _ => return builder,
        };
        // The library does not export the type of these keys, only their names.
        let mut builder = builder;
        let key = self.config.sse.kms_key_id.as_str();
        for (name, value) in [
            ("aws_server_side_encryption", kind),
            ("aws_sse_kms_key_id", key),
        ] {
            if let (Ok(name), false) = (name.parse(), value.is_empty()) {
                builder = builder.with_config(name, value);
            }
        }
        builder
    }
}

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    /// Host and port; empty is Amazon's of the region.
    host: String,
    encrypted: bool,
    /// Whether the name of the bucket goes into the host.
    in_host: bool,
    region: Option<String>,
}

impl Address {
    fn of(config: &S3Config, environment: &Environment) -> Self {
        let (scheme, host) = match config.endpoint.split_once("://") {
            Some((scheme, host)) => (scheme, host),
            None if config.insecure => ("http", config.endpoint.as_str()),
            None => ("https", config.endpoint.as_str()),
        };
        let host = host.trim_end_matches('/');
        // Some write the bucket into the endpoint.
        let bucket = format!("{}.", config.bucket_name);
        let host = match is_amazon(host) {
            true => host.strip_prefix(&bucket).unwrap_or(host),
            false => host,
        };
        let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let region = set(&config.region)
            .or_else(|| region_in(host).map(str::to_owned))
            .or_else(|| environment.get("AWS_REGION"))
            .or_else(|| environment.get("AWS_DEFAULT_REGION"));
        let in_host = match config.bucket_lookup_type {
            Lookup::PathStyle => false,
            Lookup::VirtualHostedStyle => true,
            // Amazon's certificates cover one label before the host.
            Lookup::Auto => {
                let wants = host.is_empty() || is_amazon(host) || host.contains(".aliyuncs.com");
                wants && !config.bucket_name.contains('.')
            }
        };
        Self {
            // This one is for all regions, and sends on those who ask for another than its own.
            host: if host == "s3.amazonaws.com" {
                String::new()
            } else {
                host.to_owned()
            },
            encrypted: scheme == "https",
            in_host,
            region,
        }
    }

    fn host(&self, region: &str) -> String {
        match self.host.as_str() {
            "" if region.starts_with("cn-") => format!("s3.{region}.amazonaws.com.cn"),
            "" => format!("s3.{region}.amazonaws.com"),
            host => host.to_owned(),
        }
    }

    fn url(&self, region: &str) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.host(region))
    }

    /// The endpoint as the library wants it, and whether the bucket is part of its host.
    fn of_bucket(&self, bucket: &str, region: &str) -> (String, bool) {
        let url = self.url(region);
        match url.split_once("://") {
            Some((scheme, host)) if self.in_host => (format!("{scheme}://{bucket}.{host}"), true),
            _ => (url, false),
        }
    }
}

fn is_amazon(host: &str) -> bool {
    let host = host.split(':').next().unwrap_or_default();
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

/// The region in one of Amazon's hosts: `s3.eu-west-1.…`, `s3-eu-west-1.…`, `s3.dualstack.eu-west-1.…`.
fn region_in(host: &str) -> Option<&str> {
    if !is_amazon(host) {
        return None;
    }
    let mut labels = host
        .split('.')
        .skip_while(|label| *label != "s3" && !label.starts_with("s3-"));
    let service = labels.next()?;
    match service.strip_prefix("s3-") {
        Some(region) if !["fips", "accelerate"].contains(&region) => return Some(region),
        _ => {}
    }
    let region = labels.find(|label| *label != "dualstack")?;
    (region != "amazonaws").then_some(region)
}

/// Where the keys come from, the first that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Keys {
    Settings {
        id: String,
        secret: crate::config::Secret,
        token: crate::config::Secret,
    },
    Environment {
        id: String,
        secret: crate::config::Secret,
        token: crate::config::Secret,
    },
    WebIdentity {
        file: String,
        role: String,
    },
    ContainerPath(String),
    ContainerUri {
        uri: String,
        file: String,
    },
    Instance,
}

impl Keys {
    fn of(config: &S3Config, environment: &Environment) -> Self {
        let get = |name| environment.get(name);
        if !config.access_key_id.is_empty() && !config.native_aws_auth_enabled {
            return Self::Settings {
                id: config.access_key_id.trim().to_owned(),
                secret: config.secret_access_key.clone(),
                token: config.session_token.clone(),
            };
        }
        if let (Some(id), Some(secret)) = (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
            let token = get("AWS_SESSION_TOKEN").unwrap_or_default();
            return Self::Environment {
                id,
                secret: secret.into(),
                token: token.into(),
            };
        }
        if let (Some(file), Some(role)) = (get("AWS_WEB_IDENTITY_TOKEN_FILE"), get("AWS_ROLE_ARN"))
        {
            return Self::WebIdentity { file, role };
        }
        if let Some(path) = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            return Self::ContainerPath(path);
        }
        let uri = get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        if let (Some(uri), Some(file)) = (uri, get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
            return Self::ContainerUri { uri, file };
        }
        Self::Instance
    }

    fn credentials(&self) -> Credentials {
        use CredentialSource as From;
        match self {
            Self::Settings { .. } => {
                Credentials::new(From::Settings, "static keys of the settings")
            }
            Self::Environment { .. } => Credentials::new(
                From::Environment,
                "static keys of the environment (AWS_ACCESS_KEY_ID)",
            ),
            Self::WebIdentity { file, role } => Credentials::new(
                From::TokenFile,
                format!("web identity (token file `{file}`, role `{role}`)"),
            ),
            Self::ContainerPath(_) => Credentials::new(
                From::Role,
                "role of the container (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI)",
            ),
            Self::ContainerUri { file, .. } => Credentials::new(
                From::TokenFile,
                format!("pod identity (token file `{file}`)"),
            ),
            Self::Instance => Credentials::new(From::Role, "role of the instance"),
        }
    }

    fn give(&self, builder: AmazonS3Builder, environment: &Environment) -> AmazonS3Builder {
        use AmazonS3ConfigKey as Key;
        match self {
            Self::Settings { id, secret, token } | Self::Environment { id, secret, token } => {
                let builder = builder
                    .with_access_key_id(id)
                    .with_secret_access_key(secret.expose());
                match token.expose() {
                    "" => builder,
                    token => builder.with_token(token),
                }
            }
            Self::WebIdentity { file, role } => {
                let builder = builder
                    .with_config(Key::WebIdentityTokenFile, file)
                    .with_config(Key::RoleArn, role);
                match environment.get("AWS_ROLE_SESSION_NAME") {
                    Some(name) => builder.with_config(Key::RoleSessionName, name),
                    None => builder.with_config(Key::RoleSessionName, "phlare"),
                }
            }
            Self::ContainerPath(path) => {
                builder.with_config(Key::ContainerCredentialsRelativeUri, path)
            }
            Self::ContainerUri { uri, file } => builder
                .with_config(Key::ContainerCredentialsFullUri, uri)
                .with_config(Key::ContainerAuthorizationTokenFile, file),
            Self::Instance => match environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
                Some(url) => builder.with_metadata_endpoint(url.trim_end_matches('/')),
                None => builder,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(endpoint: &str, region: &str, bucket: &str) -> Address {
        let config = S3Config {
            endpoint: endpoint.to_owned(),
            region: region.to_owned(),
            bucket_name: bucket.to_owned(),
            ..S3Config::default()
        };
        Address::of(&config, &Environment::of([("AWS_REGION", "env-1")]))
    }

    #[track_caller]
    fn check(endpoint: &str, region: &str, bucket: &str, expected: &str) {
        let address = address(endpoint, region, bucket);
        let region = address.region.clone().unwrap();
        let (url, in_host) = address.of_bucket(bucket, &region);
        assert_eq!(format!("{region} {url} {in_host}"), expected, "{endpoint}");
    }

    #[test]
    fn endpoints_are_what_people_write() {
        check("", "", "b", "env-1 https://b.s3.env-1.amazonaws.com true");
        check(
            "",
            "eu-west-1",
            "b",
            "eu-west-1 https://b.s3.eu-west-1.amazonaws.com true",
        );
        check(
            "",
            "cn-north-1",
            "b",
            "cn-north-1 https://b.s3.cn-north-1.amazonaws.com.cn true",
        );
        check(
            "s3.amazonaws.com",
            "eu-west-1",
            "b",
            "eu-west-1 https://b.s3.eu-west-1.amazonaws.com true",
        );
        check(
            "s3.eu-west-1.amazonaws.com",
            "",
            "b",
            "eu-west-1 https://b.s3.eu-west-1.amazonaws.com true",
        );
        check(
            "s3-eu-west-1.amazonaws.com",
            "",
            "b",
            "eu-west-1 https://b.s3-eu-west-1.amazonaws.com true",
        );
        check(
            "https://b.s3.eu-west-1.amazonaws.com/",
            "",
            "b",
            "eu-west-1 https://b.s3.eu-west-1.amazonaws.com true",
        );
        check(
            "s3.dualstack.us-west-2.amazonaws.com",
            "",
            "b",
            "us-west-2 https://b.s3.dualstack.us-west-2.amazonaws.com true",
        );
        check(
            "",
            "eu-west-1",
            "a.b",
            "eu-west-1 https://s3.eu-west-1.amazonaws.com false",
        );
        check("minio:9000", "", "b", "env-1 https://minio:9000 false");
        check(
            "http://minio:9000/",
            "",
            "b",
            "env-1 http://minio:9000 false",
        );
    }

    #[test]
    fn credentials_are_the_first_that_there_are() {
        let all = [
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_ROLE_ARN", "arn"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/c"),
        ];
        let named = |config: &S3Config, environment: &Environment| {
            Keys::of(config, environment).credentials().name
        };
        let keys = S3Config {
            access_key_id: "id".into(),
            secret_access_key: "secret".into(),
            ..S3Config::default()
        };
        let none = S3Config::default();
        assert_eq!(
            named(&keys, &Environment::of(all)),
            "static keys of the settings"
        );
        let native = S3Config {
            native_aws_auth_enabled: true,
            ..keys
        };
        let from_environment = "static keys of the environment (AWS_ACCESS_KEY_ID)";
        assert_eq!(named(&native, &Environment::of(all)), from_environment);
        assert_eq!(named(&none, &Environment::of(all)), from_environment);
        let [_, _, file, role, path] = all;
        assert_eq!(
            named(&none, &Environment::of([file, role, path])),
            "web identity (token file `/token`, role `arn`)"
        );
        assert!(named(&none, &Environment::of([path])).starts_with("role of the container"));
        assert_eq!(named(&none, &Environment::of([])), "role of the instance");
    }
}
