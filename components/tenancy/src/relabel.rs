//! Relabel rules: Prometheus' `relabel_config` over the labels of a series.

mod rule;

use std::ops::Deref;
use std::str::FromStr;

use md5::Digest;
use phlare_model::labels::LabelsBuilder;
use serde::{Deserialize, Serialize};

pub use rule::{Action, RelabelError, RelabelRule, RuleConfig};

/// A list of rules, applied in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelabelRules(Vec<RelabelRule>);

impl From<Vec<RelabelRule>> for RelabelRules {
    fn from(rules: Vec<RelabelRule>) -> Self {
        Self(rules)
    }
}

impl Deref for RelabelRules {
    type Target = [RelabelRule];

    fn deref(&self) -> &[RelabelRule] {
        &self.0
    }
}

/// The value of a flag: a JSON list, or nothing.
impl FromStr for RelabelRules {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text)
            .map_err(|error| format!("not a JSON list of relabel rules: {error}"))
    }
}

/// What became of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It stays, with the labels as they are now.
    Keep,
    /// A rule drops it; the labels are those before that rule.
    Drop,
}

/// Applies the rules one after the other until one drops the series.
pub fn relabel(rules: &[RelabelRule], labels: &mut LabelsBuilder) -> Verdict {
    for rule in rules {
        if apply(rule, labels) == Verdict::Drop {
            return Verdict::Drop;
        }
    }
    Verdict::Keep
}

fn apply(rule: &RelabelRule, labels: &mut LabelsBuilder) -> Verdict {
    let config = rule.config();
    let regex = rule.regex();
    let target = config.target_label.as_str();
    let joined = || {
        let values: Vec<&str> = config
            .source_labels
            .iter()
            .map(|name| labels.get(name).unwrap_or(""))
            .collect();
        values.join(&config.separator)
    };
    let drop_if = |condition| {
        if condition {
            Verdict::Drop
        } else {
            Verdict::Keep
        }
    };
    match config.action {
        Action::Drop => return drop_if(regex.is_match(&joined())),
        Action::Keep => return drop_if(!regex.is_match(&joined())),
        Action::DropEqual => return drop_if(labels.get(target).unwrap_or("") == joined()),
        Action::KeepEqual => return drop_if(labels.get(target).unwrap_or("") != joined()),
        Action::Replace => replace(rule, &joined(), labels),
        Action::Lowercase => set_or_remove(labels, target, &joined().to_lowercase()),
        Action::Uppercase => set_or_remove(labels, target, &joined().to_uppercase()),
        Action::HashMod => {
            let shard = hash(joined().as_bytes())
                .checked_rem(config.modulus)
                .unwrap_or_default();
            labels.set(target, &shard.to_string());
        }
        Action::LabelMap => {
            for (name, value) in pairs(labels) {
                if let Some(found) = regex.captures(&name) {
                    let mut renamed = String::new();
                    found.expand(&config.replacement, &mut renamed);
                    set_or_remove(labels, &renamed, &value);
                }
            }
        }
        Action::LabelDrop => remove_if(labels, |name| regex.is_match(name)),
        Action::LabelKeep => remove_if(labels, |name| !regex.is_match(name)),
    }
    Verdict::Keep
}

fn replace(rule: &RelabelRule, value: &str, labels: &mut LabelsBuilder) {
    let Some(found) = rule.regex().captures(value) else {
        return;
    };
    let (mut name, mut replacement) = (String::new(), String::new());
    found.expand(&rule.config().target_label, &mut name);
    found.expand(&rule.config().replacement, &mut replacement);
    set_or_remove(labels, &name, &replacement);
}

fn set_or_remove(labels: &mut LabelsBuilder, name: &str, value: &str) {
    if name.is_empty() {
        return;
    }
    if value.is_empty() {
        labels.remove(name);
    } else {
        labels.set(name, value);
    }
}

fn remove_if(labels: &mut LabelsBuilder, condition: impl Fn(&str) -> bool) {
    for (name, _) in pairs(labels) {
        if condition(&name) {
            labels.remove(&name);
        }
    }
}

/// A copy, because the rules change what they walk over.
fn pairs(labels: &LabelsBuilder) -> Vec<(String, String)> {
    labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The last eight bytes of the MD5 digest, big-endian: Prometheus shards by it, so the shards must agree.
fn hash(data: &[u8]) -> u64 {
    let digest: [u8; 16] = md5::Md5::digest(data).into();
    u128::from_be_bytes(digest) as u64
}

#[cfg(test)]
mod tests;
