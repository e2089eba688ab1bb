//! The labels of a series: as they are sent, and whether they may be stored.
//!
//! Rules: api.md 1.10; field reports B01 and B03.

use phlare_model::LabelsBuilder;
use phlare_model::labels::is_legacy_name;
use phlare_model::labels::names::{DELTA, NAME, ORDER, OTEL, SERVICE_NAME, UNKNOWN_SERVICE};
use phlare_proto::types::v1::LabelPair;
use phlare_tenancy::Limits;

use crate::error::Error;

/// Labels that say how to store a profile and are not stored themselves.
const CONTROL: [&str; 3] = [DELTA, OTEL, ORDER];

/// Sorted labels of a series, every name once. Equal repeats are folded: relays add labels that are
/// there already.
///
/// # Errors
/// [`Error::DuplicateLabel`].
pub(crate) fn read(pairs: &[LabelPair]) -> Result<LabelsBuilder, Error> {
    let mut labels = LabelsBuilder::new();
    for LabelPair { name, value } in pairs.iter().filter(|pair| !pair.value.is_empty()) {
        match labels.get(name) {
            Some(first) if first != value => {
                let (name, first, second) = (shorten(name), shorten(first), shorten(value));
                return Err(Error::DuplicateLabel {
                    name,
                    first,
                    second,
                });
            }
            Some(_) => {}
            None => drop(labels.set(name, value)),
        }
    }
    // An empty name is refused whatever its value, so that it is not lost unseen.
    if pairs.iter().any(|pair| pair.name.is_empty()) {
        return Err(Error::EmptyLabelName {
            labels: labels.build(),
        });
    }
    if labels.get(SERVICE_NAME).is_none() {
        labels.set(SERVICE_NAME, UNKNOWN_SERVICE);
    }
    Ok(labels)
}

/// Bytes of all names and values.
pub(crate) fn size(labels: &LabelsBuilder) -> usize {
    labels
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

/// Whether a series with these labels may be stored; returns how many names were rewritten.
///
/// Names are stored as they are. With `disable_label_sanitization: false` odd characters in them become `_`;
/// labels `from_sample` give way if that makes two names equal, for no label that a library sets
/// may cost the profile.
///
/// # Errors
/// What is wrong first, in the order of api.md 1.10.
pub(crate) fn validate(
    labels: &mut LabelsBuilder,
    from_sample: &dyn Fn(&str) -> bool,
    limits: &Limits,
) -> Result<u64, Error> {
    let count = labels
        .iter()
        .filter(|(name, _)| !CONTROL.contains(name))
        .count();
    if count > limits.max_label_names_per_series {
        let limit = limits.max_label_names_per_series;
        return Err(Error::TooManyLabels {
            labels: labels.build(),
            count,
            limit,
        });
    }
    if labels.get(NAME).is_none() {
        return Err(Error::NoName {
            labels: labels.build(),
        });
    }
    if labels.get(SERVICE_NAME).is_none() {
        return Err(Error::NoService {
            labels: labels.build(),
        });
    }
    for (name, value) in labels.iter() {
        if name.is_empty() {
            return Err(Error::EmptyLabelName {
                labels: labels.build(),
            });
        }
        if name.len() > limits.max_label_name_length {
            let limit = limits.max_label_name_length;
            return Err(Error::LabelNameTooLong {
                name: shorten(name),
                length: name.len(),
                limit,
            });
        }
        if value.len() > limits.max_label_value_length {
            let (name, value, length) = (shorten(name), shorten(value), value.len());
            return Err(Error::LabelValueTooLong {
                name,
                value,
                length,
                limit: limits.max_label_value_length,
            });
        }
    }
    if limits.disable_label_sanitization {
        Ok(0)
    } else {
        sanitize(labels, from_sample)
    }
}

fn sanitize(labels: &mut LabelsBuilder, from_sample: &dyn Fn(&str) -> bool) -> Result<u64, Error> {
    let odd = |(name, _): &(&str, &str)| !is_legacy_name(name);
    let odd: Vec<(String, String)> = labels
        .iter()
        .filter(odd)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in &odd {
        let rewritten = legacy_name(name);
        labels.remove(name);
        match labels.get(&rewritten) {
            Some(other) if other == value || from_sample(name) => {}
            Some(_) if !from_sample(&rewritten) => {
                let (first, second) = (shorten(&rewritten), shorten(name));
                return Err(Error::SanitizedDuplicate {
                    name: shorten(&rewritten),
                    first,
                    second,
                });
            }
            Some(_) | None => drop(labels.set(&rewritten, value)),
        }
    }
    Ok(odd.len() as u64)
}

/// The name with each character outside of `[a-zA-Z0-9_]` as `_`, and one before a leading digit.
fn legacy_name(name: &str) -> String {
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    let rest = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    digit.then_some('_').into_iter().chain(rest).collect()
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
