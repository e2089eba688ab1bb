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

/// How much larger a recording may be than the profiles that it becomes: single events instead of sums of them. What is
/// larger would keep other tenants waiting.
const EVENTS_OF_PROFILE: usize = 16;

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
    let limit = formats.profile_bytes;
    let snapshot = inflated(&upload.labels, "labels", limit, 1, &refused)?;
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
    let recording = inflated(&upload.recording, "jfr", limit, EVENTS_OF_PROFILE, &refused)?;
    let recording = jfr::parse(&recording, &options).map_err(|error| refused(&error))?;
    metrics.repaired("negative_value", recording.negative_values);
    metrics.repaired("repaired_string", recording.repaired_names);
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

/// The content of a part, of at most so many times the limit of a profile.
fn inflated<'a>(
    part: &'a [u8],
    what: &str,
    limit: usize,
    times: usize,
    refused: &impl Fn(&Error) -> Status,
) -> Result<Cow<'a, [u8]>, Status> {
    let most = limit.saturating_mul(times);
    let mut content = Vec::new();
    let inflated = match is_gzip(part) {
        true => Inflater::new().gunzip(part, most, &mut content),
        false if part.len() > most => Err(phlare_pprof::Error::TooLarge { limit: most }),
        false => return Ok(Cow::Borrowed(part)),
    };
    match inflated {
        Ok(()) => Ok(Cow::Owned(content)),
        Err(phlare_pprof::Error::TooLarge { .. }) => {
            let which = match times {
                1 => "the limit".to_owned(),
                times => format!("{times} times the limit"),
            };
            let message = format!(
                "the part `{what}` has more than {most} bytes uncompressed, {which} `max_profile_size_bytes`"
            );
            Err(Status::new(ErrorKind::PayloadTooLarge, message))
        }
        Err(error) => Err(refused(&Error::Content(format!(
            "the part `{what}`: {error}"
        )))),
    }
}
