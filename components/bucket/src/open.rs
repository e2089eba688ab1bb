//! Buckets from settings.

mod azure;
mod gcs;
mod s3;
mod swift;
mod url;

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Once};

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ClientOptions, RetryConfig};

use crate::bucket::{Bucket, Reads};
use crate::config::{Backend, Config, ConfigError, HttpConfig};
use crate::environment::Environment;
use crate::metrics::Metrics;
use crate::place::{Credentials, Place, Store};
use crate::source::{Fixed, Open, Opened, Source};

/// A round trip to a cloud takes as long as this many bytes.
const FAR: Reads = Reads {
    gap: 256 << 10,
    concurrency: 16,
};
/// A page that is read anyway.
const NEAR: Reads = Reads {
    gap: 4 << 10,
    concurrency: 4,
};

/// We try again ourselves: we count, we know the caller's patience, and we sign anew.
const ONCE: RetryConfig = RetryConfig {
    backoff: object_store::BackoffConfig {
        init_backoff: std::time::Duration::from_millis(1),
        max_backoff: std::time::Duration::from_millis(1),
        base: 2.0,
    },
    max_retries: 0,
    retry_timeout: std::time::Duration::ZERO,
};

impl Bucket {
    /// The bucket of these settings, with credentials of the process' environment where the settings have none. Clouds
    /// are not asked yet: their first operation does that, and says what is wrong.
    ///
    /// # Errors
    /// Names the setting that cannot hold; a directory that cannot be made or written to.
    pub fn open(config: &Config, metrics: &Metrics) -> Result<Self, ConfigError> {
        Self::open_in(config, &Environment::of_process(), metrics)
    }

    /// As [`Self::open`], in another environment.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(
        config: &Config,
        environment: &Environment,
        metrics: &Metrics,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let prefix = config.prefix.trim_matches('/');
        let (place, opener): (Place, Box<dyn Open>) = match config.backend {
            Backend::Filesystem => {
                let dir = &config.filesystem.dir;
                std::fs::create_dir_all(dir)
                    .and_then(|()| probe(dir))
                    .map_err(|error| directory_error(dir, &error))?;
                return directory(dir, prefix, metrics);
            }
            Backend::S3 => s3::opener(&config.s3, prefix, environment)?,
            Backend::Gcs => gcs::opener(&config.gcs, prefix, environment)?,
            Backend::Azure => azure::opener(&config.azure, prefix, environment)?,
            Backend::Swift => swift::opener(&config.swift, prefix, environment)?,
        };
        Ok(Self::new(source(place, opener, metrics), FAR))
    }

    /// A bucket that ends with the process.
    #[must_use]
    pub fn memory(metrics: &Metrics) -> Self {
        let place = Place {
            store: Store::Memory,
            bucket: "memory".to_owned(),
            prefix: String::new(),
            endpoint: String::new(),
            credentials: Credentials::default(),
        };
        let opened = Opened::with_parts(InMemory::new());
        Self::new(source(place, Box::new(Fixed(opened)), metrics), NEAR)
    }

    /// The bucket that a URL names, for tools: `s3://bucket/prefix?region=…&endpoint=…`, `gs://bucket/prefix`,
    /// `az://container/prefix?account_name=…`, `swift://container/prefix`, `file:///directory`, or a directory without
    /// more, which must exist. Credentials come from the environment.
    ///
    /// # Errors
    /// If it is no such URL, or no such directory.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        let config = url::config(url)?;
        let about_url = |error: ConfigError| ConfigError {
            key: url.to_owned(),
            problem: error.problem,
        };
        match config.backend {
            Backend::Filesystem => directory(&config.filesystem.dir, "", &Metrics::default()),
            Backend::S3 | Backend::Gcs | Backend::Azure | Backend::Swift => {
                Self::open(&config, &Metrics::default())
            }
        }
        .map_err(about_url)
    }

    /// A directory, which must exist.
    ///
    /// # Errors
    /// If it does not.
    pub fn filesystem(dir: &Path, metrics: &Metrics) -> Result<Self, ConfigError> {
        directory(dir, "", metrics)
    }
}

fn directory(dir: &Path, prefix: &str, metrics: &Metrics) -> Result<Bucket, ConfigError> {
    let store = LocalFileSystem::new_with_prefix(dir).map_err(|error| {
        let text = crate::watch::innermost(&error);
        ConfigError::new(
            "filesystem.dir",
            format!("directory {}: {text}", dir.display()),
        )
    })?;
    let place = Place {
        store: Store::Configured(Backend::Filesystem),
        bucket: dir.display().to_string(),
        prefix: prefix.to_owned(),
        endpoint: String::new(),
        credentials: Credentials::default(),
    };
    // What was put survives a power cut, and what was deleted leaves no empty directories.
    let store = store.with_fsync(true).with_automatic_cleanup(true);
    let opened = Opened::new(Arc::new(store));
    Ok(Bucket::new(
        source(place, Box::new(Fixed(opened)), metrics),
        NEAR,
    ))
}

fn source(place: Place, opener: Box<dyn Open>, metrics: &Metrics) -> Source {
    let metrics = metrics.of_bucket(&place.bucket);
    Source::new(place, metrics, opener)
}

/// Whether a directory can be written to is known at the start, not hours later. Others may try the same at this moment.
fn probe(dir: &Path) -> std::io::Result<()> {
    let unique = RandomState::new().hash_one(std::process::id());
    let file = dir.join(format!(".phlare-write-check-{unique:016x}"));
    std::fs::write(&file, b"")?;
    std::fs::remove_file(&file)
}

fn directory_error(dir: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError::new(
        "filesystem.dir",
        format!("directory {}: {error}", dir.display()),
    )
}

/// Longest time for a connection to be made.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(5);

fn client_options(http: &HttpConfig, plain: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(plain)
        // Nobody has to be trusted then, and an image that has no list of whom to trust must not keep it from working.
        .with_no_system_certificates(plain)
        .with_allow_invalid_certificates(http.insecure_skip_verify)
        .with_connect_timeout(CONNECT)
        // The whole of a large answer may take long; only silence is bounded.
        .with_timeout_disabled()
        .with_read_timeout(http.response_header_timeout)
        .with_pool_idle_timeout(http.idle_conn_timeout)
        .with_pool_max_idle_per_host(http.max_idle_connections_per_host)
}

/// `reqwest` is built without a TLS provider of its own, and panics if there is none.
fn provide_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may just have done the same.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
    });
}
