//! Answers out of blocks, to the questions that a server is asked.

use std::sync::Arc;

use anyhow::Context;
use phlare_model::query::MetadataQuery;
use phlare_model::{
    Aggregation, MergeQuery, ProfileType, Selector, SeriesQuery, TimeRange, TimeSeries, Tree,
};
use phlare_phlaredb::{Block, View};
use phlare_proto::google::v1::Profile;
use phlare_proto::querier::v1::{SelectSeriesRequest, SeriesRequest};
use phlare_proto::types::v1::{
    LabelNamesRequest, LabelValuesRequest, Labels, Series, TimeSeriesAggregationType,
};

use crate::cli::UsageError;
use crate::ui;

/// Label that says what the profiles of a series are.
pub(super) const PROFILE_TYPE: &str = "__profile_type__";
/// The longest step in seconds; longer than any range.
const MAX_STEP_SECONDS: f64 = 1e12;

/// Blocks, every profile of them once.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    view: View,
}

impl Stored {
    pub(crate) fn new(blocks: Vec<Arc<Block>>) -> Self {
        Self {
            view: View::default().with_blocks(blocks),
        }
    }

    /// Times of the first and the last profile in milliseconds since the epoch.
    pub(crate) fn times_ms(&self) -> (i64, i64) {
        self.view.times_ms().unwrap_or_default()
    }

    /// Why blocks are missing in the answers so far.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.view
            .blocks()
            .iter()
            .filter_map(|block| block.unreadable())
    }

    /// The call tree of all matching profiles.
    pub(crate) async fn tree(&self, query: MergeQuery) -> anyhow::Result<Tree> {
        let tree = self.ask(move |view| {
            let tree = view.select_tree(&query)?;
            if tree.is_empty() {
                suggest(view, &query.profile_type)?;
            }
            Ok(tree)
        });
        tree.await
    }

    /// One pprof of all matching profiles.
    pub(crate) async fn pprof(&self, query: MergeQuery) -> anyhow::Result<Profile> {
        let profile = self.ask(move |view| {
            let profile = view.select_pprof(&query)?;
            if profile.sample.is_empty() {
                suggest(view, &query.profile_type)?;
            }
            Ok(profile)
        });
        profile.await
    }

    /// The series with points, the largest sum first, as a server sorts them.
    pub(super) async fn totals(&self, request: SelectSeriesRequest) -> anyhow::Result<Vec<Series>> {
        let query = series_query(&request)?;
        let found = self.ask(move |view| {
            let found = view.select_series(&query)?;
            if found.is_empty() {
                suggest(view, &query.profile_type)?;
            }
            Ok(found)
        });
        let sum = |series: &TimeSeries| series.points.iter().map(|&(_, value)| value).sum::<f64>();
        let mut found: Vec<(f64, TimeSeries)> = found
            .await?
            .into_iter()
            .map(|series| (sum(&series), series))
            .collect();
        found.sort_by(|(a, left), (b, right)| {
            b.total_cmp(a).then_with(|| left.labels.cmp(&right.labels))
        });
        if let Ok(limit @ 1..) = usize::try_from(request.limit.unwrap_or_default()) {
            found.truncate(limit);
        }
        Ok(found
            .into_iter()
            .map(|(_, series)| series.into_proto())
            .collect())
    }

    pub(super) async fn series(&self, request: SeriesRequest) -> anyhow::Result<Vec<Labels>> {
        let query = metadata_query(&request.matchers, request.start, request.end)?;
        let sets = self.ask(move |view| view.series(&request.label_names, &query));
        let labels = |labels: &phlare_model::Labels| Labels {
            labels: labels.to_proto(),
        };
        Ok(sets.await?.iter().map(labels).collect())
    }

    pub(super) async fn label_names(
        &self,
        request: LabelNamesRequest,
    ) -> anyhow::Result<Vec<String>> {
        let query = metadata_query(&request.matchers, request.start, request.end)?;
        self.ask(move |view| view.label_names(&query)).await
    }

    pub(super) async fn label_values(
        &self,
        request: LabelValuesRequest,
    ) -> anyhow::Result<Vec<String>> {
        let query = metadata_query(&request.matchers, request.start, request.end)?;
        self.ask(move |view| view.label_values(&request.name, &query))
            .await
    }

    /// Asks on a thread that may wait for files.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&View) -> Result<T, phlare_phlaredb::Error> + Send + 'static,
    ) -> anyhow::Result<T> {
        let view = self.view.clone();
        let answer = tokio::task::spawn_blocking(move || question(&view));
        Ok(answer
            .await
            .context("the blocks were not read to their end")??)
    }
}

/// Says which profile types there are, if the one that was asked for is not among them.
fn suggest(view: &View, asked: &ProfileType) -> Result<(), phlare_phlaredb::Error> {
    let all = MetadataQuery {
        selectors: Vec::new(),
        range: None,
    };
    let known = view.label_values(PROFILE_TYPE, &all)?;
    if !known.contains(&asked.to_string()) {
        let known = known.join("\n  ");
        ui::note(&format!(
            "no profile is of type {asked}; there are:\n  {known}"
        ));
    }
    Ok(())
}

pub(crate) fn read_profile_type(text: &str) -> Result<ProfileType, UsageError> {
    let parsed = text.parse();
    parsed.map_err(|error| UsageError(format!("--profile-type: {error}")))
}

pub(crate) fn read_selector(text: &str) -> Result<Selector, UsageError> {
    Selector::parse(text).map_err(|error| UsageError(format!("--query `{text}`: {error}")))
}

fn metadata_query(
    matchers: &[String],
    start_ms: i64,
    end_ms: i64,
) -> Result<MetadataQuery, UsageError> {
    Ok(MetadataQuery {
        selectors: matchers
            .iter()
            .map(|text| read_selector(text))
            .collect::<Result<_, _>>()?,
        range: Some(TimeRange { start_ms, end_ms }),
    })
}

/// Seconds as whole milliseconds.
fn step_ms(seconds: f64) -> Result<i64, UsageError> {
    if !(0.001..=MAX_STEP_SECONDS).contains(&seconds) {
        let text = format!("--step `{seconds}`: expected seconds from 0.001 to {MAX_STEP_SECONDS}");
        return Err(UsageError(text));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "between 1 and 1e15, checked above"
    )]
    let ms = (seconds * 1e3).round() as i64;
    Ok(ms)
}

/// The first of `start`, a step later and so on that is not before `end`; `end` if there are no such steps.
pub(super) fn last_step_ms((start, end): (i64, i64), step_seconds: f64) -> i64 {
    let Ok(step_ms) = step_ms(step_seconds) else {
        return end;
    };
    let over = end.saturating_sub(start).rem_euclid(step_ms);
    match over {
        0 => end,
        over => end.saturating_add(step_ms - over),
    }
}

fn series_query(request: &SelectSeriesRequest) -> Result<SeriesQuery, UsageError> {
    let step_ms = step_ms(request.step)?;
    let average = Some(TimeSeriesAggregationType::Average.into());
    Ok(SeriesQuery {
        profile_type: read_profile_type(&request.profile_type_id)?,
        selector: read_selector(&request.label_selector)?,
        range: TimeRange {
            start_ms: request.start,
            end_ms: request.end,
        },
        step_ms,
        group_by: request.group_by.clone(),
        aggregation: match request.aggregation == average {
            true => Aggregation::Average,
            false => Aggregation::Sum,
        },
        call_site: Vec::new(),
    })
}
