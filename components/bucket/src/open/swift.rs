//! OpenStack Swift: who logs in, and how a container is opened with the token.

use futures_util::future::BoxFuture;
use object_store::client::HttpConnector;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{client_options, provide_tls};
use crate::config::{Backend, ConfigError, HttpConfig, Secret, SwiftConfig};
use crate::environment::Environment;
use crate::error::{ErrorKind, Failure};
use crate::place::{CredentialSource, Credentials, Place, Store};
use crate::source::{Open, Opened};
use crate::swift::{Identity, Login, Swift};
use crate::watch::{Watch, innermost};

/// Servers take no longer lists of parts.
const MOST_PARTS: u64 = 900;

#[derive(Debug)]
struct Opener {
    login: Login,
    container: String,
    place: Place,
}

/// How it is opened, and how messages name it.
pub(super) fn opener(
    config: &SwiftConfig,
    prefix: &str,
    environment: &Environment,
) -> Result<(Place, Box<dyn Open>), ConfigError> {
    let (login, name) = Fields {
        config,
        environment,
    }
    .login()?;
    let place = Place {
        store: Store::Configured(Backend::Swift),
        bucket: config.container_name.clone(),
        prefix: prefix.to_owned(),
        endpoint: login.url.clone(),
        credentials: Credentials::new(CredentialSource::Login, name),
    };
    let opener = Opener {
        login,
        container: config.container_name.clone(),
        place: place.clone(),
    };
    Ok((place, Box::new(opener)))
}

impl Open for Opener {
    fn open<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            provide_tls();
            // The account may be elsewhere than the login.
            // Where the objects are is said by whoever checks the login: it may be encrypted.
            let options =
                client_options(&HttpConfig::default(), true).with_no_system_certificates(false);
            let client = Watch::default().connect(&options);
            let client =
                client.map_err(|error| Failure::new(ErrorKind::Other, innermost(&error)))?;
            let session = self.login.session(&client).await.map_err(|error| {
                let failure = Failure::of_store(&self.place, &error);
                let kind = match failure.transient {
                    true => failure.kind,
                    false => ErrorKind::PermissionDenied,
                };
                Failure {
                    kind,
                    exchange: Some(self.login.url.clone()),
                    ..failure
                }
            })?;
            let store = Swift::new(client, &session, &self.container);
            Ok(Opened {
                until: session.lasts.map(|lasts| Instant::now() + lasts),
                most_parts: MOST_PARTS,
                ..Opened::with_parts(store)
            })
        })
    }
}

/// Settings, and the variables of OpenStack's client where they are empty.
struct Fields<'a> {
    config: &'a SwiftConfig,
    environment: &'a Environment,
}

impl Fields<'_> {
    fn get(&self, field: &str, variable: &str) -> Option<String> {
        let set = Some(field.to_owned()).filter(|field| !field.is_empty());
        set.or_else(|| self.environment.get(variable))
    }

    fn secret(&self, field: &Secret, variable: &str) -> Option<Secret> {
        let set = Some(field.clone()).filter(|field| !field.is_empty());
        set.or_else(|| self.environment.get(variable).map(Secret::from))
    }

    /// The login, and how messages name who logs in.
    fn login(&self) -> Result<(Login, String), ConfigError> {
        let config = self.config;
        let missing =
            |key: &str, what: &str| Err(ConfigError::new(key, format!("is empty: {what}")));
        let Some(url) = self.get(&config.auth_url, "OS_AUTH_URL") else {
            return missing(
                "swift.auth_url",
                "give the URL of the login, or OS_AUTH_URL",
            );
        };
        let url = url.trim_end_matches('/');
        let last = url.rsplit('/').next().unwrap_or_default();
        let is_plain = match config.auth_version {
            0 => last.starts_with("v1"),
            version => version == 1,
        };
        if is_plain {
            let Some(name) = self.get(&config.username, "OS_USERNAME") else {
                return missing("swift.username", "name who logs in");
            };
            let Some(secret) = self.secret(&config.password, "OS_PASSWORD") else {
                return missing("swift.password", "give the user's password");
            };
            let named = format!("login of user `{name}`");
            let identity = Identity::Plain { name, secret };
            let login = Login {
                url: url.to_owned(),
                identity,
                region: None,
            };
            return Ok((login, named));
        }
        let (auth, secret, named) = self.keystone()?;
        let login = Login {
            url: if last == "v3" {
                url.to_owned()
            } else {
                format!("{url}/v3")
            },
            identity: Identity::Keystone { auth, secret },
            region: self.get(&config.region_name, "OS_REGION_NAME"),
        };
        Ok((login, named))
    }

    /// `auth` of Keystone's request without the secret, the secret, and how messages name who logs in.
    fn keystone(&self) -> Result<(Value, Secret, String), ConfigError> {
        let config = self.config;
        let application = self.secret(
            &config.application_credential_secret,
            "OS_APPLICATION_CREDENTIAL_SECRET",
        );
        if let Some(secret) = application {
            let id = self.get(
                &config.application_credential_id,
                "OS_APPLICATION_CREDENTIAL_ID",
            );
            let name = self.get(
                &config.application_credential_name,
                "OS_APPLICATION_CREDENTIAL_NAME",
            );
            let (credential, named) = match (id, name) {
                (Some(id), _) => (json!({ "id": id }), id),
                (None, Some(name)) => (json!({ "name": name, "user": self.user()? }), name),
                (None, None) => {
                    let problem = "is empty: give it or `application_credential_name`";
                    return Err(ConfigError::new("swift.application_credential_id", problem));
                }
            };
            let auth = json!({
                "identity": { "methods": ["application_credential"], "application_credential": credential },
            });
            return Ok((auth, secret, format!("application credential `{named}`")));
        }
        let user = self.user()?;
        let named = user
            .get("name")
            .or_else(|| user.get("id"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let named = format!("login of user `{named}`");
        let Some(secret) = self.secret(&config.password, "OS_PASSWORD") else {
            let problem = "is empty: give the user's password, or an application credential";
            return Err(ConfigError::new("swift.password", problem));
        };
        let mut auth =
            json!({ "identity": { "methods": ["password"], "password": { "user": user } } });
        if let (Some(project), Some(auth)) = (self.project(), auth.as_object_mut()) {
            auth.insert("scope".to_owned(), json!({ "project": project }));
        }
        Ok((auth, secret, named))
    }

    fn user(&self) -> Result<Value, ConfigError> {
        let config = self.config;
        if let Some(id) = self.get(&config.user_id, "OS_USER_ID") {
            return Ok(json!({ "id": id }));
        }
        let Some(name) = self.get(&config.username, "OS_USERNAME") else {
            return Err(ConfigError::new(
                "swift.username",
                "is empty: name who logs in",
            ));
        };
        let domain = self.domain(
            self.get(&config.user_domain_id, "OS_USER_DOMAIN_ID"),
            self.get(&config.user_domain_name, "OS_USER_DOMAIN_NAME"),
        );
        Ok(json!({ "name": name, "domain": domain }))
    }

    fn project(&self) -> Option<Value> {
        let config = self.config;
        if let Some(id) = self.get(&config.project_id, "OS_PROJECT_ID") {
            return Some(json!({ "id": id }));
        }
        let name = self.get(&config.project_name, "OS_PROJECT_NAME")?;
        let domain = self.domain(
            self.get(&config.project_domain_id, "OS_PROJECT_DOMAIN_ID"),
            self.get(&config.project_domain_name, "OS_PROJECT_DOMAIN_NAME"),
        );
        Some(json!({ "name": name, "domain": domain }))
    }

    /// A domain of its own, or the one of both, or Keystone's first.
    fn domain(&self, id: Option<String>, name: Option<String>) -> Value {
        let config = self.config;
        let both_id = self.get(&config.domain_id, "OS_DOMAIN_ID");
        let both_name = self.get(&config.domain_name, "OS_DOMAIN_NAME");
        match (id, name, both_id, both_name) {
            (Some(id), _, _, _) | (None, None, Some(id), _) => json!({ "id": id }),
            (None, Some(name), _, _) | (None, None, None, Some(name)) => json!({ "name": name }),
            (None, None, None, None) => json!({ "id": "default" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(
        config: &SwiftConfig,
        environment: &Environment,
    ) -> Result<(Login, String), ConfigError> {
        Fields {
            config,
            environment,
        }
        .login()
    }

    #[track_caller]
    fn check(
        config: &SwiftConfig,
        environment: &Environment,
        url: &str,
        named: &str,
        expected: Value,
    ) {
        let (login, name) = login(config, environment).unwrap();
        assert_eq!((login.url.as_str(), name.as_str()), (url, named));
        match login.identity {
            Identity::Keystone { auth, .. } => assert_eq!(auth, expected),
            Identity::Plain { name, .. } => assert_eq!(json!(name), expected),
        }
    }

    #[test]
    fn logins_are_what_openstacks_client_sends() {
        let config = SwiftConfig {
            auth_url: "https://keystone:5000".into(),
            username: "u".into(),
            password: "hush".into(),
            project_name: "p".into(),
            domain_name: "d".into(),
            ..SwiftConfig::default()
        };
        let none = Environment::of([]);
        let d = json!({ "name": "d" });
        check(
            &config,
            &none,
            "https://keystone:5000/v3",
            "login of user `u`",
            json!({
                "identity": { "methods": ["password"], "password": { "user": { "name": "u", "domain": d } } },
                "scope": { "project": { "name": "p", "domain": d } },
            }),
        );
        let variables = Environment::of([
            ("OS_AUTH_URL", "https://keystone/v3/"),
            ("OS_APPLICATION_CREDENTIAL_ID", "a"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "hush"),
        ]);
        check(
            &SwiftConfig::default(),
            &variables,
            "https://keystone/v3",
            "application credential `a`",
            json!({ "identity": { "methods": ["application_credential"], "application_credential": { "id": "a" } } }),
        );
        let plain = SwiftConfig {
            auth_url: "http://swift:8080/auth/v1.0".into(),
            username: "test:tester".into(),
            password: "hush".into(),
            ..SwiftConfig::default()
        };
        check(
            &plain,
            &none,
            "http://swift:8080/auth/v1.0",
            "login of user `test:tester`",
            json!("test:tester"),
        );
    }

    #[test]
    fn what_a_login_lacks_is_named() {
        let lacks = |config: &SwiftConfig, expected: &str| {
            let error = login(config, &Environment::of([])).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let mut config = SwiftConfig::default();
        lacks(&config, "`storage.swift.auth_url`");
        config.auth_url = "https://keystone".into();
        lacks(&config, "`storage.swift.username`");
        config.username = "u".into();
        lacks(&config, "`storage.swift.password`");
        config.application_credential_secret = "hush".into();
        lacks(&config, "`storage.swift.application_credential_id`");
    }
}
