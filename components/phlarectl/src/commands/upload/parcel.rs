//! A file made ready for its way to the server.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use phlare_formats::file::{Assumed, Profile as Found};
use phlare_formats::{Format, SampleRate};
use phlare_pprof::gzip;
use phlare_proto::google::v1::Profile;
use phlare_proto::push::v1::{PushRequest, PushResponse, RawProfileSeries, RawSample};
use phlare_proto::types::v1::LabelPair;
use prost::Message;

use super::Address;
use crate::client::{Client, ClientError};
use crate::commands::opened::Opened;

/// The label that names a service.
const SERVICE: &str = "service_name";
/// How hard profiles are compressed that are not.
const LEVEL: u32 = 6;

/// One request, made of one file.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Labels of its series, or of the first of several.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) time_ms: i64,
    /// Not known of what the server converts.
    pub(super) samples: Option<usize>,
    content: Content,
}

/// Where it goes.
#[derive(Debug)]
enum Content {
    /// The push API: series with a gzipped pprof each.
    Series(Vec<(BTreeMap<String, String>, Bytes)>),
    /// `/ingest` with this format; the suffix follows the application's name.
    Other {
        format: &'static str,
        suffix: String,
        rate: Option<u32>,
        body: Bytes,
    },
}

/// A pprof that is ready to be sent.
struct Packed {
    labels: BTreeMap<String, String>,
    time_ms: i64,
    samples: usize,
    body: Bytes,
}

impl Parcel {
    /// Recognises a file by its content, unless it is said what it is.
    pub(super) fn pack(bytes: &[u8], address: &Address) -> anyhow::Result<Self> {
        let file = Opened::new(bytes, address.format)?;
        match file.format {
            Format::Pprof => {
                let name = address.name.as_deref();
                let packed = Packed::new(&file.plain, name, address.labels.clone(), address)?;
                Ok(Self::of_series(vec![packed], bytes))
            }
            // What the server cannot take as it is.
            Format::Otlp(_) | Format::PerfScript => Self::converted(&file, address),
            // Without its gzip: Pyroscope inflates it inside of forms only.
            Format::Jfr => Self::other("jfr", file.plain.into_owned(), address),
            Format::Speedscope => Self::other("speedscope", file.plain.into_owned(), address),
            Format::Trie => Self::other("trie", file.plain.into_owned(), address),
            Format::Tree => Self::other("tree", file.plain.into_owned(), address),
            Format::Groups => Self::other("folded", file.plain.into_owned(), address),
            Format::Lines => Self::other("lines", file.plain.into_owned(), address),
        }
    }

    /// `file` is sent as it is where that is gzip and nothing was changed.
    fn of_series(packed: Vec<Packed>, file: &[u8]) -> Self {
        let first = packed.first();
        let labels = first.map(|first| first.labels.clone()).unwrap_or_default();
        let time_ms = first.map_or(0, |first| first.time_ms);
        let samples = packed.iter().map(|packed| packed.samples).sum();
        let series = packed.into_iter().map(|packed| {
            let body = match packed.body.is_empty() {
                true if gzip::is_gzip(file) => file.to_vec().into(),
                true => gzip::gzip(file, LEVEL).into(),
                false => packed.body,
            };
            (packed.labels, body)
        });
        Self {
            labels,
            time_ms,
            samples: Some(samples),
            content: Content::Series(series.collect()),
        }
    }

    fn converted(file: &Opened<'_>, address: &Address) -> anyhow::Result<Self> {
        /// As the server assumes it of stacks.
        const HERTZ: u32 = 100;
        let assumed = Assumed {
            suffix: address.name.as_deref().unwrap_or("cpu"),
            rate: SampleRate::hertz(address.sample_rate.unwrap_or(HERTZ).into()),
            now_ns: address.now_ms.saturating_mul(1_000_000),
        };
        let contents = file.profiles(&assumed)?;
        ensure!(
            !contents.profiles.is_empty(),
            "{} in which nothing is measured",
            file.format
        );
        let pack = |found: &Found| {
            let mut labels: BTreeMap<String, String> = found.labels.iter().cloned().collect();
            let own = address.labels.iter();
            let own = own.filter(|(name, _)| {
                *name != SERVICE || address.service_given || !labels.contains_key(*name)
            });
            let own: Vec<_> = own.map(|(n, v)| (n.clone(), v.clone())).collect();
            labels.extend(own);
            let mut packed = Packed::new(&found.pprof, Some(&found.name), labels, address)?;
            if packed.body.is_empty() {
                packed.body = gzip::gzip(&found.pprof, LEVEL).into();
            }
            anyhow::Ok(packed)
        };
        let packed: anyhow::Result<Vec<Packed>> = contents.profiles.iter().map(pack).collect();
        Ok(Self::of_series(packed?, &[]))
    }

    fn other(format: &'static str, body: Vec<u8>, address: &Address) -> anyhow::Result<Self> {
        for (name, value) in &address.labels {
            if value.contains(['}', ',']) {
                bail!(
                    "label `{name}`: `/ingest`, which takes this format, cannot carry `}}` or `,` in a value"
                );
            }
        }
        let suffix = match (&address.name, format) {
            (Some(name), _) => format!(".{name}"),
            (None, "jfr") => String::new(),
            (None, _) => ".cpu".to_owned(),
        };
        Ok(Self {
            labels: address.labels.clone(),
            time_ms: address.time_ms.unwrap_or(address.now_ms),
            samples: None,
            content: Content::Other {
                format,
                suffix,
                rate: address.sample_rate,
                body: body.into(),
            },
        })
    }

    /// Sends it.
    pub(super) async fn send(&self, client: &Client) -> Result<(), ClientError> {
        let (format, suffix, rate, body) = match &self.content {
            Content::Series(series) => {
                return client
                    .call("push.v1.PusherService/Push", &push_request(series))
                    .await
                    .map(|_: PushResponse| ());
            }
            Content::Other {
                format,
                suffix,
                rate,
                body,
            } => (format, suffix, rate, body),
        };
        let mut url = client.url("ingest");
        let seconds = self.time_ms.div_euclid(1000).to_string();
        url.query_pairs_mut()
            .append_pair("name", &application_name(&self.labels, suffix))
            .append_pair("format", format)
            .append_pair("spyName", "phlarectl")
            .append_pair("from", &seconds)
            .append_pair("until", &seconds);
        if let Some(hertz) = rate {
            url.query_pairs_mut()
                .append_pair("sampleRate", &hertz.to_string());
        }
        client
            .post(url, "application/octet-stream", body.clone())
            .await
            .map(|_| ())
    }
}

impl Packed {
    /// A pprof with its labels; without a body if it can stay as it is.
    fn new(
        plain: &[u8],
        name: Option<&str>,
        mut labels: BTreeMap<String, String>,
        address: &Address,
    ) -> anyhow::Result<Self> {
        let mut profile = Profile::decode(plain).context("not a pprof file")?;
        let types = sample_types(&profile);
        if types.is_empty() {
            bail!("not a pprof file: it has no sample types");
        }
        let name = name.unwrap_or_else(|| metric_name(&types)).to_owned();
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
        let samples = profile.sample.len();
        let body = match set_ms {
            Some(ms) => {
                profile.time_nanos = ms.saturating_mul(1_000_000);
                gzip::gzip(&profile.encode_to_vec(), LEVEL).into()
            }
            None => Bytes::new(),
        };
        Ok(Self {
            labels,
            time_ms: set_ms.unwrap_or(own_ms),
            samples,
            body,
        })
    }
}

fn push_request(series: &[(BTreeMap<String, String>, Bytes)]) -> PushRequest {
    let series = series.iter().map(|(labels, body)| {
        let labels = labels.iter().map(|(name, value)| LabelPair {
            name: name.clone(),
            value: value.clone(),
        });
        let sample = RawSample {
            raw_profile: body.clone(),
            ..RawSample::default()
        };
        RawProfileSeries {
            labels: labels.collect(),
            samples: vec![sample],
            ..RawProfileSeries::default()
        }
    });
    PushRequest {
        series: series.collect(),
    }
}

/// `service.suffix{name=value,…}`.
fn application_name(labels: &BTreeMap<String, String>, suffix: &str) -> String {
    let service = labels.get(SERVICE).map_or("", String::as_str);
    let tags: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != SERVICE)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{service}{suffix}{{{}}}", tags.join(","))
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
mod tests;
