//! A block that `phlarectl blocks rewrite` wrote anew lies beside the old one.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use phlare_block::compact::{Input, Options, rewrite};
use phlare_block::{BlockId, BlockIds, Files, LocalFiles, Meta};

use crate::support::Fixture;

const INPUT: &str = "v3-compaction/input/anonymous/phlaredb";
const OUTPUT: &str = "v3-compaction/output/anonymous/phlaredb";

/// Writes a block anew beside it, with a greater id.
fn rewrite_beside(fixture: &Fixture, block: BlockId) -> BlockId {
    let files: Arc<dyn Files> = Arc::new(LocalFiles::new(fixture.file(block, "")));
    let meta = Meta::read(&*files).unwrap();
    let id = BlockIds::random().next(block.time_ms() + 1);
    let made = fixture.data().join("rewritten");
    fs::create_dir_all(&made).unwrap();
    let options = Options {
        output: made.clone(),
        shards: 0,
        stage_size: 0,
        downsample: false,
        memory_bytes: 64 << 20,
        cancelled: &AtomicBool::new(false),
        ids: &mut |_| id,
    };
    let output = rewrite(&Input { meta, files }, options).unwrap().unwrap();
    assert_eq!(output.meta.compaction.level, 1);
    fs::rename(made.join(id.to_string()), fixture.file(id, "")).unwrap();
    fs::remove_dir(made).unwrap();
    id
}

#[tokio::test]
async fn a_rewritten_block_and_the_old_one_count_once() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    let metas = fixture.metas();
    let first_hour = metas[&ids[0]].min_ms / 3_600_000;
    let old = ids
        .iter()
        .find(|id| metas[id].min_ms / 3_600_000 == first_hour);
    let old = *old.unwrap();
    let new = rewrite_beside(&fixture, old);
    fixture.compactor.compact().await.unwrap();

    // What upstream makes of the blocks without the rewritten one.
    let theirs = Fixture::new();
    theirs.add_real(OUTPUT);
    let expected = theirs.metas().into_values();
    let expected: Vec<_> = expected.filter(|meta| meta.compaction.level == 2).collect();
    let live = fixture.live();
    let merged: Vec<_> = live
        .values()
        .filter(|meta| meta.compaction.level == 2)
        .collect();
    assert_eq!(merged.len(), 1);
    assert_eq!(merged[0].stats, expected[0].stats);
    assert_eq!(merged[0].compaction.sources, expected[0].compaction.sources);
    assert!(
        merged[0]
            .compaction
            .parents
            .iter()
            .any(|parent| parent.id == new)
    );
    fixture.verify(merged[0].id);
    // Both go.
    for id in [old, new] {
        assert!(!live.contains_key(&id), "{id}");
    }
    fixture.compactor.compact().await.unwrap();
    assert_eq!(fixture.live(), live);
}
