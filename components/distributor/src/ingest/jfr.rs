//! A JFR recording: a profile for each kind of event in it (api.md 4.5).

use std::borrow::Cow;

use bytes::Bytes;
use phlare_formats::{Error, SampleRate, jfr};
use phlare_model::ErrorKind;
use phlare_model::labels::names::{APP_NAME, JFR_EVENT, NAME};
use phlare_pprof::gzip::{Inflater, is_gzip};
use phlare_server::Status;
use phlare_tenancy::Limits;

use super::form::Form;
use super::params::Params;
use super::pprof::{label, labels, names_service, one};
use super::select::Selection;
use super::text::format_limits;
use crate::batch::Series;
use crate::metrics::Metrics;
use crate::pipeline::Hints;

/// What a client sends: each part may be gzip.
#[derive(Debug)]
pub(crate) struct Upload {
    recording: Bytes,
    labels: Bytes,
}

impl Upload {
    /// A body that is the recording.
    pub(crate) fn of_recording(recording: Bytes) -> Self {
        Self {
            recording,
            labels: Bytes::new(),
        }
    }

    /// A form, as the Java agent sends it.
    pub(crate) fn of_form(form: Form) -> Result<Self, Status> {
        let Some(recording) = form.jfr else {
            let message =
                "the multipart/form-data body has no part `jfr`, which holds the recording";
            return Err(Status::new(ErrorKind::Unprocessable, message));
        };
        Ok(Self {
            recording,
            labels: form.labels.unwrap_or_default(),
        })
    }
}

/// The series of a recording; none if there is nothing in it.
pub(crate) fn series(
    params: &Params,
    upload: &Upload,
    selection: &Selection,
    limits: &Limits,
    metrics: &Metrics,
) -> Result<Vec<Series>, Status> {
    let refused = |error: &Error| selection.refusal(error, &upload.recording);
    let formats = format_limits(limits);
    let recording_limit = Limit {
        name: "ingestion_body_limit_mb",
        bytes: limits.ingestion_body_limit_bytes().unwrap_or(usize::MAX),
    };
    // Labels become part of the profiles.
    let labels_limit = Limit {
        name: "max_profile_size_bytes",
        bytes: formats.profile_bytes,
    };
    let snapshot = inflated(&upload.labels, "labels", &labels_limit, &refused)?;
    let snapshot = jfr::LabelsSnapshot::read(&snapshot).map_err(|error| refused(&error))?;
    let options = jfr::Options {
        limits: formats,
        rate: match params.names_rate {
            true => params.sample_rate,
            false => SampleRate::UNKNOWN,
        },
        timing: params.timing,
        labels: &snapshot,
    };
    let recording = inflated(&upload.recording, "recording", &recording_limit, &refused)?;
    let recording = jfr::parse(&recording, &options).map_err(|error| refused(&error))?;
    metrics.repaired("negative_value", recording.negative_values);
    let profiles = recording.profiles.into_iter().map(|profile| {
        let mut labels = labels(&params.app.name, params.app.tags.clone(), &params.spy);
        labels.push(label(NAME, profile.name));
        if !recording.event.is_empty() {
            labels.push(label(JFR_EVENT, &recording.event));
        }
        if names_service(&params.app) {
            labels.push(label(APP_NAME, &params.app.name));
        }
        one(labels, profile.pprof.into(), Hints::default())
    });
    Ok(profiles.collect())
}

struct Limit {
    name: &'static str,
    bytes: usize,
}

/// The content of a part, which ends where the limit is.
fn inflated<'a>(
    part: &'a [u8],
    what: &str,
    limit: &Limit,
    refused: &impl Fn(&Error) -> Status,
) -> Result<Cow<'a, [u8]>, Status> {
    if !is_gzip(part) {
        return Ok(Cow::Borrowed(part));
    }
    let mut content = Vec::new();
    match Inflater::new().gunzip(part, limit.bytes, &mut content) {
        Ok(()) => Ok(Cow::Owned(content)),
        Err(phlare_pprof::Error::TooLarge { limit: bytes }) => {
            let name = limit.name;
            let message =
                format!("the {what} has more than {bytes} bytes uncompressed, the limit `{name}`");
            Err(Status::new(ErrorKind::PayloadTooLarge, message))
        }
        Err(error) => Err(refused(&Error::Content(format!("the {what}: {error}")))),
    }
}
