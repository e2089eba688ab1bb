//! Questions and answers as messages, both ways. What a message lacks or misspells is an invalid argument.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::Arc;

use phlare_block::BlockId;
use phlare_model::labels::Labels;
use phlare_peer::queries::{malformed, needed, range, read_range};
use phlare_phlaredb::{AnalysisPart, Counted, FoundKeys, Keys, PprofParts, SeriesPart, StepPart};
use phlare_proto::phlare::store::v1 as proto;
use phlare_server::Status;

use crate::store::{EncodedTree, ListedBlock, Share};

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

    proptest! {
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
    fn what_is_missing_or_misspelt_is_named() {
        let text = |status: Status| status.message;
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
