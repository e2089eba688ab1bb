//! `query timeseries`.

use phlare_proto::querier::v1::SelectSeriesRequest;
use phlare_proto::types::v1::{LabelPair, Series, TimeSeriesAggregationType};

use crate::cli::{Aggregation, Output, TimeseriesArgs};
use crate::render::{Unit, sparkline};
use crate::source::Source;
use crate::ui;

/// Points if no step is given.
const POINTS: f64 = 60.0;

/// Totals over time: one row for each series.
pub(crate) async fn run(source: &Source, args: &TimeseriesArgs, now_ms: i64) -> anyhow::Result<()> {
    let (start, end) = source.steps_ms(&args.select.range, now_ms)?;
    let step = args.step.unwrap_or_else(|| default_step(end - start));
    let end = match args.select.range.to {
        Some(_) => end,
        None => source.last_step_ms((start, end), step),
    };
    let aggregation = match args.aggregation {
        Aggregation::Sum => TimeSeriesAggregationType::Sum,
        Aggregation::Average => TimeSeriesAggregationType::Average,
    };
    let request = SelectSeriesRequest {
        profile_type_id: args.select.profile_type.clone(),
        label_selector: args.select.range.query.clone(),
        start,
        end,
        group_by: args.group_by.clone(),
        step,
        aggregation: Some(aggregation.into()),
        limit: args.limit,
        ..SelectSeriesRequest::default()
    };
    let series = source.totals(request).await?;
    match args.output {
        Output::Json => ui::json(&series)?,
        Output::Table => {
            let unit = Unit::of_profile_type(&args.select.profile_type);
            ui::data(&table(&series, (start, end), step, unit));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a range in milliseconds")]
fn default_step(range_ms: i64) -> f64 {
    (range_ms as f64 / 1e3 / POINTS).ceil().max(1.0)
}

fn table(series: &[Series], range_ms: (i64, i64), step: f64, unit: Unit) -> String {
    let mut table = ui::table(
        &["sum", "min", "max", "last", "points", "series", "over time"],
        &[0, 1, 2, 3, 4],
    );
    for one in series {
        let values = || one.points.iter().map(|point| point.value);
        table.add_row([
            unit.show(values().sum()),
            unit.show(values().fold(f64::INFINITY, f64::min)),
            unit.show(values().fold(0.0, f64::max)),
            unit.show(values().next_back().unwrap_or_default()),
            one.points.len().to_string(),
            label_set(&one.labels),
            sparkline(
                one.points
                    .iter()
                    .map(|point| (point.timestamp, point.value)),
                range_ms,
                step,
            ),
        ]);
    }
    table.trim_fmt()
}

/// `{a="x", b="y"}`.
pub(crate) fn label_set(labels: &[LabelPair]) -> String {
    phlare_model::Labels::from_pairs(labels.iter().map(|label| (&label.name, &label.value)))
        .to_string()
}

#[cfg(test)]
mod tests {
    use phlare_proto::types::v1::Point;

    use super::*;

    #[test]
    fn a_series_is_summed_up_in_a_row() {
        let point = |timestamp, value| Point {
            timestamp,
            value,
            ..Point::default()
        };
        let labels = vec![LabelPair {
            name: "a".into(),
            value: "x".into(),
        }];
        let series = Series {
            labels,
            points: vec![point(1000, 2e9), point(2000, 1e9)],
        };
        let text = table(&[series], (0, 2000), 1.0, Unit::Nanoseconds);
        let row = text.lines().nth(1).unwrap();
        for part in ["3.00 s", "1.00 s", "2.00 s", "{a=\"x\"}"] {
            assert!(row.contains(part), "{part} in {row}");
        }
    }

    #[test]
    fn the_default_step_is_whole_seconds() {
        assert_eq!(default_step(3_600_000), 60.0);
        assert_eq!(default_step(10), 1.0);
    }
}
