//! `query series`.

use std::collections::{BTreeMap, BTreeSet};

use phlare_proto::querier::v1::SeriesRequest;

use crate::cli::{Output, SeriesArgs};
use crate::source::Source;
use crate::ui;

/// Lists label sets: one column for each label.
pub(crate) async fn run(source: &Source, args: &SeriesArgs, now_ms: i64) -> anyhow::Result<()> {
    let (start, end) = source.range_ms(&args.range, now_ms)?;
    let request = SeriesRequest {
        matchers: args.range.matchers(),
        label_names: args.label_names.clone(),
        start,
        end,
    };
    let answer = source.series(request).await?;
    let series: Vec<BTreeMap<String, String>> = answer
        .into_iter()
        .map(|labels| {
            labels
                .labels
                .into_iter()
                .map(|label| (label.name, label.value))
                .collect()
        })
        .collect();
    match args.output {
        Output::Json => ui::json(&series)?,
        Output::Table => ui::data(&columns(&series)),
    }
    Ok(())
}

fn columns(series: &[BTreeMap<String, String>]) -> String {
    let names: BTreeSet<&str> = series
        .iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let header: Vec<&str> = names.iter().copied().collect();
    let mut table = ui::table(&header, &[]);
    for labels in series {
        table.add_row(
            header
                .iter()
                .map(|name| labels.get(*name).map_or("", String::as_str)),
        );
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_a_series_lacks_are_empty_columns() {
        let series = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(n, v)| ((*n).into(), (*v).into()))
                .collect()
        };
        let table = columns(&[series(&[("a", "1"), ("c", "3")]), series(&[("b", "2")])]);
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines, [vec!["a", "b", "c"], vec!["1", "3"], vec!["2"]]);
    }
}
