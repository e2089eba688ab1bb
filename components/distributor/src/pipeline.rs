//! One profile through all steps (api.md 8.1): the part that computes.

use std::sync::atomic::{AtomicUsize, Ordering};

use phlare_model::labels::names::{NAME, SPY};
use phlare_model::{LabelsBuilder, TenantId};
use phlare_phlaredb::Append;
use phlare_pprof::{Options, OverLimit, ScriptNames, Seed, Workspace};
use phlare_tenancy::Limits;
use tracing::debug;

use crate::error::{ByteSize, Error};
use crate::ingest::SampleTypes;
use crate::language::{self, Language};
use crate::metrics::{Metrics, Sizes};
use crate::rate::Rates;
use crate::replica::{Durable, Ingest};
use crate::series::Split;
use crate::{labels, relabel, window};

/// What the door through which a profile came knows about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    /// If set, `__name__` follows from the sample types.
    pub(crate) name: Option<SampleTypes>,
    /// Time of profiles of 1970.
    pub(crate) time_of_1970_ns: Option<i64>,
    /// Puts files into the names of functions.
    pub(crate) script_names: Option<ScriptNames>,
    /// Repairs what .NET profilers write.
    pub(crate) dotnet: bool,
}

/// How many uncompressed bytes the profiles of a request may still have.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    limit: usize,
    left: AtomicUsize,
}

impl BodyBudget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limit = limits.ingestion_body_limit_bytes().unwrap_or(usize::MAX);
        Self {
            limit,
            left: AtomicUsize::new(limit),
        }
    }

    pub(crate) fn take(&self, bytes: usize) -> Result<(), Error> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        taken.map(drop).map_err(|_| self.exceeded())
    }

    pub(crate) fn exceeded(&self) -> Error {
        Error::BodySize {
            limit: ByteSize(self.limit as u64),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

/// What became of a profile: groups of its samples are stored or refused one by one.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Resolves when what was stored is durable.
    pub(crate) durable: Option<Durable>,
    /// What was refused.
    pub(crate) errors: Vec<Error>,
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self {
            durable: None,
            errors: vec![error],
        }
    }
}

/// What the steps need besides the profile.
#[derive(Clone, Copy)]
pub(crate) struct Pipeline<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) limits: &'a Limits,
    pub(crate) body: &'a BodyBudget,
    pub(crate) now_ns: i64,
    /// How many share the tenant's rate.
    pub(crate) distributors: usize,
    pub(crate) seed: Seed,
    pub(crate) rates: &'a Rates,
    pub(crate) metrics: &'a Metrics,
    pub(crate) replica: &'a dyn Ingest,
}

impl Pipeline<'_> {
    /// Takes one profile of a series.
    pub(crate) fn push(
        &self,
        workspace: &mut Workspace,
        series: &LabelsBuilder,
        hints: &Hints,
        raw: &[u8],
    ) -> Outcome {
        let mut size = raw.len();
        let outcome = self
            .steps(workspace, series, hints, raw, &mut size)
            .unwrap_or_else(Outcome::from);
        for error in &outcome.errors {
            self.metrics.discarded(self.tenant, error.reason(), size);
        }
        outcome
    }

    fn steps(
        &self,
        workspace: &mut Workspace,
        series: &LabelsBuilder,
        hints: &Hints,
        raw: &[u8],
        size: &mut usize,
    ) -> Result<Outcome, Error> {
        let limits = self.limits;
        let decoded = workspace.decode(raw, limits.max_profile_size_bytes)?;
        *size = decoded.size();
        self.body.take(*size)?;
        let renamed;
        let series = match &hints.name {
            Some(types) => {
                let mut labels = series.clone();
                labels.set(NAME, &types.name(decoded.sample_types().map(|t| t.kind)));
                renamed = labels;
                &renamed
            }
            None => series,
        };
        self.rates.take(
            self.tenant,
            size.saturating_add(labels::size(series)),
            limits,
            self.distributors,
        )?;
        let samples = decoded.sample_count();
        let sizes = Sizes {
            compressed: raw.len(),
            decompressed: *size,
            samples,
            samples_bytes: decoded.samples_bytes(),
        };
        self.metrics
            .received(self.tenant, series.get(NAME).unwrap_or_default(), &sizes);

        let language = language::detect(series.get(SPY), decoded.strings());
        let keep = |kind: &str, unit: &str| relabel::keeps_type(series, kind, unit, limits);
        let profile = decoded.normalize(&Options {
            time_of_1970_ns: hints.time_of_1970_ns,
            max_samples: limits.max_profile_stacktrace_samples,
            over_limit: match limits.refuse_profiles_over_samples_limit {
                true => OverLimit::Refuse,
                false => OverLimit::Fold,
            },
            max_sample_labels: limits.max_profile_stacktrace_sample_labels,
            max_depth: limits.max_profile_stacktrace_depth,
            max_symbol_length: limits.max_profile_symbol_value_length,
            keep_type: if limits.sample_type_relabeling_rules.is_empty() {
                None
            } else {
                Some(&keep)
            },
            go_fixes: language == Language::Go,
            script_names: hints.script_names,
            repair_function_ids: hints.dotnet,
            rename_dashes: hints.dotnet,
            ..Options::new(self.seed, self.now_ns)
        })?;
        window::check(profile.time_ns, self.now_ns, limits)?;
        self.metrics.dropped(&profile.dropped);
        debug!(samples, stored = profile.samples.len(), ?language, dropped = ?profile.dropped, "profile");

        let mut split = Split::of(&profile, series, limits, raw);
        self.metrics.sanitized(self.tenant, split.sanitized);
        for _ in 0..split.dropped_by_rules {
            self.metrics
                .discarded(self.tenant, "dropped_by_relabel_rules", *size);
        }
        let merged = split.has_to_merge().then(|| split.merge(&profile));
        let profile = match &merged {
            Some(merged) => merged.apply(profile),
            None => profile,
        };
        let mut outcome = Outcome {
            durable: None,
            errors: split.errors,
        };
        if !split.rows.is_empty() {
            let append = Append {
                profile: &profile,
                rows: &split.rows,
            };
            match self.replica.append(self.tenant, &append) {
                Ok(durable) => outcome.durable = Some(durable),
                Err(refused) => outcome.errors.push(Error::Refused(refused)),
            }
        }
        Ok(outcome)
    }
}
