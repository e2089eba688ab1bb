//! A file made ready for its way to the server.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use phlare_pprof::gzip;
use phlare_proto::google::v1::Profile;
use phlare_proto::push::v1::{PushRequest, PushResponse, RawProfileSeries, RawSample};
use phlare_proto::types::v1::LabelPair;
use prost::Message;

use super::Address;
use crate::client::{Client, ClientError};

/// Most bytes of a profile after decompression.
const LIMIT: usize = 1 << 30;
/// How hard profiles are compressed that are not.
const LEVEL: u32 = 6;

/// One request, made of one file.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) time_ms: i64,
    /// Known of pprof only.
    pub(super) samples: Option<usize>,
    body: Bytes,
    /// Where it goes: `None` is the push API, else `/ingest` with this format.
    format: Option<&'static str>,
    /// For `/ingest`: what follows the application's name.
    suffix: String,
}

impl Parcel {
    /// Reads a file by its name's ending; anything else is pprof.
    pub(super) fn pack(file: &Path, bytes: Vec<u8>, address: &Address) -> anyhow::Result<Self> {
        match format(file) {
            Some(format) => Self::other(format, bytes, address),
            None => Self::pprof(&bytes, address),
        }
    }

    fn pprof(bytes: &[u8], address: &Address) -> anyhow::Result<Self> {
        let plain = if gzip::is_gzip(bytes) {
            gunzip(bytes)?
        } else {
            bytes.to_vec()
        };
        let mut profile = Profile::decode(plain.as_slice()).context("not a pprof file")?;
        let types = sample_types(&profile);
        if types.is_empty() {
            bail!("not a pprof file: it has no sample types");
        }
        let mut labels = address.labels.clone();
        let name = address
            .name
            .clone()
            .unwrap_or_else(|| metric_name(&types).to_owned());
        labels.insert("__name__".to_owned(), name);
        // A file is shown as it is: of the first profile of a series that is differenced, nothing is left.
        labels
            .entry("__delta__".to_owned())
            .or_insert_with(|| "false".to_owned());

        let own_ms = profile.time_nanos.div_euclid(1_000_000);
        // A profile without a time is as of now.
        let set_ms = address
            .time_ms
            .or((profile.time_nanos == 0).then_some(address.now_ms));
        let body = match set_ms {
            Some(ms) => {
                profile.time_nanos = ms.saturating_mul(1_000_000);
                gzip::gzip(&profile.encode_to_vec(), LEVEL)
            }
            None if gzip::is_gzip(bytes) => bytes.to_vec(),
            None => gzip::gzip(bytes, LEVEL),
        };
        Ok(Self {
            labels,
            time_ms: set_ms.unwrap_or(own_ms),
            samples: Some(profile.sample.len()),
            body: body.into(),
            format: None,
            suffix: String::new(),
        })
    }

    fn other(format: &'static str, bytes: Vec<u8>, address: &Address) -> anyhow::Result<Self> {
        for (name, value) in &address.labels {
            if value.contains(['}', ',']) {
                bail!(
                    "label `{name}`: `/ingest`, which takes this format, cannot carry `}}` or `,` in a value"
                );
            }
        }
        // The server reads gzip only inside pprof and JFR.
        let body = if format != "jfr" && gzip::is_gzip(&bytes) {
            gunzip(&bytes)?
        } else {
            bytes
        };
        let suffix = match (&address.name, format) {
            (Some(name), _) => format!(".{name}"),
            (None, "jfr") => String::new(),
            (None, _) => ".cpu".to_owned(),
        };
        Ok(Self {
            labels: address.labels.clone(),
            time_ms: address.time_ms.unwrap_or(address.now_ms),
            samples: None,
            body: body.into(),
            format: Some(format),
            suffix,
        })
    }

    /// Sends it.
    pub(super) async fn send(&self, client: &Client) -> Result<(), ClientError> {
        let Some(format) = self.format else {
            let request = self.push_request();
            return client
                .call("push.v1.PusherService/Push", &request)
                .await
                .map(|_: PushResponse| ());
        };
        let mut url = client.url("ingest");
        let seconds = self.time_ms.div_euclid(1000).to_string();
        url.query_pairs_mut()
            .append_pair("name", &self.application_name())
            .append_pair("format", format)
            .append_pair("spyName", "phlarectl")
            .append_pair("from", &seconds)
            .append_pair("until", &seconds);
        client
            .post(url, "application/octet-stream", self.body.clone())
            .await
            .map(|_| ())
    }

    fn push_request(&self) -> PushRequest {
        let labels = self
            .labels
            .iter()
            .map(|(name, value)| LabelPair {
                name: name.clone(),
                value: value.clone(),
            })
            .collect();
        let sample = RawSample {
            raw_profile: self.body.clone(),
            ..RawSample::default()
        };
        let series = RawProfileSeries {
            labels,
            samples: vec![sample],
            ..RawProfileSeries::default()
        };
        PushRequest {
            series: vec![series],
        }
    }

    /// `service.suffix{name=value,…}`.
    fn application_name(&self) -> String {
        let service = self.labels.get("service_name").map_or("", String::as_str);
        let tags: Vec<String> = self
            .labels
            .iter()
            .filter(|(name, _)| *name != "service_name")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{service}{}{{{}}}", self.suffix, tags.join(","))
    }
}

/// The `format` of `/ingest` that a file's name tells.
fn format(file: &Path) -> Option<&'static str> {
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".collapsed", ".folded", ".txt"]) {
        Some("folded")
    } else if ends(&[".speedscope.json", ".speedscope"]) {
        Some("speedscope")
    } else if ends(&[".jfr"]) {
        Some("jfr")
    } else {
        None
    }
}

fn gunzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut plain = Vec::new();
    gzip::Inflater::new()
        .gunzip(bytes, LIMIT, &mut plain)
        .context("decompress the file")?;
    Ok(plain)
}

fn sample_types(profile: &Profile) -> Vec<&str> {
    let text = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| profile.string_table.get(index))
    };
    profile
        .sample_type
        .iter()
        .map(|kind| text(kind.r#type).map_or("", String::as_str))
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

    const NOW_MS: i64 = 1_700_000_000_000;

    fn address(name: Option<&str>, time_ms: Option<i64>) -> Address {
        let labels =
            [("service_name", "s"), ("env", "x")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        Address {
            labels: labels.into(),
            name: name.map(str::to_owned),
            time_ms,
            now_ms: NOW_MS,
        }
    }

    fn profile(time_nanos: i64) -> Profile {
        Profile {
            string_table: ["", "alloc_space", "bytes"].map(String::from).to_vec(),
            sample_type: vec![ValueType { r#type: 1, unit: 2 }],
            time_nanos,
            ..Profile::default()
        }
    }

    fn unpack(parcel: &Parcel) -> Profile {
        Profile::decode(gunzip(&parcel.body).unwrap().as_slice()).unwrap()
    }

    #[test]
    fn a_profile_keeps_its_time_unless_told_otherwise() {
        let plain = profile(5_000_000).encode_to_vec();
        let file = Path::new("a.pprof");
        let parcel = Parcel::pack(file, plain.clone(), &address(None, None)).unwrap();
        assert_eq!((parcel.time_ms, unpack(&parcel)), (5, profile(5_000_000)));
        assert_eq!(parcel.labels["__name__"], "memory");
        assert_eq!(parcel.labels["__delta__"], "false");

        let parcel = Parcel::pack(file, plain, &address(Some("n"), Some(7))).unwrap();
        assert_eq!((parcel.time_ms, unpack(&parcel)), (7, profile(7_000_000)));
        assert_eq!(parcel.labels["__name__"], "n");
    }

    #[test]
    fn a_profile_without_a_time_is_as_of_now() {
        let parcel = Parcel::pack(
            Path::new("a"),
            profile(0).encode_to_vec(),
            &address(None, None),
        )
        .unwrap();
        assert_eq!(unpack(&parcel).time_nanos, NOW_MS * 1_000_000);
    }

    #[test]
    fn a_gzipped_file_is_sent_as_it_is() {
        let bytes = gzip::gzip(&profile(1).encode_to_vec(), 1);
        let parcel =
            Parcel::pack(Path::new("a.pb.gz"), bytes.clone(), &address(None, None)).unwrap();
        assert_eq!(parcel.body, bytes);
        let request = parcel.push_request();
        assert_eq!(request.series[0].samples[0].raw_profile, bytes);
        assert_eq!(request.series[0].labels.len(), 4);
    }

    #[test]
    fn other_formats_go_by_their_ending() {
        assert_eq!(format(Path::new("x/A.Folded.gz")), Some("folded"));
        assert_eq!(format(Path::new("a.speedscope.json")), Some("speedscope"));
        assert_eq!(format(Path::new("a.jfr.gz")), Some("jfr"));
        assert_eq!(format(Path::new("a.pb.gz")), None);

        let bytes = gzip::gzip(b"a;b 1", 1);
        let parcel = Parcel::pack(Path::new("a.folded.gz"), bytes, &address(None, None)).unwrap();
        assert_eq!(parcel.body, "a;b 1");
        assert_eq!(parcel.application_name(), "s.cpu{env=x}");
        let parcel =
            Parcel::pack(Path::new("a.txt"), Vec::new(), &address(Some("wall"), None)).unwrap();
        assert_eq!(parcel.application_name(), "s.wall{env=x}");
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        let refused = |file: &str, bytes: &[u8], address: &Address| {
            format!(
                "{:#}",
                Parcel::pack(Path::new(file), bytes.to_vec(), address).unwrap_err()
            )
        };
        assert!(refused("a", b"hello world", &address(None, None)).contains("not a pprof file"));
        assert!(refused("a", b"", &address(None, None)).contains("no sample types"));
        assert!(refused("a.gz", b"\x1f\x8b\x08junk", &address(None, None)).contains("decompress"));
        let mut commas = address(None, None);
        commas.labels.insert("k".into(), "a,b".into());
        assert!(refused("a.txt", b"a 1", &commas).contains("label `k`"));
    }
}
