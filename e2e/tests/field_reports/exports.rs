//! What profilers of whole hosts send: one request with hundreds of tiny profiles.

use std::path::Path;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development::{
    Profile, ResourceProfiles, ScopeProfiles,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use phlare_e2e::client::CPU;
use phlare_e2e::fleet::Settings;
use phlare_e2e::{Client, Options, now_ns, shared};
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::metric;

const NO_RATE: &str = "-distributor.ingestion-rate-limit-mb=0";
const PATH: &str = "/v1development/profiles";
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
/// Of one request.
const SERVICES: usize = 50;
const PROFILES_OF_SERVICE: usize = 26;
const PROFILES: i64 = 1300;
/// Requests at once.
const AT_ONCE: u64 = 20;

/// A request of a real profiler, with the first sample of its first profile on CPU.
struct Template {
    request: ExportProfilesServiceRequest,
    profile: Profile,
}

impl Template {
    fn read(shared: &Path) -> anyhow::Result<Self> {
        let file = shared.join("testdata/otlp/otel-ebpf-profile.pb.bin");
        let mut request = ExportProfilesServiceRequest::decode(&*std::fs::read(file)?)?;
        let resources = std::mem::take(&mut request.resource_profiles).into_iter();
        let mut profiles = resources
            .flat_map(|resource| resource.scope_profiles)
            .flat_map(|scope| scope.profiles);
        let mut profile = profiles
            .find(|profile| profile.period > 0)
            .context("a profile on CPU")?;
        profile.samples.truncate(1);
        for sample in &mut profile.samples {
            // Of attributes, one names a service.
            sample.attribute_indices.clear();
        }
        Ok(Self { request, profile })
    }

    /// So many services with so many profiles each, all of other times.
    fn export(&self, services: usize, profiles: usize, base_ns: u64) -> Vec<u8> {
        let resource = |service: usize| {
            let attribute = KeyValue {
                key: "service.name".to_owned(),
                value: Some(AnyValue {
                    value: Some(Value::StringValue(format!("service-{service}"))),
                }),
                ..Default::default()
            };
            let at = |profile: usize| Profile {
                time_unix_nano: base_ns + profile as u64 * 1_000_000,
                ..self.profile.clone()
            };
            ResourceProfiles {
                resource: Some(Resource {
                    attributes: vec![attribute],
                    ..Default::default()
                }),
                scope_profiles: vec![ScopeProfiles {
                    profiles: (0..profiles).map(at).collect(),
                    ..Default::default()
                }],
                ..Default::default()
            }
        };
        let request = ExportProfilesServiceRequest {
            resource_profiles: (0..services).map(resource).collect(),
            ..self.request.clone()
        };
        request.encode_to_vec()
    }

    fn large(&self, base_ns: u64) -> Vec<u8> {
        self.export(SERVICES, PROFILES_OF_SERVICE, base_ns)
    }
}

/// Sends a request and hangs up before the answer.
async fn hang_up(url: &str, body: &[u8]) -> anyhow::Result<()> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: {address}\r\n{}: {}\r\ncontent-length: {}\r\n\r\n",
        PROTOBUF.0,
        PROTOBUF.1,
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn send(client: &Client, body: Vec<u8>) -> anyhow::Result<()> {
    let reply = client.post(PATH, &[PROTOBUF], body).await?.ok()?;
    ensure!(
        reply.body.is_empty(),
        "not all are stored: {}",
        reply.text()
    );
    Ok(())
}

/// B57.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_many_small_profiles_is_few_commits() -> anyhow::Result<()> {
    const COMMITS: &str = "phlare_wal_fsync_duration_seconds_count";
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    let template = Template::read(&shared)?;
    let mut server = Options::new().flag(NO_RATE).start().await?;
    let client = server.client()?;
    let base = u64::try_from(now_ns())? - 600_000_000_000;
    send(&client, template.export(1, 1, base - 1)).await?;
    let one = client.total(CPU, "{}").await?;
    ensure!(one > 0, "a profile of nothing");
    let before = metric(&client, COMMITS, &[]).await?;
    send(&client, template.large(base)).await?;
    let commits = metric(&client, COMMITS, &[]).await? - before;
    ensure!(commits <= 100.0, "{commits} commits for one request");
    ensure!(client.total(CPU, "{}").await? == one * (1 + PROFILES));

    let rounds = (1..=AT_ONCE).map(|round| template.large(base + round * 1_000_000_000));
    try_join_all(rounds.map(|body| send(&client, body))).await?;
    let all = one * (1 + PROFILES * 21);
    ensure!(client.total(CPU, "{}").await? == all);

    // Sent again after a hang-up, a profile counts once, whether it had been stored or not.
    let again = template.large(base + 100_000_000_000);
    hang_up(server.url(), &again).await?;
    send(&client, again).await?;
    ensure!(client.total(CPU, "{}").await? == all + one * PROFILES);
    server.stop().await
}

/// B57, with three copies of each profile.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_counts_an_export_that_is_sent_again_once() -> anyhow::Result<()> {
    let Some(shared) = shared::directory()? else {
        return Ok(());
    };
    let template = Template::read(&shared)?;
    let directory = tempfile::tempdir()?;
    let settings = Settings::new(directory.path()).flag(NO_RATE);
    let mut fleet = Box::pin(settings.start()).await?;
    let url = fleet.url("front-0").to_owned();
    let client = Client::new(&url)?;
    let base = u64::try_from(now_ns())? - 600_000_000_000;
    send(&client, template.export(1, 1, base - 1)).await?;
    let one = client.total(CPU, "{}").await?;
    let again = template.large(base);
    hang_up(&url, &again).await?;
    send(&client, again).await?;
    ensure!(client.total(CPU, "{}").await? == one * (1 + PROFILES));
    fleet.down().await
}
