//! Real profiles, prost as the oracle.

use std::path::{Path, PathBuf};

use phlare_pprof::gzip::{Inflater, gzip, is_gzip};
use phlare_pprof::summary::summary;
use phlare_pprof::{Workspace, merge};
use phlare_proto::google::v1::Profile;
use prost::Message;

use super::build::{options, rows};
use super::canonical::{of_message, of_result};

/// The directory of shared test data, if this checkout has one.
fn testdata() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let dir = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    dir.is_dir().then_some(dir)
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// All real profiles: those in `tests/data`, and those of the shared test data.
pub(crate) fn real_profiles() -> Vec<(String, Vec<u8>)> {
    let mut paths = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"),
        &mut paths,
    );
    if let Some(dir) = testdata() {
        for part in ["pprof", "jfr", "symdb"] {
            collect(&dir.join(part), &mut paths);
        }
    }
    paths.retain(|path| {
        let name = path.to_string_lossy();
        !name.ends_with(".json")
            && !name.ends_with(".json.gz")
            && !name.ends_with(".jfr.gz")
            && !name.ends_with(".labels.pb.gz")
            && !name.ends_with(".md")
            && !name.ends_with(".symdb")
            && !name.ends_with(".parquet")
    });
    paths
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

fn plain(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if is_gzip(raw) {
        Inflater::new().gunzip(raw, 1 << 30, &mut out).unwrap();
    } else {
        out.extend_from_slice(raw);
    }
    out
}

/// .NET profiles without function ids and with dashes, and one that is not UTF-8: prost or the rules refuse them.
fn is_regular(name: &str) -> bool {
    !name.ends_with("dotnet-pprof-3.pb.gz") && !name.ends_with("invalid_utf8.pb.gz")
}

#[test]
fn real_profiles_say_the_same_as_their_messages() {
    let mut workspace = Workspace::new();
    let profiles = real_profiles();
    assert!(profiles.len() >= 4);
    for (name, raw) in profiles.iter().filter(|(name, _)| is_regular(name)) {
        let message = Profile::decode(&*plain(raw)).unwrap();
        if message.location.len() > 3000 {
            continue; // two of hundreds of thousands of frames: their totals are compared below
        }
        let options = phlare_pprof::Options {
            max_samples: 0,
            ..options()
        };
        let decoded = workspace.decode(raw, 0).unwrap();
        assert_eq!(decoded.size(), plain(raw).len());
        assert_eq!(decoded.sample_count(), message.sample.len());
        assert_eq!(decoded.time_ns(), message.time_nanos);
        assert_eq!(decoded.strings().count(), message.string_table.len());
        let normalized = decoded.normalize(&options).unwrap();
        assert_eq!(
            of_result(&normalized),
            of_message(&message, &options),
            "{name}"
        );
    }
}

#[test]
fn totals_of_real_profiles_are_those_of_their_samples() {
    let mut workspace = Workspace::new();
    for (name, raw) in real_profiles().iter().filter(|(name, _)| is_regular(name)) {
        if name.ends_with("no_addr_no_line.pb.gz") {
            continue; // a sample is dropped, see below
        }
        let message = Profile::decode(&*plain(raw)).unwrap();
        let normalized = workspace
            .decode(raw, 0)
            .unwrap()
            .normalize(&options())
            .unwrap();
        let mut sums = vec![0_i128; message.sample_type.len()];
        for sample in &message.sample {
            for (sum, &value) in sums.iter_mut().zip(&sample.value) {
                *sum += i128::from(value.max(0));
            }
        }
        assert_eq!(
            normalized
                .totals()
                .iter()
                .map(|&t| i128::from(t))
                .collect::<Vec<_>>(),
            sums,
            "{name}"
        );
    }
}

#[test]
fn a_sample_on_a_location_of_nothing_is_dropped_and_counted() {
    let raw = include_bytes!("../data/no_addr_no_line.pb.gz");
    let mut workspace = Workspace::new();
    let n = workspace
        .decode(raw, 0)
        .unwrap()
        .normalize(&options())
        .unwrap();
    assert_eq!(n.totals(), [52_631_578], "one of two samples");
    assert_eq!(n.dropped.broken_samples, 1);
    assert_eq!(
        rows(&n),
        [
            "{} entry_SYSCALL_64_after_hwframe;do_syscall_64;syscall_exit_to_user_mode;__audit_syscall_exit 52631578"
        ]
    );
}

#[test]
fn gzip_and_plain_give_the_same() {
    let packed = include_bytes!("../data/go.cpu.labels.pprof");
    let unpacked = plain(packed);
    let twice = gzip(&unpacked, 1);
    let mut workspace = Workspace::new();
    let of = |workspace: &mut Workspace, raw: &[u8]| {
        of_result(
            &workspace
                .decode(raw, 0)
                .unwrap()
                .normalize(&options())
                .unwrap(),
        )
    };
    let expected = of(&mut workspace, packed);
    assert_eq!(of(&mut workspace, &unpacked), expected);
    assert_eq!(of(&mut workspace, &twice), expected);
}

#[test]
fn a_profile_above_the_size_limit_is_refused_compressed_or_not() {
    let packed = include_bytes!("../data/go.cpu.labels.pprof");
    let unpacked = plain(packed);
    for raw in [packed, &unpacked[..]] {
        assert!(Workspace::new().decode(raw, unpacked.len()).is_ok());
        let error = Workspace::new()
            .decode(raw, unpacked.len() - 1)
            .unwrap_err();
        assert_eq!(error.reason(), "profile_size_limit");
    }
}

#[test]
fn every_truncation_of_a_real_profile_is_refused_or_read() {
    let whole = plain(include_bytes!(
        "../data/single_group_with_optional_span_id.pb.gz"
    ));
    let mut workspace = Workspace::new();
    let mut refused = 0;
    for length in 0..whole.len() {
        match workspace
            .decode(&whole[..length], 0)
            .and_then(|decoded| decoded.normalize(&options()))
        {
            Ok(n) => drop(of_result(&n)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > whole.len() / 2);
}

#[test]
fn a_profile_merged_with_itself_has_twice_the_total_and_the_same_stacks() {
    for (name, raw) in real_profiles().iter().filter(|(name, _)| is_regular(name)) {
        let message = Profile::decode(&*plain(raw)).unwrap();
        if message.location.len() > 3000 {
            continue; // slow in debug builds, and no different
        }
        let once = merge::merge(std::slice::from_ref(&message)).unwrap();
        let twice = merge::merge(&[message.clone(), message.clone()]).unwrap();
        for ((one, two), original) in summary(&once)
            .iter()
            .zip(summary(&twice))
            .zip(summary(&message))
        {
            assert_eq!(
                (one.total * 2, &one.kind),
                (two.total, &original.kind),
                "{name}"
            );
            assert!(
                one.total == original.total || name.ends_with("no_addr_no_line.pb.gz"),
                "{name}"
            );
        }
        assert_eq!(once.sample.len(), twice.sample.len(), "{name}");
        assert!(twice.sample.len() <= message.sample.len());
    }
}
