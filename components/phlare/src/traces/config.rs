//! What the settings and the environment say of traces.

use std::time::Duration;

use anyhow::bail;
use clap::ArgAction;
use phlare_model::flag::go_bool;
use serde::{Deserialize, Serialize};

/// Settings of traces; YAML section `tracing`, flags `-tracing.*`.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Sends spans of requests to a collector over OTLP (gRPC). The environment variables of OpenTelemetry apply:
    /// `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_BSP_*`.
    #[arg(id = "tracing.enabled", long = "tracing.enabled", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub(crate) enabled: bool,

    /// Where the collector is, `http://host:4317`; empty is what the environment says, else this machine.
    #[arg(id = "tracing.endpoint", long = "tracing.endpoint", value_name = "URL")]
    pub(crate) endpoint: String,
}

/// What the environment says, beyond what the libraries read themselves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Environment {
    /// No spans, whatever the settings say.
    pub(super) is_off: bool,
    /// The service has a name.
    pub(super) has_name: bool,
    /// File with certificates to trust.
    pub(super) certificate: Option<String>,
    /// Most spans that wait, and that are sent at once.
    pub(super) queue: usize,
    pub(super) batch: usize,
    /// How often they are sent, and how long that may take.
    pub(super) every: Duration,
    pub(super) within: Duration,
}

/// Sooner is later than this for nobody.
const SHORTEST: Duration = Duration::from_millis(10);

impl Environment {
    /// Errors name the variable that makes no sense: a trace that silently does not appear costs more than a start.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let text = variable(name).map(|text| text.trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        let of_traces = |name: &str| {
            let own = text(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
            own.or_else(|| text(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let number = |name: &str, default: u64| match text(name) {
            None => Ok(default),
            Some(text) => match text.parse::<u64>() {
                Ok(number) if number > 0 => Ok(number),
                _ => bail!("{name} is {text:?}: a whole number above 0"),
            },
        };
        let exporter = text("OTEL_TRACES_EXPORTER");
        match exporter.as_deref() {
            None | Some("otlp" | "none") => {}
            Some(other) => bail!("OTEL_TRACES_EXPORTER is {other:?}: `otlp` or `none`"),
        }
        match of_traces("PROTOCOL").as_deref() {
            None | Some("grpc") => {}
            Some(other) => bail!("OTEL_EXPORTER_OTLP_PROTOCOL is {other:?}: only `grpc` is spoken"),
        }
        check_sampler(text("OTEL_TRACES_SAMPLER"), text("OTEL_TRACES_SAMPLER_ARG"))?;
        let attributes = text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let names_service = |pair: &str| pair.trim_start().starts_with("service.name=");
        let off = text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let queue = usize::try_from(number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)?)?;
        let batch = usize::try_from(number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?)?;
        let every = Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 5_000)?);
        let within = Duration::from_millis(number("OTEL_BSP_EXPORT_TIMEOUT", 30_000)?);
        Ok(Self {
            is_off: off || exporter.as_deref() == Some("none"),
            has_name: text("OTEL_SERVICE_NAME").is_some()
                || attributes.split(',').any(names_service),
            certificate: of_traces("CERTIFICATE"),
            queue: queue.min(tokio::sync::Semaphore::MAX_PERMITS),
            batch: batch.min(queue),
            every: every.max(SHORTEST),
            within: within.max(SHORTEST),
        })
    }
}

fn check_sampler(sampler: Option<String>, argument: Option<String>) -> anyhow::Result<()> {
    let takes_ratio = match sampler.as_deref() {
        None
        | Some("always_on" | "always_off" | "parentbased_always_on" | "parentbased_always_off") => {
            false
        }
        Some("traceidratio" | "parentbased_traceidratio") => true,
        Some(other) => bail!(
            "OTEL_TRACES_SAMPLER is {other:?}: always_on, always_off, traceidratio, or one of them after `parentbased_`"
        ),
    };
    let ratio = argument.as_deref().map(str::parse::<f64>);
    let fits = matches!(&ratio, Some(Ok(ratio)) if (0.0..=1.0).contains(ratio));
    if takes_ratio && !fits {
        bail!(
            "OTEL_TRACES_SAMPLER_ARG is {:?}: a number from 0 to 1",
            argument.unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, String> {
        let value = |name: &str| {
            let known = variables.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| (*value).to_owned())
        };
        Environment::read(value).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_said_is_the_standard() {
        let environment = read(&[]).unwrap();
        assert_eq!((environment.queue, environment.batch), (2048, 512));
        assert!(!environment.is_off && !environment.has_name);
    }

    #[test]
    fn the_environment_switches_off_and_names() {
        assert!(read(&[("OTEL_SDK_DISABLED", "True")]).unwrap().is_off);
        assert!(read(&[("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_off);
        assert!(read(&[("OTEL_SERVICE_NAME", "x")]).unwrap().has_name);
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=x");
        assert!(read(&[attributes]).unwrap().has_name);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (variables, said) in [
            (&[("OTEL_TRACES_EXPORTER", "jaeger")][..], "`otlp`"),
            (
                &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
                "`grpc`",
            ),
            (&[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "x")], "`grpc`"),
            (&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")], "MAX_QUEUE_SIZE"),
            (&[("OTEL_TRACES_SAMPLER", "xray")], "\"xray\""),
            (&[("OTEL_TRACES_SAMPLER", "traceidratio")], "from 0 to 1"),
            (
                &[
                    ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                    ("OTEL_TRACES_SAMPLER_ARG", "7"),
                ],
                "\"7\"",
            ),
        ] {
            let error = read(variables).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
