//! `SelectMergeProfile`: profiles merged into one pprof (api.md 8.6).

use phlare_model::ask::Query;
use phlare_model::profile_type::ProfileType;
use phlare_model::{MergeQuery, TenantId, TimeRange};
use phlare_proto::google::v1::{Profile, ValueType};
use phlare_proto::querier::v1::SelectMergeProfileRequest;
use phlare_server::Status;

use crate::error::Error;
use crate::frontend::QueryFrontend;
use crate::parse;
use crate::validate::{Checks, Selection};

impl QueryFrontend {
    pub(crate) async fn select_merge_profile(
        &self,
        tenant: TenantId,
        request: SelectMergeProfileRequest,
    ) -> Result<Profile, Status> {
        let limits = self.limits(&tenant);
        let checks = self.checks(&limits);
        let query = self.checked(plan(&checks, &request))?;
        self.export(tenant, query).await
    }

    /// The pprof of a query, always one that `go tool pprof` opens.
    pub(crate) async fn export(
        &self,
        tenant: TenantId,
        query: Option<MergeQuery>,
    ) -> Result<Profile, Status> {
        let Some(query) = query else {
            return Ok(Profile {
                string_table: vec![String::new()],
                ..Profile::default()
            });
        };
        let (kind, range) = (query.profile_type.clone(), query.range);
        let profile: Box<Profile> = self.ask(tenant, Query::Pprof(query)).await?;
        Ok(finish(*profile, &kind, range))
    }
}

fn plan(
    checks: &Checks<'_>,
    request: &SelectMergeProfileRequest,
) -> Result<Option<MergeQuery>, Error> {
    let query = checks.merge(Selection {
        profile_type: &request.profile_type_id,
        label_selector: &request.label_selector,
        start: request.start,
        end: request.end,
    })?;
    let max_nodes = checks.export_max_nodes(request.max_nodes.unwrap_or_default())?;
    if !request.trace_id_selector.is_empty() {
        return Err(Error::Unsupported {
            what: "`trace_id_selector`",
        });
    }
    if !request.profile_id_selector.is_empty() {
        return Err(Error::Unsupported {
            what: "`profile_id_selector`",
        });
    }
    let (call_site, go_pgo) = parse::stack_trace_selector(request.stack_trace_selector.as_ref());
    Ok(query.map(|query| MergeQuery {
        max_nodes,
        call_site,
        go_pgo,
        ..query
    }))
}

/// Gives merged samples the head that the request implies; without samples, the one shape of "nothing".
fn finish(mut profile: Profile, kind: &ProfileType, range: TimeRange) -> Profile {
    if profile.sample.is_empty() {
        return nothing();
    }
    stamp(&mut profile, kind);
    profile.time_nanos = range.end_ms.saturating_mul(1_000_000);
    profile.duration_nanos = range
        .end_ms
        .saturating_sub(range.start_ms)
        .saturating_mul(1_000_000);
    profile
}

/// A merge of no profiles: an unnamed sample type and no samples.
pub(crate) fn nothing() -> Profile {
    Profile {
        sample_type: vec![ValueType::default()],
        period_type: Some(ValueType::default()),
        string_table: vec![String::new()],
        ..Profile::default()
    }
}

/// Writes sample type, period type and period of a profile type into a pprof.
pub(crate) fn stamp(profile: &mut Profile, kind: &ProfileType) {
    let strings = &mut profile.string_table;
    if strings.is_empty() {
        strings.push(String::new());
    }
    let sample_type = ValueType {
        r#type: intern(strings, &kind.sample_type),
        unit: intern(strings, &kind.sample_unit),
    };
    let period_type = ValueType {
        r#type: intern(strings, &kind.period_type),
        unit: intern(strings, &kind.period_unit),
    };
    profile.default_sample_type = sample_type.r#type;
    profile.sample_type = vec![sample_type];
    profile.period_type = Some(period_type);
    profile.period = match kind.name.as_str() {
        "process_cpu" => 1_000_000_000,
        "memory" => 512 * 1024,
        _ => 1,
    };
}

/// The index of a text in a string table, at its end if it is new.
fn intern(strings: &mut Vec<String>, text: &str) -> i64 {
    let at = strings
        .iter()
        .position(|known| known == text)
        .unwrap_or_else(|| {
            strings.push(text.to_owned());
            strings.len() - 1
        });
    i64::try_from(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use phlare_proto::google::v1::Sample;

    use super::*;

    const RANGE: TimeRange = TimeRange {
        start_ms: 1_000,
        end_ms: 61_000,
    };

    fn finished(id: &str, profile: Profile) -> Profile {
        finish(profile, &id.parse().unwrap(), RANGE)
    }

    fn one_sample(strings: &[&str]) -> Profile {
        Profile {
            sample: vec![Sample {
                value: vec![7],
                ..Sample::default()
            }],
            string_table: strings.iter().map(|&text| text.to_owned()).collect(),
            ..Profile::default()
        }
    }

    #[test]
    fn the_head_follows_from_the_request() {
        let check = |id: &str, period: i64| {
            let profile = finished(id, one_sample(&["", "main", "cpu"]));
            let text = |index: i64| profile.string_table[usize::try_from(index).unwrap()].as_str();
            let unit = |kind: &ValueType| format!("{}:{}", text(kind.r#type), text(kind.unit));
            let head: Vec<&str> = id.splitn(2, ':').collect();
            let sample_type = unit(&profile.sample_type[0]);
            assert_eq!(
                format!(
                    "{sample_type}:{}",
                    unit(profile.period_type.as_ref().unwrap())
                ),
                head[1]
            );
            assert_eq!(
                text(profile.default_sample_type),
                sample_type.split(':').next().unwrap()
            );
            assert_eq!(profile.period, period, "{id}");
            assert_eq!(profile.time_nanos, 61_000_000_000);
            assert_eq!(profile.duration_nanos, 60_000_000_000);
            assert_eq!(
                profile
                    .string_table
                    .iter()
                    .filter(|text| text.is_empty())
                    .count(),
                1,
                "{id}"
            );
        };
        check("process_cpu:cpu:nanoseconds:cpu:nanoseconds", 1_000_000_000);
        check("memory:inuse_space:bytes:space:bytes", 524_288);
        check("process_cpu:samples:count::milliseconds", 1_000_000_000);
        check("goroutine:goroutine:count:goroutine:count", 1);
        check("memory:alloc_space:bytes::", 524_288);
    }

    #[test]
    fn a_profile_without_strings_gets_the_empty_one_first() {
        assert_eq!(
            finished("a:b:c:d:e", one_sample(&[])).string_table,
            ["", "b", "c", "d", "e"]
        );
    }

    #[test]
    fn nothing_found_has_one_shape() {
        let leftovers = Profile {
            string_table: vec!["x".into()],
            period: 7,
            ..Profile::default()
        };
        for found in [Profile::default(), leftovers] {
            assert_eq!(finished("a:b:c:d:e", found), nothing());
        }
    }
}
