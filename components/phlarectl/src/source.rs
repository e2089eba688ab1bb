//! Who answers questions: a server, or blocks that are read here.

mod stored;

use phlare_proto::querier::v1::{
    ProfileTypesRequest, ProfileTypesResponse, SelectSeriesRequest, SelectSeriesResponse,
    SeriesRequest, SeriesResponse,
};
use phlare_proto::types::v1::{
    LabelNamesRequest, LabelNamesResponse, LabelValuesRequest, LabelValuesResponse, Labels, Series,
};

use crate::cli::{RangeArgs, UsageError};
use crate::client::Client;

pub(crate) use stored::{Stored, read_profile_type, read_selector};

/// Range of a query to a server, in milliseconds, if none is given.
const DEFAULT_RANGE_MS: i64 = 3_600_000;

/// Who answers.
#[derive(Debug)]
pub(crate) enum Source {
    Server(Client),
    Blocks(Stored),
}

impl Source {
    /// Start and end of a query in milliseconds since the epoch, both inclusive. What is not given is the last hour of a
    /// server, and all that blocks hold.
    pub(crate) fn range_ms(
        &self,
        range: &RangeArgs,
        now_ms: i64,
    ) -> Result<(i64, i64), UsageError> {
        let whole = match self {
            Self::Server(_) => (now_ms.saturating_sub(DEFAULT_RANGE_MS), now_ms),
            Self::Blocks(stored) => stored.times_ms(),
        };
        range.range_ms(now_ms, whole)
    }

    /// As [`Self::range_ms`], for [`Self::totals`].
    pub(crate) fn steps_ms(
        &self,
        range: &RangeArgs,
        now_ms: i64,
    ) -> Result<(i64, i64), UsageError> {
        let (start, end) = self.range_ms(range, now_ms)?;
        Ok(match self {
            Self::Server(_) => (start, end),
            // A step begins behind its start, and the first profile counts.
            Self::Blocks(_) => (start.saturating_sub(1), end),
        })
    }

    /// The end of the last of the steps from `start` on that reach to `end`, so that nothing of blocks is left over.
    pub(crate) fn last_step_ms(&self, (start, end): (i64, i64), step_seconds: f64) -> i64 {
        match self {
            Self::Server(_) => end,
            Self::Blocks(_) => stored::last_step_ms((start, end), step_seconds),
        }
    }

    /// Totals over time: those of all profiles between two points are at the later one.
    pub(crate) async fn totals(&self, request: SelectSeriesRequest) -> anyhow::Result<Vec<Series>> {
        match self {
            Self::Server(client) => {
                let answer: SelectSeriesResponse = client.query("SelectSeries", &request).await?;
                Ok(answer.series)
            }
            Self::Blocks(stored) => stored.totals(request).await,
        }
    }

    /// Label sets.
    pub(crate) async fn series(&self, request: SeriesRequest) -> anyhow::Result<Vec<Labels>> {
        match self {
            Self::Server(client) => {
                let answer: SeriesResponse = client.query("Series", &request).await?;
                Ok(answer.labels_set)
            }
            Self::Blocks(stored) => stored.series(request).await,
        }
    }

    /// Ids of profile types.
    pub(crate) async fn profile_types(&self, start: i64, end: i64) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Server(client) => {
                let request = ProfileTypesRequest { start, end };
                let answer: ProfileTypesResponse = client.query("ProfileTypes", &request).await?;
                Ok(answer
                    .profile_types
                    .into_iter()
                    .map(|kind| kind.id)
                    .collect())
            }
            Self::Blocks(stored) => {
                let request = LabelValuesRequest {
                    name: stored::PROFILE_TYPE.to_owned(),
                    matchers: Vec::new(),
                    start,
                    end,
                };
                stored.label_values(request).await
            }
        }
    }

    /// Names of labels.
    pub(crate) async fn label_names(
        &self,
        request: LabelNamesRequest,
    ) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Server(client) => {
                let answer: LabelNamesResponse = client.query("LabelNames", &request).await?;
                Ok(answer.names)
            }
            Self::Blocks(stored) => stored.label_names(request).await,
        }
    }

    /// Values of a label.
    pub(crate) async fn label_values(
        &self,
        request: LabelValuesRequest,
    ) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Server(client) => {
                let answer: LabelValuesResponse = client.query("LabelValues", &request).await?;
                Ok(answer.names)
            }
            Self::Blocks(stored) => stored.label_values(request).await,
        }
    }
}
