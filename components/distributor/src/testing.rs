//! What the tests of the pipeline share: a distributor that records, and profiles made by hand.

use std::io::Write as _;
use std::sync::Arc;

use futures_util::FutureExt;
use parking_lot::Mutex;
use phlare_model::{ErrorKind, ManualClock, TenantId};
use phlare_phlaredb::Append;
use phlare_pprof::Seed;
use phlare_proto::google::v1 as pprof;
use phlare_proto::push::v1::{PushRequest, RawProfileSeries, RawSample};
use phlare_proto::types::v1::LabelPair;
use phlare_server::{Inbound, Offload, Registry, Status};
use phlare_tenancy::{Limits, Overrides};
use prometheus_client::encoding::text;
use prost::Message;
use uuid::Uuid;

use crate::{Config, Dependencies, Distributor, Durable, Ingest, Metrics, Refused};

/// The time that everything happens at.
pub(crate) const NOW: i64 = 1_763_000_000_000_000_000;

/// What happens to what was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Durable,
    Refused,
    LogFails,
    NeverDurable,
}

/// A stored row.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) tenant: TenantId,
    pub(crate) labels: String,
    pub(crate) total: i64,
    pub(crate) samples: usize,
    pub(crate) delta: bool,
    pub(crate) id: Uuid,
    pub(crate) partition: u64,
    pub(crate) time_ns: i64,
    /// Names of all functions of the profile.
    pub(crate) functions: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) stored: Mutex<Vec<Stored>>,
    pub(crate) fate: Mutex<Fate>,
}

impl Ingest for Recorder {
    fn append(&self, tenant: &TenantId, append: &Append<'_>) -> Result<Durable, Refused> {
        let fate = *self.fate.lock();
        if fate == Fate::Refused {
            let status = Status::new(
                ErrorKind::ResourceExhausted,
                "Maximum active series limit exceeded (1/1)",
            );
            return Err(Refused {
                status,
                reason: "series_limit",
            });
        }
        let profile = append.profile;
        let functions = profile
            .functions
            .iter()
            .map(|function| profile.strings[function.name as usize].to_owned())
            .collect::<Vec<_>>();
        for row in append.rows {
            let group = &profile.groups[row.group];
            let samples = group.first as usize..(group.first + group.count) as usize;
            let value = |sample: usize| {
                profile.values[sample * profile.sample_types.len() + row.sample_type]
            };
            self.stored.lock().push(Stored {
                tenant: tenant.clone(),
                labels: row.labels.to_string(),
                total: samples.clone().map(value).sum(),
                samples: samples.len(),
                delta: row.delta,
                id: row.id,
                partition: row.partition.0,
                time_ns: profile.time_ns,
                functions: functions.clone(),
            });
        }
        Ok(match fate {
            Fate::LogFails => {
                let status = Status::new(ErrorKind::Unavailable, "the disk is full");
                std::future::ready(Err(Refused {
                    status,
                    reason: "unknown",
                }))
                .boxed()
            }
            Fate::NeverDurable => std::future::pending().boxed(),
            Fate::Durable | Fate::Refused => std::future::ready(Ok(())).boxed(),
        })
    }
}

/// A distributor under test.
pub(crate) struct Bench {
    pub(crate) distributor: Distributor,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) clock: Arc<ManualClock>,
    registry: Registry,
}

pub(crate) fn bench() -> Bench {
    bench_with(Limits::default(), NOW)
}

pub(crate) fn bench_with(limits: Limits, now_ns: i64) -> Bench {
    let mut registry = Registry::default();
    let server = phlare_server::Metrics::register(&mut registry);
    let offload = Offload::new("test", 2, 100, &server).unwrap();
    let recorder = Arc::new(Recorder::default());
    let clock = Arc::new(ManualClock::at_ns(now_ns));
    let dependencies = Dependencies {
        replica: Arc::<Recorder>::clone(&recorder),
        overrides: Overrides::fixed(limits),
        inbound: Inbound::new(&phlare_server::Config::default(), offload.clone(), &server),
        offload,
        clock: Arc::<ManualClock>::clone(&clock),
        seed: Seed::new(1, 2),
        distributors: None,
        metrics: Metrics::register(&mut registry, Arc::<ManualClock>::clone(&clock)),
    };
    let config = Config {
        push_timeout: std::time::Duration::from_millis(50),
        ..Config::default()
    };
    Bench {
        distributor: Distributor::new(config, dependencies),
        recorder,
        clock,
        registry,
    }
}

impl Bench {
    pub(crate) async fn push(&self, series: Vec<RawProfileSeries>) -> Result<(), Status> {
        let tenant = TenantId::parse("t").unwrap();
        self.distributor
            .push(&tenant, PushRequest { series })
            .await
            .map(drop)
    }

    pub(crate) fn stored(&self) -> Vec<Stored> {
        self.recorder.stored.lock().clone()
    }

    /// Label sets and totals of what was stored, sorted.
    pub(crate) fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> = self
            .stored()
            .iter()
            .map(|row| format!("{} {}", row.labels, row.total))
            .collect();
        shown.sort();
        shown
    }

    pub(crate) fn total(&self) -> i64 {
        self.stored().iter().map(|row| row.total).sum()
    }

    /// The value of a metric as `/metrics` shows it.
    #[track_caller]
    pub(crate) fn metric(&self, name_and_labels: &str) -> u64 {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).unwrap();
        let line = out
            .lines()
            .find_map(|line| line.strip_prefix(name_and_labels)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name_and_labels} is not in\n{out}"))
            .parse()
            .unwrap()
    }
}

pub(crate) fn series(labels: &[(&str, &str)], profiles: &[&[u8]]) -> RawProfileSeries {
    let pair = |(name, value): &(&str, &str)| LabelPair {
        name: (*name).into(),
        value: (*value).into(),
    };
    RawProfileSeries {
        labels: labels.iter().map(pair).collect(),
        samples: profiles
            .iter()
            .map(|raw| RawSample {
                raw_profile: raw.to_vec().into(),
                id: String::new(),
            })
            .collect(),
        ..Default::default()
    }
}

pub(crate) fn cpu(profiles: &[&[u8]]) -> RawProfileSeries {
    series(
        &[("__name__", "process_cpu"), ("service_name", "s")],
        profiles,
    )
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A pprof in the making.
pub(crate) struct Builder(pub(crate) pprof::Profile);

/// A CPU profile without samples, taken now.
pub(crate) fn profile() -> Builder {
    typed(&[("cpu", "nanoseconds")])
}

pub(crate) fn typed(types: &[(&str, &str)]) -> Builder {
    let mut builder = Builder(pprof::Profile {
        string_table: vec![String::new()],
        time_nanos: NOW,
        ..Default::default()
    });
    for (kind, unit) in types {
        let value_type = pprof::ValueType {
            r#type: builder.string(kind),
            unit: builder.string(unit),
        };
        builder.0.sample_type.push(value_type);
    }
    builder.0.mapping.push(pprof::Mapping {
        id: 1,
        has_functions: true,
        ..Default::default()
    });
    builder
}

impl Builder {
    pub(crate) fn string(&mut self, text: &str) -> i64 {
        let table = &mut self.0.string_table;
        let at = table
            .iter()
            .position(|known| known == text)
            .unwrap_or_else(|| {
                table.push(text.to_owned());
                table.len() - 1
            });
        at as i64
    }

    fn location(&mut self, name: &str) -> u64 {
        let name = self.string(name);
        if let Some(known) = self
            .0
            .function
            .iter()
            .find(|function| function.name == name)
        {
            return known.id;
        }
        let id = self.0.function.len() as u64 + 1;
        self.0.function.push(pprof::Function {
            id,
            name,
            ..Default::default()
        });
        let line = pprof::Line {
            function_id: id,
            ..Default::default()
        };
        self.0.location.push(pprof::Location {
            id,
            mapping_id: 1,
            line: vec![line],
            ..Default::default()
        });
        id
    }

    pub(crate) fn file(mut self, file: &str) -> Self {
        self.0.mapping[0].filename = self.string(file);
        self
    }

    pub(crate) fn time(mut self, ns: i64) -> Self {
        self.0.time_nanos = ns;
        self
    }

    pub(crate) fn period(mut self, kind: &str, unit: &str) -> Self {
        self.0.period_type = Some(pprof::ValueType {
            r#type: self.string(kind),
            unit: self.string(unit),
        });
        self
    }

    /// A sample; frames root first.
    pub(crate) fn sample(self, stack: &[&str], values: &[i64]) -> Self {
        self.labelled(stack, values, &[])
    }

    pub(crate) fn labelled(
        mut self,
        stack: &[&str],
        values: &[i64],
        labels: &[(&str, &str)],
    ) -> Self {
        let location_id = stack
            .iter()
            .rev()
            .map(|frame| self.location(frame))
            .collect();
        let label = labels
            .iter()
            .map(|(key, value)| pprof::Label {
                key: self.string(key),
                str: self.string(value),
                ..Default::default()
            })
            .collect();
        self.0.sample.push(pprof::Sample {
            location_id,
            value: values.to_vec(),
            label,
        });
        self
    }

    pub(crate) fn build(self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
}
