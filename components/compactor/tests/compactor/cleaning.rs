use std::fs;
use std::time::Duration;

use phlare_block::marks::TenantDeletionMark;
use phlare_block::meta::names;

use crate::support::{Fixture, TENANT};

const INPUT: &str = "v3-compaction/input/anonymous/phlaredb";
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_index_of_the_bucket_says_what_is_there() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    fixture.compactor.clean().await.unwrap();
    let index = fixture.index().unwrap();
    let listed: Vec<_> = index.blocks.iter().map(|block| block.id).collect();
    assert_eq!(listed, ids);
    assert!(index.block_deletion_marks.is_empty());
    assert_eq!(index.updated_at_s, fixture.now_s());
    for block in &index.blocks {
        let meta = &fixture.metas()[&block.id];
        assert_eq!((block.min_ms, block.max_ms), (meta.min_ms, meta.max_ms));
        assert_eq!(block.level, 1);
    }

    fixture.compactor.compact().await.unwrap();
    // A damaged index is made anew.
    fs::write(
        fixture
            .bucket()
            .join(TENANT)
            .join("phlaredb/bucket-index.json.gz"),
        b"no gzip",
    )
    .unwrap();
    fixture.compactor.clean().await.unwrap();
    let index = fixture.index().unwrap();
    assert_eq!(index.blocks.len(), ids.len() + 1);
    let marked: Vec<_> = index
        .block_deletion_marks
        .iter()
        .map(|mark| mark.id)
        .collect();
    assert_eq!(
        marked,
        fixture.deletion_marks().into_keys().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn marked_blocks_stay_for_readers_and_go_after_the_delay() {
    let fixture = Fixture::new();
    if fixture.add_real(INPUT).is_empty() {
        return;
    }
    fixture.compactor.compact().await.unwrap();
    let marked = fixture.deletion_marks();
    assert_eq!(marked.len(), 4);
    fixture.clock.advance(HOUR * 12 - Duration::from_secs(2));
    fixture.compactor.clean().await.unwrap();
    assert_eq!(fixture.deletion_marks(), marked);
    let live = fixture.live();

    fixture.clock.advance(Duration::from_secs(2));
    fixture.compactor.clean().await.unwrap();
    assert!(fixture.deletion_marks().is_empty());
    assert_eq!(fixture.directories(), live.keys().copied().collect());
    let index = fixture.index().unwrap();
    assert_eq!(index.blocks.len(), live.len());
    assert!(index.block_deletion_marks.is_empty());
}

#[tokio::test]
async fn blocks_older_than_a_tenant_keeps_profiles_are_marked() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    fixture.compactor.clean().await.unwrap();
    assert!(
        fixture.deletion_marks().is_empty(),
        "without a period all is kept"
    );

    let newest_ms = fixture
        .metas()
        .values()
        .map(|meta| meta.max_ms)
        .max()
        .unwrap();
    let age_ms = (fixture.now_s() * 1000).saturating_sub(newest_ms);
    // The newest block is one minute too young.
    let period =
        Duration::from_millis(u64::try_from(age_ms).unwrap_or_default()) + Duration::from_secs(60);
    let fixture = Fixture::with(
        |_| {},
        |limits| limits.compactor_blocks_retention_period = period,
    );
    fixture.add_real(INPUT);
    let metas = fixture.metas();
    fixture.compactor.clean().await.unwrap();
    let live = fixture.live();
    let youngest = metas
        .values()
        .filter(|meta| meta.max_ms == newest_ms)
        .count();
    assert_eq!(live.len(), youngest);
    assert!(live.values().all(|meta| meta.max_ms == newest_ms));
    for mark in fixture.deletion_marks().values() {
        assert!(
            mark.details.starts_with("block exceeding retention of"),
            "{}",
            mark.details
        );
    }
    fixture.clock.advance(Duration::from_secs(62));
    fixture.compactor.clean().await.unwrap();
    assert!(fixture.live().is_empty());
    // What is marked is not merged.
    fixture.compactor.compact().await.unwrap();
    assert_eq!(fixture.metas().len(), ids.len());
    fixture.clock.advance(HOUR * 12);
    fixture.compactor.clean().await.unwrap();
    assert!(fixture.directories().is_empty());
}

#[tokio::test]
async fn a_directory_without_meta_json_goes_when_nobody_completes_it() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    let Some(&partial) = ids.first() else {
        return;
    };
    fs::remove_file(fixture.file(partial, names::META)).unwrap();
    fixture.compactor.clean().await.unwrap();
    fixture.clock.advance(HOUR * 23);
    fixture.compactor.clean().await.unwrap();
    assert!(fixture.deletion_marks().is_empty(), "it may be on its way");

    fixture.clock.advance(HOUR * 2);
    fixture.compactor.clean().await.unwrap();
    assert!(
        fixture.deletion_marks()[&partial]
            .details
            .contains("without meta.json")
    );
    assert!(
        fixture.directories().contains(&partial),
        "somebody may still complete it"
    );
    fixture.clock.advance(HOUR / 4);
    fixture.compactor.clean().await.unwrap();
    assert!(!fixture.directories().contains(&partial));
    assert!(fixture.deletion_marks().is_empty());
    assert_eq!(fixture.index().unwrap().blocks.len(), ids.len() - 1);
}

#[tokio::test]
async fn a_block_whose_upload_is_begun_anew_is_not_taken_for_garbage() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    let Some(&partial) = ids.first() else {
        return;
    };
    fs::remove_file(fixture.file(partial, names::META)).unwrap();
    fixture.clock.advance(HOUR * 25);
    fixture.compactor.clean().await.unwrap();
    assert!(fixture.deletion_marks().contains_key(&partial));
    // The mark is still there, and an ingester writes.
    let now_s = u64::try_from(fixture.now_s()).unwrap();
    let modified = std::time::UNIX_EPOCH + Duration::from_secs(now_s);
    let file = fs::File::options()
        .write(true)
        .open(fixture.file(partial, names::INDEX))
        .unwrap();
    file.set_modified(modified).unwrap();
    fixture.clock.advance(HOUR / 4);
    fixture.compactor.clean().await.unwrap();
    assert!(fixture.file(partial, names::INDEX).is_file());
}

#[tokio::test]
async fn a_tenant_that_is_marked_is_deleted_as_a_whole() {
    let fixture = Fixture::new();
    if fixture.add_real(INPUT).is_empty() {
        return;
    }
    fixture.compactor.compact().await.unwrap();
    fixture.compactor.clean().await.unwrap();
    let before = fixture.metas().len();
    let marker = fixture
        .bucket()
        .join(TENANT)
        .join("phlaredb")
        .join(TenantDeletionMark::KEY);
    let mark = TenantDeletionMark {
        time_s: fixture.now_s(),
        finished_s: 0,
    };
    fs::write(&marker, mark.to_json()).unwrap();
    fixture.compactor.compact().await.unwrap();
    assert_eq!(fixture.metas().len(), before, "nothing is merged any more");

    fixture.compactor.clean().await.unwrap();
    assert!(fixture.directories().is_empty());
    assert!(fixture.index().is_none());
    let finished = TenantDeletionMark::parse(&fs::read(&marker).unwrap(), "mark").unwrap();
    assert_eq!(finished.time_s, mark.time_s);
    assert_eq!(i64::try_from(finished.finished_s), Ok(fixture.now_s()));

    fixture.clock.advance(HOUR * 12);
    fixture.compactor.clean().await.unwrap();
    assert!(!marker.try_exists().unwrap());
    fixture.compactor.clean().await.unwrap();
    assert!(
        fixture.index().is_none(),
        "nobody makes an index of nothing"
    );
}

#[tokio::test]
async fn blocks_that_were_deleted_by_hand_leave_the_index() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    let Some(&gone) = ids.first() else {
        return;
    };
    fixture.compactor.clean().await.unwrap();
    fs::remove_dir_all(fixture.file(gone, "")).unwrap();
    fixture.compactor.clean().await.unwrap();
    let listed = fixture.index().unwrap().blocks;
    assert!(listed.iter().all(|block| block.id != gone));
    for id in &ids {
        let _ = fs::remove_dir_all(fixture.file(*id, ""));
    }
    fixture.compactor.clean().await.unwrap();
    assert!(
        fixture.index().is_none(),
        "a tenant without blocks has no index"
    );
}
