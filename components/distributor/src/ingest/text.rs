//! Bodies that are not pprof, turned into it.

use bytes::Bytes;
use phlare_formats::{
    Error, Kind, Limits as FormatLimits, Stacks, groups, lines, speedscope, tree, trie,
};
use phlare_model::labels::names::{APP_NAME, NAME, PROFILE_NAME};
use phlare_tenancy::Limits;
use tracing::debug;

use super::params::Params;
use super::pprof::{label, labels, names_service, one};
use super::select::TextFormat;
use crate::batch::Series;
use crate::metrics::Metrics;
use crate::pipeline::Hints;

/// A tag by which clients say that a payload is an example of one request: those have no place here.
const EXEMPLAR: &str = "profile_id";

/// The limits of a tenant that hold while a payload is read.
pub(crate) fn format_limits(limits: &Limits) -> FormatLimits {
    let unlimited = |limit: usize| if limit == 0 { usize::MAX } else { limit };
    FormatLimits {
        profile_bytes: unlimited(limits.max_profile_size_bytes),
        symbol_bytes: limits.max_profile_symbol_value_length,
        stacktraces: limits.max_profile_stacktrace_samples,
    }
}

/// The series of a body: one, or for a speedscope file one for each of its profiles.
pub(crate) fn series(
    format: TextFormat,
    params: &Params,
    body: &Bytes,
    limits: &Limits,
    metrics: &Metrics,
) -> Result<Vec<Series>, Error> {
    let limits = format_limits(limits);
    let stacks = match format {
        TextFormat::Groups => groups::parse(body, &limits)?,
        TextFormat::Lines => lines::parse(body, &limits)?,
        TextFormat::Tree => tree::parse(body, &limits)?,
        TextFormat::Trie => trie::parse(body, &limits)?,
        TextFormat::Speedscope => return speedscope_series(params, body, &limits, metrics),
    };
    count(metrics, &stacks);
    let (service, kind) = Kind::of_name(&params.app.name)?;
    if params.app.tags.contains_key(EXEMPLAR) {
        debug!(
            name = params.app.name,
            "dropped: it has the tag `{EXEMPLAR}`"
        );
        metrics.repaired("exemplar", 1);
        return Ok(Vec::new());
    }
    let pprof = stacks.to_pprof(kind, params.sample_rate, params.timing)?;
    Ok(pprof
        .map(|pprof| of_pprof(params, service, kind, None, pprof))
        .into_iter()
        .collect())
}

fn speedscope_series(
    params: &Params,
    body: &[u8],
    limits: &FormatLimits,
    metrics: &Metrics,
) -> Result<Vec<Series>, Error> {
    let mut series = Vec::new();
    for profile in speedscope::parse(body, &params.app.name, params.sample_rate, limits)? {
        count(metrics, profile.stacks());
        if let Some(pprof) = profile.to_pprof(params.timing)? {
            series.push(of_pprof(
                params,
                &profile.service,
                profile.kind,
                Some(&profile.name),
                pprof,
            ));
        }
    }
    Ok(series)
}

fn of_pprof(
    params: &Params,
    service: &str,
    kind: &Kind,
    profile_name: Option<&str>,
    pprof: Vec<u8>,
) -> Series {
    let mut labels = labels(service, params.app.tags.clone(), &params.spy);
    labels.push(label(NAME, kind.name));
    if names_service(&params.app) {
        labels.push(label(APP_NAME, service));
    }
    if let Some(name) = profile_name {
        labels.push(label(PROFILE_NAME, name));
    }
    one(labels, pprof.into(), Hints::default())
}

fn count(metrics: &Metrics, stacks: &Stacks) {
    metrics.repaired("negative_value", stacks.negative_values);
    metrics.repaired("repaired_string", stacks.repaired_names);
}
