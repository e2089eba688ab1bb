//! Settings of the server.

use std::str::FromStr;
use std::time::Duration;

use clap::ArgAction;
use phlare_credentials::ServerTlsConfig;
use phlare_model::flag::go_bool;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

/// Settings of the server; YAML section `server`, flags `-server.*`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Least important lines that are logged: trace, debug, info, warn or error.
    #[arg(long = "log.level", value_name = "LEVEL")]
    pub log_level: LogLevel,

    /// How lines are logged: logfmt or json.
    #[arg(long = "log.format", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Address to listen on; empty is every address of the machine.
    #[arg(long = "server.http-listen-address", value_name = "ADDRESS")]
    pub http_listen_address: String,

    /// Port to listen on, for HTTP, Connect, gRPC and gRPC-web.
    #[arg(long = "server.http-listen-port", value_name = "PORT")]
    pub http_listen_port: u16,

    /// TLS of that port.
    #[command(flatten)]
    pub http_tls_config: ServerTlsConfig,

    /// Most connections at a time; 0 is unlimited.
    #[arg(long = "server.http-conn-limit", value_name = "COUNT")]
    pub http_listen_conn_limit: usize,

    /// How long the body of a request may take to arrive; 0 is unlimited.
    #[arg(long = "server.http-read-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub http_server_read_timeout: Duration,

    /// How long a request may take altogether: bounds every query; 0 is unlimited.
    #[arg(long = "server.http-write-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub http_server_write_timeout: Duration,

    /// How long a connection may wait for its next request, header included.
    #[arg(long = "server.http-idle-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub http_server_idle_timeout: Duration,

    /// How long requests may go on after the server was told to stop.
    #[arg(long = "server.graceful-shutdown-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub graceful_shutdown_timeout: Duration,

    /// Largest message that a gRPC client may send, in bytes.
    #[arg(long = "server.grpc-max-recv-msg-size-bytes", value_name = "BYTES")]
    pub grpc_server_max_recv_msg_size: usize,

    /// Most concurrent streams of one HTTP/2 connection.
    #[arg(long = "server.grpc-max-concurrent-streams", value_name = "COUNT")]
    pub grpc_server_max_concurrent_streams: u32,

    /// Logs every request at level info; otherwise only failed ones are logged, at warn.
    #[arg(long = "server.log-request-at-info-level-enabled", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub log_request_at_info_level_enabled: bool,

    /// Largest message of a call that has no limit of its own, in bytes, after decompression.
    #[arg(long = "server.max-message-bytes", value_name = "BYTES")]
    pub max_message_bytes: usize,

    /// Most bytes that the bodies of all requests in progress may take together.
    #[arg(long = "server.max-inflight-bytes", value_name = "BYTES")]
    pub max_inflight_bytes: usize,

    /// Threads for CPU work; 0 is one for each processor.
    #[arg(long = "server.cpu-threads", value_name = "COUNT")]
    pub cpu_threads: usize,

    /// Most pieces of CPU work that wait for a thread.
    #[arg(long = "server.cpu-queue", value_name = "COUNT")]
    pub cpu_queue: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log_level: LogLevel::Info,
            log_format: LogFormat::Logfmt,
            http_listen_address: String::new(),
            http_listen_port: 4040,
            http_tls_config: ServerTlsConfig::default(),
            http_listen_conn_limit: 0,
            http_server_read_timeout: Duration::from_secs(30),
            http_server_write_timeout: Duration::from_secs(30),
            http_server_idle_timeout: Duration::from_secs(120),
            graceful_shutdown_timeout: Duration::from_secs(30),
            grpc_server_max_recv_msg_size: 100 << 20,
            grpc_server_max_concurrent_streams: 100,
            log_request_at_info_level_enabled: false,
            max_message_bytes: 16 << 20,
            max_inflight_bytes: 512 << 20,
            cpu_threads: 0,
            cpu_queue: 1024,
        }
    }
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// Each request and profile.
    Debug,
    /// Changes of state.
    Info,
    /// What should not happen.
    Warn,
    /// What an operator must see to.
    Error,
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(format!(
                "`{text}` is no level: write trace, debug, info, warn or error"
            )),
        }
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is no format: write logfmt or json")),
        }
    }
}

/// A setting that cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`server.{key}` is {value}: {allowed}")]
pub struct ConfigError {
    /// The YAML key.
    pub key: &'static str,
    /// What was given.
    pub value: String,
    /// What would be right.
    pub allowed: &'static str,
}

impl Config {
    /// Whether the settings can hold.
    ///
    /// # Errors
    /// Names the first key that cannot, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let error = |key, value: String, allowed| {
            Err(ConfigError {
                key,
                value,
                allowed,
            })
        };
        if self.grpc_server_max_concurrent_streams == 0 {
            return error(
                "grpc_server_max_concurrent_streams",
                "0".into(),
                "must be at least 1",
            );
        }
        for (key, value) in [
            (
                "grpc_server_max_recv_msg_size",
                self.grpc_server_max_recv_msg_size,
            ),
            ("max_message_bytes", self.max_message_bytes),
        ] {
            if value < 1024 {
                return error(key, value.to_string(), "must be at least 1024 bytes");
            }
        }
        if self.max_inflight_bytes < self.max_message_bytes {
            let allowed = "must be at least `server.max_message_bytes`, or no message of that size could pass";
            return error(
                "max_inflight_bytes",
                self.max_inflight_bytes.to_string(),
                allowed,
            );
        }
        if self.http_server_idle_timeout.is_zero() {
            return error(
                "http_server_idle_timeout",
                "0s".into(),
                "must be more than 0s",
            );
        }
        Ok(())
    }
}

/// A timeout whose zero means none.
pub(crate) fn unless_zero(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    #[test]
    fn defaults_hold_and_survive_a_round_trip() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn flags_override_what_was_there() {
        let mut config = Config {
            http_listen_port: 1,
            ..Config::default()
        };
        let command = Config::augment_args_for_update(Command::new("test").no_binary_name(true));
        let flags = [
            "--server.http-read-timeout=1m",
            "--server.log-request-at-info-level-enabled",
            "--log.level=warn",
        ];
        config
            .update_from_arg_matches(&command.try_get_matches_from(flags).unwrap())
            .unwrap();
        let expected = Config {
            log_level: LogLevel::Warn,
            http_listen_port: 1,
            http_server_read_timeout: Duration::from_secs(60),
            log_request_at_info_level_enabled: true,
            ..Config::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn settings_that_cannot_hold_are_named() {
        let check = |config: Config, expected: &str| {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let ok = Config::default;
        check(
            Config {
                max_inflight_bytes: 2048,
                ..ok()
            },
            "`server.max_inflight_bytes` is 2048",
        );
        check(
            Config {
                max_message_bytes: 1,
                ..ok()
            },
            "`server.max_message_bytes` is 1",
        );
        check(
            Config {
                http_server_idle_timeout: Duration::ZERO,
                ..ok()
            },
            "`server.http_server_idle_timeout` is 0s",
        );
        check(
            Config {
                grpc_server_max_concurrent_streams: 0,
                ..ok()
            },
            "`server.grpc_server_max_concurrent_streams` is 0",
        );
    }
}
