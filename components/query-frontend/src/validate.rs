//! What a tenant may ask for: time ranges, node limits, steps (api.md 1.4.1).

use std::time::Duration;

use phlare_model::query::MetadataQuery;
use phlare_model::{MergeQuery, ProfileType, Selector, SeriesQuery, TimeRange};
use phlare_proto::querier::v1::SelectSeriesRequest;
use phlare_proto::types::v1::ExemplarType;
use phlare_tenancy::Limits;

use crate::error::Error;
use crate::parse;

/// The longest step: some 31 years. Longer ones are slips of the unit.
const MAX_STEP_SECONDS: f64 = 1e9;

/// Most different names in `group_by`.
const MAX_GROUP_LABELS: usize = 256;

/// The limits that one request is checked against.
#[derive(Clone, Debug)]
pub(crate) struct Checks<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) now_ms: i64,
}

/// The fields that all queries over profiles have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    pub(crate) profile_type: &'a str,
    pub(crate) label_selector: &'a str,
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Checks<'_> {
    /// The part of a range that may be read; `None` if it is older than the lookback as a whole.
    pub(crate) fn range(&self, start_ms: i64, end_ms: i64) -> Result<Option<TimeRange>, Error> {
        if start_ms == 0 || end_ms == 0 {
            return Err(Error::MissingRange);
        }
        for (field, value) in [("start", start_ms), ("end", end_ms)] {
            if looks_like_seconds(value) {
                return Err(Error::Seconds { field, value });
            }
        }
        self.known_range(start_ms, end_ms)
    }

    /// As [`Self::range`], for times that were given with their unit.
    pub(crate) fn known_range(
        &self,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Option<TimeRange>, Error> {
        if start_ms > end_ms {
            return Err(Error::ReversedRange { start_ms, end_ms });
        }
        let mut range = TimeRange { start_ms, end_ms };
        let lookback = self.limits.max_query_lookback;
        if !lookback.is_zero() {
            let oldest = self.now_ms.saturating_sub(millis(lookback));
            if end_ms < oldest {
                return Ok(None);
            }
            range.start_ms = start_ms.max(oldest);
        }
        let limit = self.limits.max_query_length;
        let length = end_ms.saturating_sub(range.start_ms);
        if !limit.is_zero() && length > millis(limit) {
            let length = Duration::from_millis(length.unsigned_abs());
            return Err(Error::RangeTooLong { length, limit });
        }
        Ok(Some(range))
    }

    /// A query about labels; its range counts only if it has both ends. `None` if nothing can match.
    pub(crate) fn metadata(
        &self,
        start_ms: i64,
        end_ms: i64,
        matchers: &[String],
    ) -> Result<Option<MetadataQuery>, Error> {
        let range = if start_ms == 0 || end_ms == 0 {
            None
        } else {
            let Some(range) = self.range(start_ms, end_ms)? else {
                parse::selectors("matchers", matchers)?;
                return Ok(None);
            };
            Some(range)
        };
        let selectors = parse::selectors("matchers", matchers)?;
        Ok(Some(MetadataQuery { selectors, range }))
    }

    /// The node limit of a flame graph: the default if none is asked for.
    pub(crate) fn max_nodes(&self, asked: i64) -> Result<i64, Error> {
        let limit = self.limits.max_flamegraph_nodes_max;
        if asked == 0 {
            return Ok(self.limits.max_flamegraph_nodes_default);
        }
        self.within_max_nodes(asked, limit)
    }

    fn within_max_nodes(&self, asked: i64, limit: i64) -> Result<i64, Error> {
        if limit > 0 && asked < 0 {
            return Err(Error::NegativeMaxNodes {
                max_nodes: asked,
                limit,
            });
        }
        if limit > 0 && asked > limit {
            return Err(Error::MaxNodes {
                max_nodes: asked,
                limit,
            });
        }
        Ok(asked.max(0))
    }

    /// The node limit of a pprof export, 0 for all: as asked, unless the tenant's limits apply to exports, too.
    pub(crate) fn export_max_nodes(&self, asked: i64) -> Result<i64, Error> {
        if self.limits.max_flamegraph_nodes_on_select_merge_profile {
            return self.max_nodes(asked);
        }
        Ok(asked.max(0))
    }

    /// A query for all stacks; `None` if its range is older than the lookback.
    pub(crate) fn merge(&self, selection: Selection<'_>) -> Result<Option<MergeQuery>, Error> {
        let range = self.range(selection.start, selection.end)?;
        let profile_type = parse::profile_type("profile_typeID", selection.profile_type)?;
        let selector = parse::selector("label_selector", selection.label_selector)?;
        Ok(range.map(|range| all_stacks(profile_type, selector, range)))
    }

    /// A query for totals over time; `None` if its range is older than the lookback.
    pub(crate) fn series(
        &self,
        request: &SelectSeriesRequest,
    ) -> Result<Option<SeriesQuery>, Error> {
        let range = self.range(request.start, request.end)?;
        refuse_exemplars(request.exemplar_type)?;
        let step_ms = step_ms(request.step)?;
        if let Some(range) = range {
            self.points(range, step_ms)?;
        }
        let profile_type = parse::profile_type("profile_typeID", &request.profile_type_id)?;
        let selector = parse::selector("label_selector", &request.label_selector)?;
        let aggregation = parse::aggregation(request.aggregation)?;
        let group_by = group_by(&request.group_by)?;
        let (call_site, _) = parse::stack_trace_selector(request.stack_trace_selector.as_ref());
        Ok(range.map(|range| SeriesQuery {
            profile_type,
            selector,
            range,
            step_ms,
            group_by,
            aggregation,
            call_site,
        }))
    }

    /// Refuses a step that makes too many points of a range.
    pub(crate) fn points(&self, range: TimeRange, step_ms: i64) -> Result<(), Error> {
        let steps = range.end_ms.saturating_sub(range.start_ms) / step_ms.max(1);
        let points = steps.unsigned_abs().saturating_add(1);
        let limit = self.limits.max_query_points;
        if limit > 0 && points > limit as u64 {
            return Err(Error::TooManyPoints {
                step_ms,
                points,
                limit,
            });
        }
        Ok(())
    }
}

/// A query for all stacks, uncut.
pub(crate) fn all_stacks(
    profile_type: ProfileType,
    selector: Selector,
    range: TimeRange,
) -> MergeQuery {
    MergeQuery {
        profile_type,
        selector,
        range,
        spans: None,
        call_site: Vec::new(),
        max_nodes: 0,
        go_pgo: None,
    }
}

/// Ten digits are a time of this century in seconds; in milliseconds they would lie in the spring of 1970.
fn looks_like_seconds(value: i64) -> bool {
    (1_000_000_000..10_000_000_000).contains(&value)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds as whole milliseconds.
fn step_ms(step: f64) -> Result<i64, Error> {
    if !(0.001..=MAX_STEP_SECONDS).contains(&step) {
        return Err(Error::Step {
            step,
            max: MAX_STEP_SECONDS,
        });
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "between 1 and 1e12, checked above"
    )]
    let ms = (step * 1000.0).round() as i64;
    Ok(ms.max(1))
}

/// The names, each once, in the order of the request.
fn group_by(names: &[String]) -> Result<Vec<String>, Error> {
    let mut unique: Vec<String> = Vec::new();
    for name in names {
        if name.is_empty() {
            return Err(Error::EmptyLabelName { field: "group_by" });
        }
        if !unique.contains(name) {
            unique.push(name.clone());
        }
        if unique.len() > MAX_GROUP_LABELS {
            return Err(Error::TooManyGroupLabels {
                names: names.len(),
                limit: MAX_GROUP_LABELS,
            });
        }
    }
    Ok(unique)
}

/// Exemplars are not stored; `NONE` is what clients send that want none.
fn refuse_exemplars(value: i32) -> Result<(), Error> {
    match ExemplarType::try_from(value) {
        Ok(ExemplarType::Unspecified | ExemplarType::None) => Ok(()),
        Ok(ExemplarType::Individual | ExemplarType::Span) => Err(Error::Unsupported {
            what: "`exemplar_type`",
        }),
        Err(_) => Err(Error::UnknownValue {
            field: "exemplar_type",
            value,
        }),
    }
}

#[cfg(test)]
mod tests;
