//! What the built-in mix asks about: found by asking the server.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use bytes::Bytes;
use phlare_proto::querier::v1::{SeriesRequest, SeriesResponse};
use phlare_proto::types::v1::Labels;
use prost::Message;

use crate::target::Connection;

/// The type that the reference queries are about, if the server has it.
const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const PROFILE_TYPE: &str = "__profile_type__";
const SERVICE_NAME: &str = "service_name";

/// Things that exist at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// A profile type: CPU, else the one with most series.
    pub(crate) profile_type: String,
    /// A service that has this type.
    pub(crate) service: String,
    /// A selector of one series of this type.
    pub(crate) series: String,
}

/// Asks for all series in the range and picks.
pub(crate) async fn discover(
    connection: &Connection,
    (start, end): (i64, i64),
) -> anyhow::Result<Found> {
    let request = SeriesRequest {
        start,
        end,
        ..SeriesRequest::default()
    };
    let body = Bytes::from(request.encode_to_vec());
    let answer = connection
        .call("querier.v1.QuerierService/Series", body)
        .await
        .map_err(|failure| anyhow::anyhow!("{failure}"))
        .context("ask for series")?;
    pick(&SeriesResponse::decode(answer.message()?)?.labels_set)
}

fn pick(series: &[Labels]) -> anyhow::Result<Found> {
    ensure!(
        !series.is_empty(),
        "the server has no profiles in the range: nothing to ask about"
    );
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    for labels in series {
        *types.entry(get(labels, PROFILE_TYPE)).or_default() += 1;
    }
    let most = types
        .iter()
        .max_by_key(|(_, count)| **count)
        .map_or("", |(kind, _)| kind);
    let profile_type = if types.contains_key(CPU) { CPU } else { most };
    // The smallest, so that every server is asked the same.
    let one = series
        .iter()
        .filter(|labels| get(labels, PROFILE_TYPE) == profile_type)
        .min_by_key(|labels| (get(labels, SERVICE_NAME), public(labels)))
        .context("no series has a profile type")?;
    let matchers: Vec<String> = public(one)
        .into_iter()
        .map(|(name, value)| format!("{name}={}", quote(value)))
        .collect();
    Ok(Found {
        profile_type: profile_type.to_owned(),
        service: get(one, SERVICE_NAME).to_owned(),
        series: format!("{{{}}}", matchers.join(",")),
    })
}

/// Labels that a user sees, in order.
fn public(labels: &Labels) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = labels
        .labels
        .iter()
        .filter(|label| !label.name.starts_with("__"))
        .map(|label| (label.name.as_str(), label.value.as_str()))
        .collect();
    pairs.sort_unstable();
    pairs
}

fn get<'a>(labels: &'a Labels, name: &str) -> &'a str {
    labels
        .labels
        .iter()
        .find(|label| label.name == name)
        .map_or("", |label| &label.value)
}

/// A label value as a string of the selector grammar.
pub(crate) fn quote(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use phlare_proto::types::v1::LabelPair;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let labels = pairs
            .iter()
            .map(|(name, value)| LabelPair {
                name: (*name).into(),
                value: (*value).into(),
            })
            .collect();
        Labels { labels }
    }

    #[test]
    fn cpu_is_preferred_and_the_smallest_series_is_picked() {
        let series = [
            labels(&[(PROFILE_TYPE, "memory:x"), (SERVICE_NAME, "a")]),
            labels(&[(PROFILE_TYPE, "memory:x"), (SERVICE_NAME, "b")]),
            labels(&[(PROFILE_TYPE, CPU), (SERVICE_NAME, "d")]),
            labels(&[
                ("__name__", "process_cpu"),
                (PROFILE_TYPE, CPU),
                ("pod", "p\"1"),
                (SERVICE_NAME, "c"),
            ]),
        ];
        let found = pick(&series).unwrap();
        assert_eq!(found.profile_type, CPU);
        assert_eq!(found.service, "c");
        assert_eq!(found.series, r#"{pod="p\"1",service_name="c"}"#);
        assert_eq!(pick(&series[..2]).unwrap().profile_type, "memory:x");
        assert!(pick(&[]).is_err());
    }
}
