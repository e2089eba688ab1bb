//! From one pprof to the rows of its series: one for each set of sample labels and each sample type.

use std::collections::HashMap;

use phlare_model::labels::names::{
    DELTA, NAME, ORDER, OTEL, PERIOD_TYPE, PERIOD_UNIT, PROFILE_TYPE, SERVICE_NAME,
    SERVICE_NAME_PRIVATE, TYPE, UNIT,
};
use phlare_model::{Labels, LabelsBuilder};
use phlare_phlaredb::Row;
use phlare_pprof::Normalized;
use phlare_pprof::normalized::{Group, Sample, ValueType};
use phlare_tenancy::Limits;
use phlare_tenancy::relabel::Verdict;
use uuid::Uuid;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::error::Error;
use crate::{labels, partition, relabel};

/// What a pprof is split into.
#[derive(Debug, Default)]
pub(crate) struct Split {
    /// Rows to be stored.
    pub(crate) rows: Vec<Row>,
    /// Groups of samples that cannot be.
    pub(crate) errors: Vec<Error>,
    /// Groups that the tenant's rules drop.
    pub(crate) dropped_by_rules: usize,
    /// Label names that were rewritten.
    pub(crate) sanitized: u64,
    /// For each group that is stored: which, and the first group with the same labels.
    same_series: Vec<(usize, usize)>,
}

impl Split {
    /// Splits by the labels of samples, relabels and validates (api.md 8.1, steps 16 and 17). A label of the
    /// series wins over one of the samples with the same name.
    ///
    /// `raw`: the profile as it came, for the ids of its rows.
    pub(crate) fn of(
        profile: &Normalized<'_>,
        series: &LabelsBuilder,
        limits: &Limits,
        raw: &[u8],
    ) -> Self {
        let content = xxh3_128(raw);
        let mut split = Self::default();
        let mut known: HashMap<Labels, usize> = HashMap::new();
        for (index, group) in profile.groups.iter().enumerate() {
            let mut labels = series.clone();
            for (name, value) in group.labels.iter().filter(|(name, _)| !name.is_empty()) {
                if series.get(name).is_none() {
                    labels.set(name, value);
                }
            }
            if relabel::series(&mut labels, limits) == Verdict::Drop {
                split.dropped_by_rules += 1;
                continue;
            }
            let from_sample = |name: &str| {
                series.get(name).is_none() && group.labels.iter().any(|(other, _)| *other == name)
            };
            match labels::validate(&mut labels, &from_sample, limits) {
                Ok(sanitized) => split.sanitized += sanitized,
                Err(error) => {
                    split.errors.push(error);
                    continue;
                }
            }
            if profile.groups.len() > 1 {
                let first = *known.entry(labels.build()).or_insert(index);
                split.same_series.push((index, first));
                if first != index {
                    continue;
                }
            }
            let id = id(content, profile.time_ns, &labels);
            push_rows(&mut split.rows, profile, (index, id), labels, limits);
        }
        split
    }

    /// Whether several groups ended up with the same labels: their samples have to become one group.
    pub(crate) fn has_to_merge(&self) -> bool {
        self.same_series.iter().any(|(group, first)| group != first)
    }

    /// The samples and values of groups with the same labels one after another; the rows' groups change with them.
    pub(crate) fn merge(&mut self, profile: &Normalized<'_>) -> Merged {
        let columns = profile.sample_types.len();
        let mut merged = Merged::default();
        for &(first, _) in self
            .same_series
            .iter()
            .filter(|(group, first)| group == first)
        {
            let start = merged.samples.len();
            for &(group, _) in self.same_series.iter().filter(|(_, other)| *other == first) {
                let Some(Group { first, count, .. }) = profile.groups.get(group) else {
                    continue;
                };
                let range = *first as usize..(*first + *count) as usize;
                let values = range.start * columns..range.end * columns;
                merged
                    .samples
                    .extend_from_slice(profile.samples.get(range).unwrap_or_default());
                merged
                    .values
                    .extend_from_slice(profile.values.get(values).unwrap_or_default());
            }
            for row in self.rows.iter_mut().filter(|row| row.group == first) {
                row.group = merged.groups.len();
            }
            merged
                .groups
                .push((start as u32, (merged.samples.len() - start) as u32));
        }
        merged
    }
}

/// Samples in the order of merged groups.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    samples: Vec<Sample>,
    values: Vec<i64>,
    groups: Vec<(u32, u32)>,
}

impl Merged {
    /// The profile with these samples instead of its own.
    pub(crate) fn apply<'a>(&'a self, profile: Normalized<'a>) -> Normalized<'a> {
        let group = |&(first, count): &(u32, u32)| Group {
            labels: Vec::new(),
            first,
            count,
        };
        Normalized {
            samples: &self.samples,
            values: &self.values,
            groups: self.groups.iter().map(group).collect(),
            ..profile
        }
    }
}

/// The same profile of the same series and time has the same id, so a push that a client repeats is known as one,
/// wherever its replicas are. Version 8 of UUIDs: a hash.
fn id(content: u128, time_ns: i64, labels: &LabelsBuilder) -> Uuid {
    let mut hash = Xxh3::new();
    hash.update(&content.to_le_bytes());
    hash.update(&time_ns.to_le_bytes());
    for (name, value) in labels.iter() {
        for text in [name, value] {
            hash.update(&text.len().to_le_bytes());
            hash.update(text.as_bytes());
        }
    }
    uuid::Builder::from_custom_bytes(hash.digest128().to_le_bytes()).into_uuid()
}

/// One row for each sample type; all share an id.
fn push_rows(
    rows: &mut Vec<Row>,
    profile: &Normalized<'_>,
    (group, id): (usize, Uuid),
    mut labels: LabelsBuilder,
    limits: &Limits,
) {
    let otel = labels.get(OTEL) == Some("true");
    let ordered = limits.enforce_labels_order || labels.get(ORDER) == Some("enforced");
    let differences = labels.get(DELTA) != Some("false") && labels.get(NAME) == Some("memory");
    let partition = partition::of(profile, &labels, otel);
    for control in [DELTA, OTEL, ORDER] {
        labels.remove(control);
    }
    let period = profile
        .period_type
        .unwrap_or(ValueType { kind: "", unit: "" });
    let name = labels.get(NAME).unwrap_or_default().to_owned();
    let service = labels.get(SERVICE_NAME).unwrap_or_default().to_owned();
    labels
        .set(SERVICE_NAME_PRIVATE, &service)
        .set(PERIOD_TYPE, period.kind)
        .set(PERIOD_UNIT, period.unit);
    for (sample_type, ValueType { kind, unit }) in profile.sample_types.iter().enumerate() {
        let profile_type = format!("{name}:{kind}:{unit}:{}:{}", period.kind, period.unit);
        labels
            .set(TYPE, kind)
            .set(UNIT, unit)
            .set(PROFILE_TYPE, &profile_type);
        let labels = match ordered {
            true => labels.build_with_first(&[PROFILE_TYPE, SERVICE_NAME_PRIVATE]),
            false => labels.build(),
        };
        let delta = differences && matches!(*kind, "alloc_objects" | "alloc_space");
        rows.push(Row {
            labels,
            group,
            sample_type,
            id,
            partition,
            delta,
        });
    }
}

#[cfg(test)]
mod tests;
