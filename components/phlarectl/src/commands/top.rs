//! `query top`.

use phlare_proto::querier::v1::SelectSeriesRequest;
use phlare_proto::types::v1::Series;
use serde::Serialize;

use crate::cli::{Output, TopArgs};
use crate::commands::timeseries::label_set;
use crate::render::{Unit, percent};
use crate::source::Source;
use crate::ui;

/// One combination of label values.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    labels: std::collections::BTreeMap<String, String>,
    total: f64,
    #[serde(skip)]
    text: String,
}

/// The label values with the largest totals.
pub(crate) async fn run(source: &Source, args: &TopArgs, now_ms: i64) -> anyhow::Result<()> {
    let (start, end) = source.steps_ms(&args.select.range, now_ms)?;
    let request = SelectSeriesRequest {
        profile_type_id: args.select.profile_type.clone(),
        label_selector: args.select.range.query.clone(),
        start,
        end,
        group_by: args.label_names.clone(),
        step: seconds(end - start),
        ..SelectSeriesRequest::default()
    };
    let mut rows = rank(source.totals(request).await?, start);
    let all: f64 = rows.iter().map(|row| row.total).sum();
    if args.top_n > 0 {
        rows.truncate(args.top_n);
    }
    match args.output {
        Output::Json => ui::json(&rows)?,
        Output::Table => {
            let unit = Unit::of_profile_type(&args.select.profile_type);
            let mut table = ui::table(&["total", "share", "labels"], &[0, 1]);
            for row in &rows {
                table.add_row([
                    unit.show(row.total),
                    percent(row.total, all),
                    row.text.clone(),
                ]);
            }
            ui::data(&table.trim_fmt());
        }
    }
    Ok(())
}

/// Totals within the range, the largest first. A point at `start` stands for the step before the
/// range, so it does not count.
fn rank(series: Vec<Series>, start: i64) -> Vec<Row> {
    let mut rows: Vec<Row> = series
        .into_iter()
        .map(|series| Row {
            total: series
                .points
                .iter()
                .filter(|point| point.timestamp > start)
                .map(|point| point.value)
                .sum(),
            text: label_set(&series.labels),
            labels: series
                .labels
                .into_iter()
                .map(|label| (label.name, label.value))
                .collect(),
        })
        .filter(|row| row.total > 0.0)
        .collect();
    rows.sort_by(|a, b| {
        b.total
            .total_cmp(&a.total)
            .then_with(|| a.text.cmp(&b.text))
    });
    rows
}

#[expect(clippy::cast_precision_loss, reason = "a range in milliseconds")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use phlare_proto::types::v1::{LabelPair, Point};

    use super::*;

    #[test]
    fn what_lies_before_the_range_does_not_count() {
        let series = |name: &str, points: &[(i64, f64)]| Series {
            labels: vec![LabelPair {
                name: "s".into(),
                value: name.into(),
            }],
            points: points
                .iter()
                .map(|(timestamp, value)| Point {
                    timestamp: *timestamp,
                    value: *value,
                    ..Point::default()
                })
                .collect(),
        };
        let rows = rank(
            vec![
                series("a", &[(100, 50.0), (200, 1.0)]),
                series("b", &[(200, 3.0)]),
                series("c", &[(100, 9.0)]),
            ],
            100,
        );
        let got: Vec<(&str, f64)> = rows
            .iter()
            .map(|row| (row.text.as_str(), row.total))
            .collect();
        assert_eq!(got, [("{s=\"b\"}", 3.0), ("{s=\"a\"}", 1.0)]);
    }
}
