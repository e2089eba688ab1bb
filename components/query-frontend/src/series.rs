//! `SelectSeries`: totals over time (api.md 1.8).

use phlare_model::ask::Query;
use phlare_model::{SeriesQuery, TenantId, TimeSeries};
use phlare_proto::querier::v1::{SelectSeriesRequest, SelectSeriesResponse};
use phlare_server::Status;

use crate::frontend::QueryFrontend;

impl QueryFrontend {
    pub(crate) async fn select_series(
        &self,
        tenant: TenantId,
        request: SelectSeriesRequest,
    ) -> Result<SelectSeriesResponse, Status> {
        let limits = self.limits(&tenant);
        let query = self.checked(self.checks(&limits).series(&request))?;
        let found = self.time_series(tenant, query).await?;
        let series = largest(found, request.limit.unwrap_or_default());
        Ok(SelectSeriesResponse {
            series: series.into_iter().map(TimeSeries::into_proto).collect(),
        })
    }

    /// The series of a query; none if there is nothing to ask.
    pub(crate) async fn time_series(
        &self,
        tenant: TenantId,
        query: Option<SeriesQuery>,
    ) -> Result<Vec<TimeSeries>, Status> {
        match query {
            Some(query) => self.ask(tenant, Query::TimeSeries(query)).await,
            None => Ok(Vec::new()),
        }
    }
}

/// The series with points, by descending sum, equal sums by labels; at most `limit` of them if that is positive.
fn largest(found: Vec<TimeSeries>, limit: i64) -> Vec<TimeSeries> {
    let sum = |series: &TimeSeries| series.points.iter().map(|&(_, value)| value).sum::<f64>();
    let mut summed: Vec<(f64, TimeSeries)> = found
        .into_iter()
        .filter(|series| !series.points.is_empty())
        .map(|series| (sum(&series), series))
        .collect();
    summed.sort_by(|(a, left), (b, right)| {
        b.total_cmp(a).then_with(|| left.labels.cmp(&right.labels))
    });
    if let Ok(limit @ 1..) = usize::try_from(limit) {
        summed.truncate(limit);
    }
    summed.into_iter().map(|(_, series)| series).collect()
}

#[cfg(test)]
mod tests {
    use phlare_model::labels::Labels;

    use super::*;

    fn series(name: &str, values: &[f64]) -> TimeSeries {
        TimeSeries {
            labels: Labels::from_pairs([("s", name)]),
            points: values
                .iter()
                .enumerate()
                .map(|(at, &value)| (at as i64, value))
                .collect(),
        }
    }

    #[test]
    fn the_largest_come_first_and_the_rest_is_cut() {
        let check = |limit: i64, expected: &[&str]| {
            let found = vec![
                series("small", &[1.0]),
                series("b", &[2.0, 3.0]),
                series("none", &[]),
                series("a", &[5.0]),
                series("big", &[1.0, 9.0]),
            ];
            let names: Vec<TimeSeries> = largest(found, limit);
            let names: Vec<&str> = names
                .iter()
                .filter_map(|series| series.labels.get("s"))
                .collect();
            assert_eq!(names, expected, "limit {limit}");
        };
        check(0, &["big", "a", "b", "small"]);
        check(-1, &["big", "a", "b", "small"]);
        check(i64::MAX, &["big", "a", "b", "small"]);
        check(2, &["big", "a"]);
    }
}
