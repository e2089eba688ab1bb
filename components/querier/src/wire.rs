//! Questions and answers as messages, both ways. What a message lacks or misspells is an invalid argument.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::Arc;

use phlare_block::BlockId;
use phlare_model::labels::Labels;
use phlare_model::query::{AnalyzeQuery, GoPgo, MetadataQuery, ProfileStats};
use phlare_model::selector::Selector;
use phlare_model::{Aggregation, MergeQuery, SeriesQuery, TimeRange};
use phlare_phlaredb::{AnalysisPart, Counted, FoundKeys, Keys, PprofParts, SeriesPart, StepPart};
use phlare_proto::phlare::store::v1 as proto;
use phlare_proto::types::v1::{Labels as LabelsMessage, TimeSeriesAggregationType};
use phlare_server::Status;

use crate::store::{EncodedTree, ListedBlock, Share};

fn malformed(what: &str) -> Status {
    Status::invalid_argument(format!(
        "{what}: the other end's version may not fit this one"
    ))
}

fn needed<T>(part: Option<T>, what: &str) -> Result<T, Status> {
    part.ok_or_else(|| malformed(&format!("a call between stores lacks its {what}")))
}

/// What a call is about, without the tenant.
#[derive(Debug, Default)]
pub(crate) struct OwnedShare {
    pub(crate) instance: String,
    pub(crate) blocks: Option<Vec<BlockId>>,
    pub(crate) keys: Option<Arc<Keys>>,
}

pub(crate) fn share(instance: &str, share: Share<'_>) -> proto::Share {
    proto::Share {
        instance_id: instance.to_owned(),
        blocks: share.blocks.map(|ids| proto::BlockList {
            ids: ids.iter().map(|id| id.to_bytes().to_vec()).collect(),
        }),
        keys: share.keys.map(|keys| proto::KeyList {
            keys: keys.to_bytes(),
        }),
    }
}

pub(crate) fn read_share(message: Option<proto::Share>) -> Result<OwnedShare, Status> {
    let message = needed(message, "share")?;
    let blocks = message
        .blocks
        .map(|list| block_ids(&list.ids))
        .transpose()?;
    let keys = message.keys.map(|list| keys(&list.keys)).transpose()?;
    Ok(OwnedShare {
        instance: message.instance_id,
        blocks,
        keys: keys.map(Arc::new),
    })
}

fn keys(bytes: &[u8]) -> Result<Keys, Status> {
    Keys::from_bytes(bytes).ok_or_else(|| malformed("keys that are not 8 bytes each"))
}

fn block_ids(ids: &[Vec<u8>]) -> Result<Vec<BlockId>, Status> {
    ids.iter().map(|id| block_id(id)).collect()
}

fn block_id(bytes: &[u8]) -> Result<BlockId, Status> {
    let bytes = bytes.try_into();
    bytes
        .map(BlockId::from_bytes)
        .map_err(|_| malformed("a block id that has not 16 bytes"))
}

pub(crate) fn range(range: TimeRange) -> proto::TimeRange {
    let TimeRange { start_ms, end_ms } = range;
    proto::TimeRange { start_ms, end_ms }
}

pub(crate) fn read_range(message: proto::TimeRange) -> TimeRange {
    let proto::TimeRange { start_ms, end_ms } = message;
    TimeRange { start_ms, end_ms }
}

fn selector(text: &str) -> Result<Selector, Status> {
    Selector::parse(text).map_err(|error| Status::invalid_argument(error.to_string()))
}

pub(crate) fn profiles(query: &AnalyzeQuery) -> proto::ProfilesQuery {
    proto::ProfilesQuery {
        profile_type: query.profile_type.as_ref().map(ToString::to_string),
        selector: query.selector.to_string(),
        range: Some(range(query.range)),
    }
}

pub(crate) fn read_profiles(message: Option<proto::ProfilesQuery>) -> Result<AnalyzeQuery, Status> {
    let message = needed(message, "query")?;
    let profile_type = message.profile_type.map(|text| text.parse()).transpose();
    Ok(AnalyzeQuery {
        profile_type: profile_type.map_err(
            |error: phlare_model::profile_type::ProfileTypeError| {
                Status::invalid_argument(error.to_string())
            },
        )?,
        selector: selector(&message.selector)?,
        range: read_range(needed(message.range, "time range")?),
    })
}

pub(crate) fn merge(query: &MergeQuery) -> proto::MergeQuery {
    proto::MergeQuery {
        profiles: Some(profiles(&AnalyzeQuery {
            profile_type: Some(query.profile_type.clone()),
            selector: query.selector.clone(),
            range: query.range,
        })),
        spans: query
            .spans
            .as_ref()
            .map(|spans| proto::SpanList { ids: spans.clone() }),
        call_site: query.call_site.clone(),
        max_nodes: query.max_nodes,
        go_pgo: query.go_pgo.map(|pgo| proto::GoPgo {
            keep_locations: pgo.keep_locations,
            aggregate_callees: pgo.aggregate_callees,
        }),
    }
}

pub(crate) fn read_merge(message: Option<proto::MergeQuery>) -> Result<MergeQuery, Status> {
    let message = needed(message, "query")?;
    let profiles = read_profiles(message.profiles)?;
    Ok(MergeQuery {
        profile_type: needed(profiles.profile_type, "profile type")?,
        selector: profiles.selector,
        range: profiles.range,
        spans: message.spans.map(|spans| spans.ids),
        call_site: message.call_site,
        max_nodes: message.max_nodes,
        go_pgo: message.go_pgo.map(|pgo| GoPgo {
            keep_locations: pgo.keep_locations,
            aggregate_callees: pgo.aggregate_callees,
        }),
    })
}

pub(crate) fn series(query: &SeriesQuery) -> proto::SeriesQuery {
    let aggregation = match query.aggregation {
        Aggregation::Sum => TimeSeriesAggregationType::Sum,
        Aggregation::Average => TimeSeriesAggregationType::Average,
    };
    proto::SeriesQuery {
        profiles: Some(profiles(&AnalyzeQuery {
            profile_type: Some(query.profile_type.clone()),
            selector: query.selector.clone(),
            range: query.range,
        })),
        step_ms: query.step_ms,
        group_by: query.group_by.clone(),
        aggregation: aggregation.into(),
        call_site: query.call_site.clone(),
    }
}

pub(crate) fn read_series(message: Option<proto::SeriesQuery>) -> Result<SeriesQuery, Status> {
    let message = needed(message, "query")?;
    let aggregation = match message.aggregation() {
        TimeSeriesAggregationType::Sum => Aggregation::Sum,
        TimeSeriesAggregationType::Average => Aggregation::Average,
    };
    let profiles = read_profiles(message.profiles)?;
    Ok(SeriesQuery {
        profile_type: needed(profiles.profile_type, "profile type")?,
        selector: profiles.selector,
        range: profiles.range,
        step_ms: message.step_ms,
        group_by: message.group_by,
        aggregation,
        call_site: message.call_site,
    })
}

pub(crate) fn metadata(query: &MetadataQuery) -> proto::MetadataQuery {
    proto::MetadataQuery {
        selectors: query.selectors.iter().map(ToString::to_string).collect(),
        range: query.range.map(range),
    }
}

pub(crate) fn read_metadata(
    message: Option<proto::MetadataQuery>,
) -> Result<MetadataQuery, Status> {
    let message = needed(message, "query")?;
    let selectors = message.selectors.iter().map(|text| selector(text));
    Ok(MetadataQuery {
        selectors: selectors.collect::<Result<_, _>>()?,
        range: message.range.map(read_range),
    })
}

pub(crate) fn found_keys(found: &FoundKeys) -> proto::KeysResponse {
    proto::KeysResponse {
        keys: Some(proto::KeyList {
            keys: found.keys.to_bytes(),
        }),
        first_ns: found.times_ns.map(|(first, _)| first),
        last_ns: found.times_ns.map(|(_, last)| last),
    }
}

pub(crate) fn read_found_keys(message: &proto::KeysResponse) -> Result<FoundKeys, Status> {
    let list = message.keys.as_ref();
    Ok(FoundKeys {
        keys: keys(list.map_or(&[], |list| &list.keys))?,
        times_ns: message.first_ns.zip(message.last_ns),
    })
}

pub(crate) fn trees(found: Counted<Vec<EncodedTree>>) -> proto::SelectTreeResponse {
    let part = |(partition, tree)| proto::TreePart { partition, tree };
    proto::SelectTreeResponse {
        parts: found.answer.into_iter().map(part).collect(),
        profiles: found.profiles,
    }
}

pub(crate) fn read_trees(message: proto::SelectTreeResponse) -> Counted<Vec<EncodedTree>> {
    let part = |part: proto::TreePart| (part.partition, part.tree);
    Counted {
        answer: message.parts.into_iter().map(part).collect(),
        profiles: message.profiles,
    }
}

pub(crate) fn pprofs(found: Counted<PprofParts>) -> proto::SelectPprofResponse {
    let part = |(partition, profile)| proto::PprofPart {
        partition,
        profile: Some(profile),
    };
    proto::SelectPprofResponse {
        parts: found.answer.parts.into_iter().map(part).collect(),
        profiles: found.profiles,
        doc_url: found.answer.doc_url,
    }
}

pub(crate) fn read_pprofs(message: proto::SelectPprofResponse) -> Counted<PprofParts> {
    let part = |part: proto::PprofPart| Some((part.partition, part.profile?));
    Counted {
        answer: PprofParts {
            parts: message.parts.into_iter().filter_map(part).collect(),
            doc_url: message.doc_url,
        },
        profiles: message.profiles,
    }
}

pub(crate) fn sums(found: Counted<Vec<SeriesPart>>) -> proto::SelectSeriesResponse {
    let part = |part: SeriesPart| proto::SeriesPart {
        labels: part.labels.to_proto(),
        times_ms: part.steps.iter().map(|step| step.time_ms).collect(),
        sums: part.steps.iter().map(|step| step.sum).collect(),
        counts: part.steps.iter().map(|step| step.count).collect(),
    };
    proto::SelectSeriesResponse {
        parts: found.answer.into_iter().map(part).collect(),
        profiles: found.profiles,
    }
}

pub(crate) fn read_sums(message: &proto::SelectSeriesResponse) -> Counted<Vec<SeriesPart>> {
    let part = |part: &proto::SeriesPart| {
        let values = part.times_ms.iter().zip(&part.sums).zip(&part.counts);
        let step = |((&time_ms, &sum), &count)| StepPart {
            time_ms,
            sum,
            count,
        };
        SeriesPart {
            labels: Labels::from(part.labels.as_slice()),
            steps: values.map(step).collect(),
        }
    };
    Counted {
        answer: message.parts.iter().map(part).collect(),
        profiles: message.profiles,
    }
}

pub(crate) fn analysis(found: &Counted<AnalysisPart>) -> proto::AnalyzeResponse {
    let part = &found.answer;
    proto::AnalyzeResponse {
        series: part.series.to_bytes(),
        profiles: part.profiles,
        samples: part.samples,
        bytes: part.bytes,
    }
}

pub(crate) fn read_analysis(
    message: &proto::AnalyzeResponse,
) -> Result<Counted<AnalysisPart>, Status> {
    Ok(Counted {
        answer: AnalysisPart {
            series: keys(&message.series)?,
            profiles: message.profiles,
            samples: message.samples,
            bytes: message.bytes,
        },
        profiles: message.profiles,
    })
}

pub(crate) fn label_sets(sets: &[Labels]) -> proto::SeriesResponse {
    let message = |labels: &Labels| LabelsMessage {
        labels: labels.to_proto(),
    };
    proto::SeriesResponse {
        series: sets.iter().map(message).collect(),
    }
}

pub(crate) fn read_label_sets(message: &proto::SeriesResponse) -> Vec<Labels> {
    let labels = |set: &LabelsMessage| {
        let pairs = set.labels.iter();
        Labels::in_stored_order(pairs.map(|pair| (&pair.name, &pair.value)))
    };
    message.series.iter().map(labels).collect()
}

pub(crate) fn stats(stats: ProfileStats) -> proto::StatsResponse {
    proto::StatsResponse {
        times: stats.times.map(range),
    }
}

pub(crate) fn read_stats(message: proto::StatsResponse) -> ProfileStats {
    ProfileStats {
        times: message.times.map(read_range),
    }
}

pub(crate) fn blocks(blocks: Vec<ListedBlock>) -> proto::BlocksResponse {
    let bytes = |id: &BlockId| id.to_bytes().to_vec();
    let message = |block: ListedBlock| proto::Block {
        id: bytes(&block.id),
        times: Some(range(block.times)),
        level: block.level,
        sources: block.sources.iter().map(bytes).collect(),
        shard: block.shard,
    };
    proto::BlocksResponse {
        blocks: blocks.into_iter().map(message).collect(),
    }
}

pub(crate) fn read_blocks(message: proto::BlocksResponse) -> Result<Vec<ListedBlock>, Status> {
    let block = |message: proto::Block| {
        Ok(ListedBlock {
            id: block_id(&message.id)?,
            times: read_range(needed(message.times, "times of a block")?),
            level: message.level,
            sources: block_ids(&message.sources)?,
            shard: message.shard,
        })
    };
    message.blocks.into_iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(".{0,8}", 0..3)
    }

    proptest! {
        #[test]
        fn queries_come_back(
            value in ".{0,8}", call_site in texts(), spans in prop::option::of(prop::collection::vec(any::<u64>(), 0..3)),
            start_ms: i64, end_ms: i64, max_nodes: i64, pgo in prop::option::of((any::<u32>(), any::<bool>())),
        ) {
            let matchers = vec![
                phlare_model::selector::Matcher::equal("a.b \"c", value.clone()),
                phlare_model::selector::Matcher::equal("plain", value),
            ];
            let query = MergeQuery {
                profile_type: "process_cpu:cpu:nanoseconds:cpu:nanoseconds".parse().unwrap(),
                selector: Selector::from(matchers),
                range: TimeRange { start_ms, end_ms },
                spans,
                call_site,
                max_nodes,
                go_pgo: pgo.map(|(keep_locations, aggregate_callees)| GoPgo { keep_locations, aggregate_callees }),
            };
            let back = read_merge(Some(merge(&query))).unwrap();
            prop_assert_eq!(format!("{back:?}"), format!("{query:?}"));
        }

        #[test]
        fn sums_come_back(
            pairs in prop::collection::btree_map("[a-z]{1,4}", ".{0,8}", 0..4),
            steps in prop::collection::vec((any::<i64>(), 0.0..1e300_f64, any::<u64>()), 0..5),
            profiles: u64,
        ) {
            let step = |(time_ms, sum, count)| StepPart { time_ms, sum, count };
            let part = SeriesPart {
                labels: Labels::from_pairs(pairs),
                steps: steps.into_iter().map(step).collect(),
            };
            let found = Counted { answer: vec![part], profiles };
            prop_assert_eq!(read_sums(&sums(found.clone())), found);
        }
    }

    #[test]
    fn every_field_of_a_series_query_comes_back() {
        for aggregation in [Aggregation::Sum, Aggregation::Average] {
            let query = SeriesQuery {
                profile_type: "a:b:c:d:e".parse().unwrap(),
                selector: Selector::all(),
                range: TimeRange {
                    start_ms: 1,
                    end_ms: 2,
                },
                step_ms: 3,
                group_by: vec!["pod".to_owned()],
                aggregation,
                call_site: vec!["main".to_owned()],
            };
            let back = read_series(Some(series(&query))).unwrap();
            assert_eq!(format!("{back:?}"), format!("{query:?}"));
        }
    }

    #[test]
    fn what_is_missing_or_misspelt_is_named() {
        let text = |status: Status| status.message;
        assert!(text(read_merge(None).unwrap_err()).contains("lacks its query"));
        assert!(text(read_share(None).unwrap_err()).contains("lacks its share"));
        let keys = proto::KeyList { keys: vec![1; 9] };
        let share = proto::Share {
            keys: Some(keys),
            ..proto::Share::default()
        };
        assert!(text(read_share(Some(share)).unwrap_err()).contains("8 bytes"));
        let blocks = proto::BlockList {
            ids: vec![vec![1; 15]],
        };
        let share = proto::Share {
            blocks: Some(blocks),
            ..proto::Share::default()
        };
        assert!(text(read_share(Some(share)).unwrap_err()).contains("16 bytes"));
    }
}
