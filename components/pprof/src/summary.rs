//! What is in a profile, in figures: for clients and tests.

use phlare_proto::google::v1::{Profile, ValueType};

/// The sum of all values of a sample type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// For example `cpu`.
    pub kind: String,
    /// For example `nanoseconds`.
    pub unit: String,
    /// Sum over all samples.
    pub total: i128,
}

/// The total of each sample type, in their order. What is missing counts as empty or zero.
#[must_use]
pub fn summary(profile: &Profile) -> Vec<Total> {
    let text = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|i| profile.string_table.get(i))
            .cloned()
            .unwrap_or_default()
    };
    let total = |position: usize| {
        profile
            .sample
            .iter()
            .filter_map(|s| s.value.get(position))
            .map(|&v| i128::from(v))
            .sum()
    };
    let named = |(position, t): (usize, &ValueType)| Total {
        kind: text(t.r#type),
        unit: text(t.unit),
        total: total(position),
    };
    profile.sample_type.iter().enumerate().map(named).collect()
}
