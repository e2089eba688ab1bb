//! Real recordings, each with the profiles that it is.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use phlare_formats::jfr::{self, LabelsSnapshot, Options};
use phlare_formats::{Limits, SampleRate, Timing};
use phlare_proto::google::v1::{Profile, ValueType};
use prost::Message;

const LIMITS: Limits = Limits {
    profile_bytes: 4 << 20,
    symbol_bytes: 65_535,
    stacktraces: 16_000,
};

/// In the names of expected profiles: all samples, whatever their labels.
const ALL: &str = "17241709254077376921";

/// Values by stack: frames `function:line`, leaf first.
type Stacks = BTreeMap<String, i64>;

/// The directories with recordings: that of this package, and that of the shared test data if there is one.
fn directories() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = root.join("../../../shared/testdata");
    let shared = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    let directories = [root.join("tests/data/jfr"), shared.join("jfr")];
    directories.into_iter().filter(|dir| dir.is_dir()).collect()
}

fn content(path: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_end(&mut content)
        .unwrap();
    content
}

fn string(profile: &Profile, index: i64) -> &str {
    &profile.string_table[usize::try_from(index).unwrap()]
}

fn value_type(profile: &Profile, value: &ValueType) -> (String, String) {
    let text = |index| string(profile, index).to_owned();
    (text(value.r#type), text(value.unit))
}

/// The values of one sample type, by labels and by stack.
fn stacks(profile: &Profile, sample_type: usize) -> BTreeMap<String, Stacks> {
    let frame = |location: &u64| {
        let location = profile.location.iter().find(|l| l.id == *location).unwrap();
        let function = |id| profile.function.iter().find(|f| f.id == id).unwrap();
        let line = |line: &phlare_proto::google::v1::Line| {
            let name = string(profile, function(line.function_id).name);
            format!("{name}:{}", line.line)
        };
        location.line.iter().map(line).collect::<Vec<_>>().join(">")
    };
    let mut stacks: BTreeMap<String, Stacks> = BTreeMap::new();
    for sample in &profile.sample {
        let label = |label: &phlare_proto::google::v1::Label| {
            format!(
                "{}={}",
                string(profile, label.key),
                string(profile, label.str)
            )
        };
        let labels: Vec<String> = sample.label.iter().map(label).collect();
        let frames: Vec<String> = sample.location_id.iter().map(frame).collect();
        let value = sample.value[sample_type];
        let of_labels = stacks.entry(labels.join(",")).or_default();
        *of_labels.entry(frames.join(";")).or_default() += value;
    }
    stacks
}

fn sum<'a>(all: impl IntoIterator<Item = &'a Stacks>) -> Stacks {
    let mut sum = Stacks::new();
    for (stack, value) in all.into_iter().flatten() {
        *sum.entry(stack.clone()).or_default() += value;
    }
    sum
}

/// `process_cpu`, type and unit of values, type and unit of the period, of a name of a file.
fn described(profile: &Profile, name: &str, sample_type: usize) -> String {
    let value = value_type(profile, &profile.sample_type[sample_type]);
    let period = profile
        .period_type
        .as_ref()
        .map(|period| value_type(profile, period));
    let (period, unit) = period.unwrap_or_default();
    format!("{name}_{}_{}_{period}_{unit}", value.0, value.1)
}

/// Checks a recording against the profiles beside it; how many of them there are.
fn check(recording: &Path) -> usize {
    let labels = recording
        .to_str()
        .unwrap()
        .replace(".jfr.gz", ".labels.pb.gz");
    let labels = match Path::new(&labels) {
        path if path.try_exists().unwrap() => LabelsSnapshot::read(&content(path)).unwrap(),
        _ => LabelsSnapshot::default(),
    };
    let options = Options {
        limits: LIMITS,
        rate: SampleRate::UNKNOWN,
        timing: Timing {
            time_ns: 1,
            duration_ns: 2,
        },
        labels: &labels,
    };
    let read = jfr::parse(&content(recording), &options).unwrap();
    let mut profiles = BTreeMap::new();
    for profile in &read.profiles {
        let pprof = Profile::decode(&*profile.pprof).unwrap();
        assert_eq!((pprof.time_nanos, pprof.duration_nanos), (1, 2));
        for sample_type in 0..pprof.sample_type.len() {
            let name = described(&pprof, profile.name, sample_type);
            assert!(
                profiles
                    .insert(name, (pprof.clone(), sample_type))
                    .is_none()
            );
        }
    }
    let mut expected: BTreeMap<String, Vec<(bool, PathBuf)>> = BTreeMap::new();
    let file = recording.file_name().unwrap().to_str().unwrap();
    for entry in std::fs::read_dir(recording.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Some(rest) = name.strip_prefix(file)
            && let Some((kind, hash)) = rest
                .trim_end_matches(".pb.gz")
                .trim_start_matches('.')
                .split_once('.')
        {
            expected
                .entry(kind.to_owned())
                .or_default()
                .push((hash == ALL, path));
        }
    }
    let names: Vec<&String> = profiles.keys().collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{file}");
    let mut compared = 0;
    for (name, files) in &expected {
        let (pprof, sample_type) = &profiles[name];
        let ours = stacks(pprof, *sample_type);
        for (all, path) in files {
            let theirs = Profile::decode(&*content(path)).unwrap();
            let [theirs_stacks] = stacks(&theirs, 0)
                .into_values()
                .collect::<Vec<_>>()
                .try_into()
                .unwrap();
            assert_eq!(pprof.period, theirs.period, "{name}");
            assert_eq!(pprof.mapping.len(), theirs.mapping.len(), "{name}");
            if *all {
                assert!(sum(ours.values()) == theirs_stacks, "{name} of {file}");
            } else {
                // The number in the file's name stands for its labels.
                assert!(
                    ours.values().any(|ours| *ours == theirs_stacks),
                    "{}",
                    path.display()
                );
            }
            compared += 1;
        }
    }
    compared
}

#[test]
fn recordings_are_the_profiles_beside_them_sample_by_sample() {
    let mut compared = Vec::new();
    for directory in directories() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().ends_with(".jfr.gz") {
                compared.push(check(&path));
            }
        }
    }
    assert!(compared.contains(&5), "{compared:?}");
    assert!(
        compared.iter().all(|profiles| *profiles > 0),
        "{compared:?}"
    );
}
