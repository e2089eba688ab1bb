//! Settings of the distributor.

use std::time::Duration;

use phlare_model::time::duration;
use phlare_ring::DistributorRing;
use serde::{Deserialize, Serialize};

/// Settings of the distributor; YAML section `distributor`, flags `-distributor.*`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a push may wait until what it brought is durable.
    #[arg(long = "distributor.push.timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration", rename = "pushtimeout")]
    pub push_timeout: Duration,

    /// Bytes of profiles that may be on their way to ingesters; more are refused until some have arrived.
    #[arg(
        id = "distributor.max-inflight-bytes",
        long = "distributor.max-inflight-bytes",
        value_name = "BYTES"
    )]
    pub max_inflight_bytes: usize,

    /// Those who share the tenants' rate limits.
    #[command(flatten)]
    pub ring: DistributorRing,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            push_timeout: Duration::from_secs(5),
            max_inflight_bytes: 256 << 20,
            ring: DistributorRing::default(),
        }
    }
}

/// Settings that cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No push could ever succeed.
    #[error("`distributor.pushtimeout` is 0: no push could be acknowledged; the default is 5s")]
    NoTime,
}

impl Config {
    /// Whether the settings can hold.
    ///
    /// # Errors
    /// Names the key that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.push_timeout.is_zero() {
            Err(ConfigError::NoTime)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yaml_key_is_upstreams() {
        let config: Config = serde_json::from_str(r#"{"pushtimeout": "30s"}"#).unwrap();
        assert_eq!(config.push_timeout, Duration::from_secs(30));
        assert_eq!(
            serde_json::from_str::<Config>("{}").unwrap(),
            Config::default()
        );
        assert!(serde_json::from_str::<Config>(r#"{"push_timeout": "30s"}"#).is_err());
    }

    #[test]
    fn a_push_needs_time() {
        assert_eq!(
            Config {
                push_timeout: Duration::ZERO,
                ..Config::default()
            }
            .validate(),
            Err(ConfigError::NoTime)
        );
        assert_eq!(Config::default().validate(), Ok(()));
    }
}
