use std::fs;
use std::sync::Arc;

use phlare_block::BlockId;
use phlare_block::meta::names;
use phlare_compactor::{Error, Sharding};
use phlare_ring::{Heartbeat, Instance, Ring, RingSettings, State, Token, Tokens};
use tokio::sync::watch;

use crate::support::{Fixture, TENANT};

const INPUT: &str = "v3-compaction/input/anonymous/phlaredb";
const OUTPUT: &str = "v3-compaction/output/anonymous/phlaredb";

/// The four blocks of one hour; the fifth is of the next.
fn first_hour(fixture: &Fixture, ids: &[BlockId]) -> Vec<BlockId> {
    let metas = fixture.metas();
    let hour = |id: &BlockId| metas[id].min_ms / 3_600_000;
    let first = ids.iter().map(hour).min().unwrap();
    ids.iter().copied().filter(|id| hour(id) == first).collect()
}

fn flip(fixture: &Fixture, block: BlockId, file: &str, at: usize) {
    let path = fixture.file(block, file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 0x55;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn blocks_of_an_hour_become_what_upstream_makes_of_them() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    let merged = first_hour(&fixture, &ids);
    assert_eq!(merged.len(), 4);
    fixture.compactor.compact().await.unwrap();

    let marks = fixture.deletion_marks();
    assert_eq!(marks.keys().copied().collect::<Vec<_>>(), merged);
    for mark in marks.values() {
        assert_eq!(mark.details, "source of compacted block");
        assert_eq!(mark.time_s, fixture.now_s());
    }
    let mut live = fixture.live();
    live.retain(|id, _| !ids.contains(id));
    let (id, meta) = live.pop_first().unwrap();
    assert!(live.is_empty());
    let theirs = Fixture::new();
    theirs.add_real(OUTPUT);
    let expected = theirs
        .metas()
        .into_values()
        .find(|meta| meta.compaction.level == 2);
    let expected = expected.unwrap();
    assert_eq!(meta.stats, expected.stats);
    assert_eq!(meta.compaction.sources, expected.compaction.sources);
    assert_eq!(
        (meta.min_ms, meta.max_ms),
        (expected.min_ms, expected.max_ms)
    );
    fixture.verify(id);
    assert_eq!(fixture.heard.0.lock().as_slice(), [meta]);
    fixture.check_disk();

    // There is nothing left to do.
    fixture.compactor.compact().await.unwrap();
    assert_eq!(fixture.deletion_marks(), marks);
    assert_eq!(fixture.heard.0.lock().len(), 1);
}

#[tokio::test]
async fn what_was_merged_is_merged_further_in_longer_windows() {
    let ranges = phlare_compactor::Config::default().block_ranges;
    let fixture = Fixture::with(|config| config.block_ranges = ranges, |_| {});
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    fixture.compactor.compact().await.unwrap();
    let live: Vec<_> = fixture.live().into_values().collect();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].compaction.level, 3);
    assert_eq!(live[0].compaction.sources, ids);
    assert_eq!(live[0].stats.num_samples, 16_185 + 192);
    fixture.verify(live[0].id);
    assert_eq!(fixture.heard.0.lock().len(), 2);
}

#[tokio::test]
async fn shards_hold_all_profiles_and_are_merged_shard_by_shard() {
    let fixture = Fixture::with(
        |config| config.downsampler_enabled = true,
        |limits| {
            limits.compactor_split_and_merge_shards = 3;
            limits.compactor_split_and_merge_stage_size = 2;
            limits.compactor_split_groups = 2;
        },
    );
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    let merged = Fixture::new();
    merged.add_real(INPUT);
    merged.compactor.compact().await.unwrap();
    let total = |fixture: &Fixture| -> u64 {
        let live = fixture.live();
        live.values().map(|meta| meta.stats.num_samples).sum()
    };
    fixture.compactor.compact().await.unwrap();
    assert_eq!(total(&fixture), total(&merged));
    let live = fixture.live();
    assert!(live.values().all(|meta| meta.shard().is_some()), "{live:?}");
    for id in ids {
        assert!(!live.contains_key(&id), "{id} was to be split");
    }
    // Two groups of the first hour were merged again, shard by shard.
    let first = live.values().filter(|meta| meta.compaction.level == 3);
    assert!(first.clone().count() > 0);
    for meta in first {
        assert!(
            meta.files.iter().any(|file| file.name().contains("sum")),
            "{:?}",
            meta.files
        );
    }
    for id in live.keys() {
        fixture.verify(*id);
    }
}

#[tokio::test]
async fn a_damaged_block_is_marked_once_and_the_others_are_merged() {
    for damage in ["index.tsdb", "profiles.parquet", "symbols"] {
        let fixture = Fixture::new();
        let ids = fixture.add_real(INPUT);
        if ids.is_empty() {
            return;
        }
        let inputs = first_hour(&fixture, &ids);
        let bad = inputs[1];
        match damage {
            "index.tsdb" => flip(&fixture, bad, damage, 100),
            "profiles.parquet" => {
                let path = fixture.file(bad, damage);
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
            }
            _ => fs::remove_dir_all(fixture.file(bad, "symbols")).unwrap(),
        }
        fixture.compactor.compact().await.unwrap();

        let marks = fixture.no_compact_marks();
        assert_eq!(marks.keys().copied().collect::<Vec<_>>(), [bad], "{damage}");
        let mark = &marks[&bad];
        assert_eq!(mark.reason, "damaged");
        let file = format!("{TENANT}/phlaredb/{bad}/{damage}");
        assert!(mark.details.contains(&file), "{}", mark.details);
        let deleted: Vec<_> = fixture.deletion_marks().into_keys().collect();
        let others: Vec<_> = inputs.iter().copied().filter(|id| *id != bad).collect();
        assert_eq!(deleted, others, "{damage}");

        fixture.clock.advance(std::time::Duration::from_secs(60));
        fixture.compactor.compact().await.unwrap();
        assert_eq!(fixture.no_compact_marks(), marks, "{damage}: marked once");
        fixture.check_disk();
    }
}

#[tokio::test]
async fn what_is_no_block_and_no_tenant_is_left_alone() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    let inputs = first_hour(&fixture, &ids);
    let (partial, corrupt) = (inputs[0], inputs[1]);
    fs::remove_file(fixture.file(partial, names::META)).unwrap();
    fs::write(fixture.file(corrupt, names::META), b"{").unwrap();
    for folder in ["traces", ".trash", "__pyroscope_cluster"] {
        fs::create_dir_all(fixture.bucket().join(folder)).unwrap();
        fs::write(fixture.bucket().join(folder).join("file"), b"mine").unwrap();
    }
    fixture.compactor.compact().await.unwrap();
    fixture.compactor.clean().await.unwrap();
    let deleted: Vec<_> = fixture.deletion_marks().into_keys().collect();
    assert_eq!(deleted, inputs[2..]);
    for folder in ["traces", ".trash", "__pyroscope_cluster"] {
        let files = fs::read_dir(fixture.bucket().join(folder)).unwrap();
        assert_eq!(files.count(), 1, "{folder}");
    }
    assert!(fixture.directories().contains(&corrupt));
    assert!(fixture.directories().contains(&partial));
}

#[tokio::test]
async fn a_block_that_others_contain_is_marked() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    fixture.compactor.compact().await.unwrap();
    let late = first_hour(&fixture, &ids)[0];
    upload_late(&fixture, late);
    let before = fixture.metas().len();
    fixture.compactor.compact().await.unwrap();
    assert_eq!(fixture.deletion_marks()[&late].details, "outdated block");
    assert_eq!(fixture.metas().len(), before, "nothing was merged for it");
}

/// As an ingester does that did not know that its block had been merged and deleted.
fn upload_late(fixture: &Fixture, block: BlockId) {
    for path in [
        fixture.file(block, "deletion-mark.json"),
        fixture.bucket().join(format!(
            "{TENANT}/phlaredb/markers/{block}-deletion-mark.json"
        )),
    ] {
        fs::remove_file(path).unwrap();
    }
}

/// Everything is for this compactor, but what the tenant as such needs.
fn all_but_the_tenant() -> Sharding {
    let member = |id: &str, tokens: &[u32]| {
        Arc::new(Instance {
            tokens: Tokens::new(tokens.to_vec()),
            id: id.into(),
            addr: String::new(),
            zone: "".into(),
            state: State::Active,
            registered_ms: 0,
            fresh: false,
            read_only: false,
            read_only_changed_ms: 0,
            heartbeat: Heartbeat::at_ms(i64::MAX),
        })
    };
    let of_tenant = Token::of_job(TENANT).get();
    let after = |distance: u32| of_tenant.wrapping_add(distance);
    let members = [
        member("other", &[of_tenant, after(1)]),
        member("me", &[after(2)]),
    ];
    Sharding {
        ring: watch::channel(Ring::new(Arc::new(RingSettings::default()), members)).1,
        me: "me".into(),
    }
}

#[tokio::test]
async fn a_block_that_others_contain_is_not_merged_by_who_does_not_mark_it() {
    let fixture = Fixture::new();
    let ids = fixture.add_real(INPUT);
    if ids.is_empty() {
        return;
    }
    fixture.compactor.compact().await.unwrap();
    let late = first_hour(&fixture, &ids)[0];
    upload_late(&fixture, late);
    let before = fixture.metas().len();
    let sharded = fixture.sharded(all_but_the_tenant());
    sharded.compactor.compact().await.unwrap();
    assert!(!fixture.deletion_marks().contains_key(&late));
    assert_eq!(fixture.metas().len(), before, "nothing was merged for it");
}

#[tokio::test]
async fn tenants_can_be_left_out() {
    for (enabled, disabled, works) in [
        ("other", "", false),
        ("", TENANT, false),
        (TENANT, "other", true),
    ] {
        let list = |text: &str| {
            text.split(',')
                .filter(|each| !each.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let fixture = Fixture::with(
            |config| {
                config.enabled_tenants = list(enabled);
                config.disabled_tenants = list(disabled);
            },
            |_| {},
        );
        if fixture.add_real(INPUT).is_empty() {
            return;
        }
        fixture.compactor.compact().await.unwrap();
        assert_eq!(
            !fixture.deletion_marks().is_empty(),
            works,
            "{enabled}/{disabled}"
        );
    }
}

#[tokio::test]
async fn blocks_of_ingesters_are_merged_after_a_wait() {
    let wait = std::time::Duration::from_secs(25 * 60);
    let fixture = Fixture::with(
        |config| config.first_level_compaction_wait_period = wait,
        |_| {},
    );
    if fixture.add_real(INPUT).is_empty() {
        return;
    }
    fixture.compactor.compact().await.unwrap();
    assert!(fixture.deletion_marks().is_empty());
    fixture.clock.advance(wait * 2);
    fixture.compactor.compact().await.unwrap();
    assert_eq!(fixture.deletion_marks().len(), 4);
}

#[tokio::test]
async fn a_bucket_that_is_gone_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    assert_eq!(fixture.compactor.trouble(), None);
    fs::remove_dir_all(fixture.bucket()).unwrap();
    for outcome in [
        fixture.compactor.compact().await,
        fixture.compactor.clean().await,
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Bucket(_)), "{error:?}");
        assert!(error.to_string().contains("bucket"), "{error}");
    }
    let trouble = fixture.compactor.trouble().unwrap();
    assert!(trouble.contains("bucket"), "{trouble}");
    fs::create_dir_all(fixture.bucket()).unwrap();
    fixture.compactor.compact().await.unwrap();
    fixture.compactor.clean().await.unwrap();
    assert_eq!(fixture.compactor.trouble(), None);
}
