//! Files to send: read, taken apart, labelled.

use std::path::Path;

use anyhow::{Context, ensure};
use phlare_proto::google::v1::Profile;
use prost::Message;

use crate::manifest::Entry;
use crate::stamp::{self, Template};

/// The label that names the kind of profile.
pub(crate) const NAME: &str = "__name__";
/// The label that names the program.
pub(crate) const SERVICE_NAME: &str = "service_name";
/// Regions that series are spread over.
const REGIONS: [&str; 3] = ["eu-west", "us-east", "ap-south"];

/// One profile with the label sets under which it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The profile without its time.
    pub(crate) template: Template,
    /// Label sets, each sorted by name.
    pub(crate) series: Vec<Vec<(String, String)>>,
    /// Number of sample types: profiles that the server makes of one.
    pub(crate) sample_types: usize,
    /// Number of samples in the file.
    pub(crate) samples: usize,
}

impl Source {
    /// Reads a file.
    pub(crate) fn load(entry: &Entry, series_per_file: usize) -> anyhow::Result<Self> {
        let path = &entry.path;
        let raw = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(entry, raw, series_per_file).with_context(|| format!("{}", path.display()))
    }

    fn parse(entry: &Entry, raw: Vec<u8>, series_per_file: usize) -> anyhow::Result<Self> {
        let pprof = stamp::gunzip(raw)?;
        let profile = Profile::decode(pprof.as_slice()).context("not a pprof file")?;
        ensure!(
            !profile.sample_type.is_empty(),
            "not a pprof file: it has no sample types"
        );
        let mut labels = entry.labels.clone();
        set_default(&mut labels, SERVICE_NAME, || file_stem(&entry.path));
        set_default(&mut labels, NAME, || {
            metric_name(&sample_types(&profile)).to_owned()
        });
        Ok(Self {
            template: Template::new(&pprof)?,
            series: (0..series_per_file)
                .map(|number| variant(&labels, number))
                .collect(),
            sample_types: profile.sample_type.len(),
            samples: profile.sample.len(),
        })
    }
}

fn set_default(labels: &mut Vec<(String, String)>, name: &str, value: impl FnOnce() -> String) {
    if labels.iter().all(|(n, _)| n != name) {
        labels.push((name.to_owned(), value()));
    }
}

/// Label set number `number` of a file.
fn variant(labels: &[(String, String)], number: usize) -> Vec<(String, String)> {
    let mut labels = labels.to_vec();
    let region = REGIONS
        .get(number % REGIONS.len())
        .copied()
        .unwrap_or_default();
    set_default(&mut labels, "pod", || format!("pod-{number}"));
    set_default(&mut labels, "region", || region.to_owned());
    labels.sort();
    labels
}

fn file_stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    let clean: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    if clean.is_empty() {
        "phlare-load".to_owned()
    } else {
        clean
    }
}

fn sample_types(profile: &Profile) -> Vec<&str> {
    let string = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| profile.string_table.get(index))
            .map_or("", String::as_str)
    };
    profile
        .sample_type
        .iter()
        .map(|kind| string(kind.r#type))
        .collect()
}

/// The customary name of a profile with these sample types.
fn metric_name(types: &[&str]) -> &'static str {
    let any = |wanted: &[&str]| types.iter().any(|kind| wanted.contains(kind));
    if any(&["wall"]) {
        "wall"
    } else if types
        .iter()
        .any(|kind| kind.starts_with("alloc_") || kind.starts_with("inuse_"))
        || any(&["space", "objects"])
    {
        "memory"
    } else if any(&["contentions", "delay"]) {
        "mutex"
    } else if any(&["goroutine", "goroutines"]) {
        "goroutine"
    } else {
        "process_cpu"
    }
}

#[cfg(test)]
mod tests {
    use phlare_proto::google::v1::ValueType;

    use super::*;

    fn pprof() -> Vec<u8> {
        Profile {
            string_table: ["", "alloc_space", "bytes"].map(String::from).to_vec(),
            sample_type: vec![ValueType { r#type: 1, unit: 2 }],
            ..Profile::default()
        }
        .encode_to_vec()
    }

    fn entry(path: &str, labels: &[(&str, &str)]) -> Entry {
        let labels = labels
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Entry {
            path: path.into(),
            labels,
        }
    }

    #[test]
    fn what_the_entry_does_not_say_is_guessed() {
        let source = Source::parse(&entry("x/my heap.pb.gz", &[]), pprof(), 2).unwrap();
        let expected = |pod: &str, region: &str| {
            [
                ("__name__", "memory"),
                ("pod", pod),
                ("region", region),
                ("service_name", "my-heap"),
            ]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
        };
        assert_eq!(source.series[0], expected("pod-0", "eu-west"));
        assert_eq!(source.series[1], expected("pod-1", "us-east"));
        assert_eq!(source.sample_types, 1);
    }

    #[test]
    fn labels_of_the_entry_stay() {
        let entry = entry(
            "a",
            &[("service_name", "s"), ("__name__", "n"), ("pod", "p")],
        );
        let source = Source::parse(&entry, pprof(), 1).unwrap();
        assert!(source.series[0].contains(&("pod".into(), "p".into())));
        assert!(source.series[0].contains(&("__name__".into(), "n".into())));
    }

    #[test]
    fn what_is_no_pprof_is_refused() {
        assert!(Source::parse(&entry("a", &[]), b"hello".to_vec(), 1).is_err());
        assert!(Source::parse(&entry("a", &[]), Vec::new(), 1).is_err());
    }

    #[test]
    fn names_follow_the_sample_types() {
        assert_eq!(metric_name(&["samples", "cpu"]), "process_cpu");
        assert_eq!(metric_name(&["sample", "wall"]), "wall");
        assert_eq!(metric_name(&["contentions", "delay"]), "mutex");
        assert_eq!(metric_name(&["goroutine"]), "goroutine");
    }
}
