//! A pprof that came by `/ingest` (api.md 4.3).

use bytes::Bytes;
use phlare_model::labels::names::{DELTA, SERVICE_NAME, SESSION_ID, SPY};
use phlare_pprof::ScriptNames;
use phlare_proto::types::v1::LabelPair;
use phlare_server::Status;

use super::form::Form;
use super::params::Params;
use super::sample_types::SampleTypes;
use crate::app_name::AppName;
use crate::batch::{Sample, Series};
use crate::pipeline::Hints;

/// The series of a form; none if the profile is missing or empty.
pub(crate) fn series(params: Params, form: Form) -> Result<Vec<Series>, Status> {
    let types = SampleTypes::parse(form.sample_type_config.as_deref().unwrap_or_default())?;
    let Some(raw) = form.profile.filter(|profile| !profile.is_empty()) else {
        return Ok(Vec::new());
    };
    let Params {
        app, timing, spy, ..
    } = params;
    let hints = Hints {
        time_of_1970_ns: Some(timing.time_ns),
        script_names: match spy.as_str() {
            "pyspy" => Some(ScriptNames::RelativeFiles),
            "rbspy" | "scripting" => Some(ScriptNames::All),
            _ => None,
        },
        dotnet: spy == "dotnetspy" || (spy == "unknown" && types.is_dotnet()),
        name: Some(types),
    };
    Ok(vec![one(labels(&app.name, app.tags, &spy), raw, hints)])
}

/// A series with one profile.
pub(crate) fn one(labels: Vec<LabelPair>, raw: Bytes, hints: Hints) -> Series {
    Series {
        labels,
        samples: vec![Sample {
            raw,
            id: String::new(),
        }],
        hints,
    }
}

/// The labels that every profile of this route has. Tags that begin with `__` are the server's to set.
pub(crate) fn labels(
    service: &str,
    tags: impl IntoIterator<Item = (String, String)>,
    spy: &str,
) -> Vec<LabelPair> {
    let mut labels = vec![label(DELTA, "false"), label(SPY, spy)];
    let allowed = |(name, _): &(String, String)| !name.starts_with("__") || name == SESSION_ID;
    labels.extend(
        tags.into_iter()
            .filter(allowed)
            .map(|(name, value)| LabelPair { name, value }),
    );
    if !labels
        .iter()
        .any(|label| label.name == SERVICE_NAME && !label.value.is_empty())
    {
        labels.push(label(SERVICE_NAME, service));
    }
    labels
}

pub(crate) fn label(name: &str, value: &str) -> LabelPair {
    LabelPair {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// Whether a tag names the service.
pub(crate) fn names_service(app: &AppName) -> bool {
    app.tags
        .get(SERVICE_NAME)
        .is_some_and(|service| !service.is_empty())
}
