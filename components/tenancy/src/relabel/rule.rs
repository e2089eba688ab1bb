//! One relabel rule: as it is written, and checked.

use std::fmt;

use ::regex::Regex;
use phlare_model::selector::regex as go_regex;
use serde::{Deserialize, Serialize};

/// A rule as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// The labels whose values, joined by `separator`, are matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_labels: Vec<String>,
    /// Stands between the values.
    pub separator: String,
    /// Must match the whole joined value; Go's syntax.
    pub regex: String,
    /// Of `hashmod`: the number of shards.
    #[serde(skip_serializing_if = "is_zero")]
    pub modulus: u64,
    /// The label that is set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_label: String,
    /// What it is set to; `$1`, `${name}` stand for groups of the regex.
    pub replacement: String,
    /// What the rule does.
    pub action: Action,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Default for RuleConfig {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".into(),
            regex: "(.*)".into(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".into(),
            action: Action::Replace,
        }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Sets `target_label` to `replacement` if the regex matches.
    #[default]
    Replace,
    /// Drops series that do not match.
    Keep,
    /// Drops series that match.
    Drop,
    /// Drops series whose source value differs from `target_label`'s.
    KeepEqual,
    /// Drops series whose source value equals `target_label`'s.
    DropEqual,
    /// Sets `target_label` to the MD5 of the source value modulo `modulus`.
    HashMod,
    /// Copies the values of labels whose name matches to the name that `replacement` makes.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets `target_label` to the source value in lower case.
    Lowercase,
    /// Sets `target_label` to the source value in upper case.
    Uppercase,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        })
    }
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// The action needs a field that is not set.
    #[error("relabel rule with action `{action}`: `{field}` is required")]
    Missing {
        /// The rule's action.
        action: Action,
        /// The field.
        field: &'static str,
    },
    /// The regex cannot be read.
    #[error("relabel rule with action `{action}`: regex `{regex}`: {reason}")]
    Regex {
        /// The rule's action.
        action: Action,
        /// As it was written.
        regex: String,
        /// What is wrong, with the position.
        reason: String,
    },
}

/// A rule that can be applied.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "RuleConfig", into = "RuleConfig")]
pub struct RelabelRule {
    config: RuleConfig,
    regex: Regex,
}

impl RelabelRule {
    /// The rule as it was written.
    #[must_use]
    pub fn config(&self) -> &RuleConfig {
        &self.config
    }

    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl PartialEq for RelabelRule {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

impl From<RelabelRule> for RuleConfig {
    fn from(rule: RelabelRule) -> Self {
        rule.config
    }
}

impl TryFrom<RuleConfig> for RelabelRule {
    type Error = RelabelError;

    fn try_from(config: RuleConfig) -> Result<Self, RelabelError> {
        let action = config.action;
        let needs_target = match action {
            Action::Replace
            | Action::KeepEqual
            | Action::DropEqual
            | Action::HashMod
            | Action::Lowercase
            | Action::Uppercase => true,
            Action::Keep
            | Action::Drop
            | Action::LabelMap
            | Action::LabelDrop
            | Action::LabelKeep => false,
        };
        if needs_target && config.target_label.is_empty() {
            return Err(RelabelError::Missing {
                action,
                field: "target_label",
            });
        }
        if action == Action::HashMod && config.modulus == 0 {
            return Err(RelabelError::Missing {
                action,
                field: "modulus",
            });
        }
        match go_regex::compile(&config.regex) {
            Ok(regex) => Ok(Self { config, regex }),
            Err(error) => Err(RelabelError::Regex {
                action,
                regex: config.regex,
                reason: error.to_string(),
            }),
        }
    }
}
